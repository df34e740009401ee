"""What can be said of the data of an answer, from the answer alone. What no archive said is not made up."""

from __future__ import annotations

import datetime
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from broker.answer import Answer
from broker.answering.columns import DATE, typed
from broker.joining.locations import locations
from broker.joining.words import listed
from broker.manifests.items import Item, items
from broker.safe import line
from catalog.archives import Archive
from catalog.keywords import Level

# the licences that archives name in short, by their deed
LICENSES = {
    "CC0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC0 1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    **{
        f"CC {kind} {version}": f"https://creativecommons.org/licenses/{kind.lower()}/{version}/"
        for kind in ("BY", "BY-NC", "BY-SA", "BY-ND", "BY-NC-SA", "BY-NC-ND")
        for version in ("3.0", "4.0")
    },
}
_KINDS = {Level.PATIENT: "patients", Level.STUDY: "studies", Level.SERIES: "series"}


@dataclass(frozen=True, slots=True)
class Facts:
    """A data set in words and numbers.

    dates     first and last StudyDate that can be read, ISO 8601; some archives shift dates on purpose
    licenses  as archives say them, most frequent first;  dois  of the data, in lower case
    complete  every archive answered completely, and no limit cut the answer
    """

    name: str
    description: str
    conditions: tuple[str, ...]
    level: Level
    entities: int
    patients: int
    studies: int
    modalities: tuple[str, ...]
    body_parts: tuple[str, ...]
    collections: tuple[str, ...]
    licenses: tuple[str, ...]
    dois: tuple[str, ...]
    archives: tuple[str, ...]
    dates: tuple[str, str] | None
    megabytes: float | None
    made: str
    complete: bool

    @property
    def license_urls(self) -> list[str]:
        """The deed of each licence where it is a known one, else its name."""
        return list(dict.fromkeys(LICENSES.get(name.strip(), line(name)) for name in self.licenses))


def facts(name: str, answer: Answer) -> Facts:
    """The facts of an answer, as of the time when its last record came."""
    moment = _moment(answer)
    said = _Said(answer)
    found = [] if answer.query.level is Level.PATIENT else items(answer, dict[str, Archive]())
    complete = answer.complete and not answer.more
    conditions = tuple(str(c) for c in answer.query.conditions)
    studies, patients = len(answer.studies), len(answer.patients)
    archives = tuple(r.archive for r in answer.reports if r.kept)
    return Facts(
        line(name),
        _words(answer, conditions, patients, studies, archives, moment, complete),
        conditions,
        answer.query.level,
        len(answer),
        patients,
        studies,
        said.most("Modality") or said.most("ModalitiesInStudy"),
        said.most("BodyPartExamined"),
        tuple(c.name for c in answer.collections),
        said.most("License"),
        _dois(found),
        archives,
        said.dates(),
        _size(answer),
        moment.isoformat(timespec="seconds").replace("+00:00", "Z"),
        complete,
    )


class _Said:
    """Every value of the attributes that are described."""

    def __init__(self, answer: Answer) -> None:
        self._counts: dict[str, Counter[str]] = {}
        for entity in answer.entities:
            for own in entity.said.values():
                for keyword, value in own.items():
                    texts = [line(v).strip() for v in listed(value) if v.strip(" \0")]
                    self._counts.setdefault(keyword, Counter()).update(texts)

    def most(self, keyword: str) -> tuple[str, ...]:
        """Its values, most frequent first."""
        ordered = sorted(self._counts.get(keyword, Counter()).items(), key=lambda pair: (-pair[1], pair[0]))
        return tuple(value for value, _ in ordered)

    def dates(self) -> tuple[str, str] | None:
        """The first and the last study date."""
        read = [day for text in self._counts.get("StudyDate", ()) if (day := typed(DATE, text)) is not None]
        days = sorted(day for day in read if isinstance(day, datetime.date))
        return (days[0].isoformat(), days[-1].isoformat()) if days else None


def _moment(answer: Answer) -> datetime.datetime:
    came = [source.retrieved for e in answer.entities for source, _ in e.sayings]
    return datetime.datetime.fromtimestamp(max(came, default=time.time()), datetime.UTC)


def _dois(found: Sequence[Item]) -> tuple[str, ...]:
    return tuple(sorted({doi for item in found for doi in item.dois}))


def _size(answer: Answer) -> float | None:
    """Megabytes of the preferred copies; None unless every one says its size."""
    sizes = [copies[0].megabytes if (copies := locations(e)) else None for e in answer.entities]
    known = [s for s in sizes if s is not None]
    return sum(known) if known and len(known) == len(sizes) else None


def _words(
    answer: Answer,
    conditions: tuple[str, ...],
    patients: int,
    studies: int,
    archives: tuple[str, ...],
    moment: datetime.datetime,
    complete: bool,
) -> str:
    counts = [f"{len(answer):,} {_KINDS[answer.query.level]}"]
    counts += [f"{studies:,} studies"] if answer.query.level is Level.SERIES else []
    counts += [f"{patients:,} patients"] if answer.query.level is not Level.PATIENT else []
    asked = f" with {', '.join(conditions)}" if conditions else ""
    where = ", ".join(archives) or "no archive"
    text = f"{' of '.join(counts)}{asked}, found by imaging-broker in {where} on {moment.date().isoformat()}."
    return line(text if complete else f"{text} The answer is incomplete.")
