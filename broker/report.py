"""What happened at each archive: the half of an answer that says how far it can be trusted."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Status(enum.Enum):
    """How an archive answered.

    ok       completely
    partial  some records came, more may exist
    failed   nothing usable came
    skipped  it was not asked, by rule (left alone after errors)
    refused  it was not asked, because a condition can be applied neither there nor here
    """

    OK = "ok"
    PARTIAL = "partial"
    FAILED = "failed"
    SKIPPED = "skipped"
    REFUSED = "refused"


@dataclass(slots=True)
class Report:
    """One archive's part in an answer.

    reason   short stable word where the status is not ok, or a remark such as `filter_not_applied`
    detail   a sentence for people, without query values or credentials
    level    the level at which it was asked
    asked    conditions as they were sent;  checked: conditions applied here;  refused: those it cannot have
    fetched  records that came;  kept: records that satisfy every condition
    unknown  keyword -> records left out, or flagged, because the archive gave no usable value
    untold   keywords asked there of which the archive does not say how many records leave them undecided
    broken   keyword -> records that came although the archive had promised to apply this condition
    bad      records that could not be read;  notes: remarks on the replies
    more     it has more records than were taken, because the limit was reached
    via      which copy or door answered
    first    seconds until its first page;  seconds: until it ended
    """

    archive: str
    status: Status = Status.OK
    reason: str = ""
    detail: str = ""
    level: str = ""
    asked: list[str] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    fetched: int = 0
    kept: int = 0
    unknown: dict[str, int] = field(default_factory=dict)
    untold: list[str] = field(default_factory=list)
    broken: dict[str, int] = field(default_factory=dict)
    bad: int = 0
    notes: list[str] = field(default_factory=list)
    more: bool = False
    via: str = ""
    first: float | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it answered completely."""
        return self.status is Status.OK

    @property
    def answered(self) -> bool:
        """Whether anything it said can be used."""
        return self.status in (Status.OK, Status.PARTIAL)

    def line(self) -> str:
        """The report as one line for people."""
        head = f"{self.archive}: {self.status.value}"
        if self.reason:
            head += f" ({self.reason})"
        parts = [f"{self.kept:,} kept of {self.fetched:,}" + (", more exist" if self.more else "")]
        parts += [f"{_sum(self.unknown)} unknown ({_counts(self.unknown)})"] if self.unknown else []
        parts += [f"{_sum(self.broken)} broken promises ({_counts(self.broken)})"] if self.broken else []
        parts += [f"{self.bad} unreadable"] if self.bad else []
        parts += [", ".join(self.notes)] if self.notes else []
        parts += [f"{self.seconds:.2f} s"] + ([self.via] if self.via else [])
        return f"{head} · {' · '.join(parts)}" + (f" · {self.detail}" if self.detail else "")


def _sum(counts: dict[str, int]) -> str:
    return f"{sum(counts.values()):,}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{keyword} {n:,}" for keyword, n in counts.items())
