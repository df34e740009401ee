"""One series that is to be fetched: its copies, how far it has come, and what went wrong on the way."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from broker.adapter import Adapter, Fetches, Wanted
from broker.admitting.admission import Admission
from broker.manifests import items as have
from broker.manifests.items import Copy, Item
from catalog.keywords import Level


class State(enum.Enum):
    """How far a series is here.

    waiting   it was not asked for yet
    complete  every instance that an archive lists of it is here, and no fewer than that archive counts
    partial   some instances are here
    failed    none is here, although an archive was asked
    """

    WAITING = "waiting"
    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"


@dataclass(slots=True)
class Target:
    """A series with the copies that can be fetched, the preferred one first.

    here      instances that are here
    came      of them: instances that came now;  size: their bytes
    expected  instances that it should have, as far as somebody says
    sources   archives that its instances came from
    troubles  what went wrong: archive and reason, in the order in which it happened
    remarks   what is to be known of a complete series: wrong instances that were refused, copies that differ
    """

    item: Item
    study: str
    series: str
    copies: tuple[Copy, ...]
    state: State = State.WAITING
    here: int = 0
    came: int = 0
    size: int = 0
    expected: int | None = None
    sources: list[str] = field(default_factory=list)
    troubles: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[tuple[str, str]] = field(default_factory=list)
    tried: int = 0

    @property
    def copy(self) -> Copy | None:
        """The copy that is to be tried next."""
        return self.copies[self.tried] if self.tried < len(self.copies) else None

    def wanted(self, copy: Copy, most: int) -> Wanted:
        """What to ask an archive for; at most `most` bytes, or four times what it says."""
        size = copy.said.megabytes
        room = most if size is None else min(most, int(4e6 * size) + 64 * 2**20)
        return Wanted(self.study, self.series, _address(copy), room)

    def trouble(self, archive: str, why: str) -> None:
        """Note what went wrong, once."""
        if (archive, why) not in self.troubles:
            self.troubles.append((archive, why))

    def remark(self, archive: str, what: str) -> None:
        """Note what is to be known, once."""
        if (archive, what) not in self.remarks:
            self.remarks.append((archive, what))

    def told(self) -> dict[str, object]:
        """For the report file."""
        return {
            "StudyInstanceUID": self.study,
            "SeriesInstanceUID": self.series,
            "state": self.state.value,
            "instances": self.here,
            "expected": self.expected,
            "archives": self.sources,
            "troubles": [{"archive": a, "why": w} for a, w in self.troubles],
            "remarks": [{"archive": a, "what": w} for a, w in self.remarks],
        }


@dataclass(frozen=True, slots=True)
class Source:
    """One archive that instances can be fetched from, and the terms on which it is asked."""

    adapter: Adapter
    fetches: Fetches
    admission: Admission

    @classmethod
    def of(cls, adapter: Adapter, admission: Admission) -> Source | None:
        """None where the adapter gives no instances."""
        return cls(adapter, adapter, admission) if isinstance(adapter, Fetches) else None


def targets(
    found: Iterable[Item], sources: Mapping[str, Source]
) -> tuple[list[Target], dict[str, list[Item]]]:
    """The series that can be fetched, each once, and the items that cannot, by reason."""
    made: dict[str, Target] = {}
    left: dict[str, list[Item]] = {}
    for item in found:
        why = _why_not(item, sources, made)
        if why:
            left.setdefault(why, []).append(item)
            continue
        copies = tuple(c for c in item.copies if _serves(c, sources))
        study, series = item.study or "", item.series or ""
        expected = max((c.said.instances or 0 for c in copies), default=0) or None
        made[series] = Target(item, study, series, copies, expected=expected)
    return list(made.values()), left


def _why_not(item: Item, sources: Mapping[str, Source], made: Mapping[str, Target]) -> str:
    if item.level is not Level.SERIES or item.study is None or item.series is None:
        return "no valid StudyInstanceUID or SeriesInstanceUID"
    if item.series in made:
        return "its SeriesInstanceUID stands for two series, of which one is fetched"
    if not any(_serves(c, sources) for c in item.copies):
        names = ", ".join(dict.fromkeys(c.archive for c in item.copies))
        public = any(c.said.url.startswith("s3://") for c in item.copies)
        more = "; broker manifest --kind s5cmd lists what lies in public buckets" if public else ""
        return f"no copy that can be fetched from here ({names}){more}"
    return ""


def _serves(copy: Copy, sources: Mapping[str, Source]) -> bool:
    return copy.archive in sources and (copy.kind != "xnat" or have.scan(copy) is not None)


def _address(copy: Copy) -> str:
    return have.scan(copy) or ""
