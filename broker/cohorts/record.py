"""What an answer consists of: every archive's records, one mark for all, and what differs from other runs.

A record is what one archive said of one entity. Its digest does not depend on the machine, on the order in
which records came, or on when: only on the archive's name, the keywords and the values.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from broker.answer import Answer
from broker.answering.export import plain
from broker.joining.entity import PATIENT_KEYWORDS, Entity, patient_key
from broker.joining.words import listed
from broker.matching import Value
from broker.meaning import values
from broker.report import Report, Status
from catalog.keywords import Level


@dataclass(frozen=True, slots=True)
class Record:
    """One archive's record. `key`: the UID; of a patient, collection, issuer and PatientID; or its digest."""

    archive: str
    key: str
    said: Mapping[str, Value]
    retrieved: float = 0.0
    unknown: tuple[str, ...] = ()
    mark: str = ""

    @property
    def digest(self) -> str:
        """Its digest, of what was said."""
        return self.mark or digest(self.archive, self.said)


def records(entities: Iterable[Entity]) -> list[Record]:
    """Every record behind some entities; equal ones of an entity with a UID once."""
    found: dict[object, Record] = {}
    for entity in entities:
        for number, (source, row) in enumerate(entity.sayings):
            said = {k: v for k, v in zip(source.keywords, row, strict=True) if v is not None}
            own = digest(source.archive, said)
            key = _key(entity.level, source.archive, said) or f"record {own[:16]}"
            made = Record(source.archive, key, said, source.retrieved, source.unknown, own)
            same = own if entity.uid is not None else (id(entity), number)
            found.setdefault(same, made)
    return list(found.values())


def _key(level: Level, archive: str, said: Mapping[str, Value]) -> str | None:
    if level is Level.PATIENT:
        known = patient_key(archive, [said.get(k) for k in PATIENT_KEYWORDS])
        return "/".join(part for part in known[1:] if part) if isinstance(known, tuple) else None
    uid = said.get(level.uid)
    return values.uid(uid) if isinstance(uid, str) else None


def digest(archive: str, said: Mapping[str, Value]) -> str:
    """SHA-256 of `[archive, {keyword: [values]}]` as JSON: keywords sorted, no spaces, no null, UTF-8."""
    shown = {k: v if isinstance(v, list) else [v] for k, v in plain(said).items() if v is not None}
    text = json.dumps([archive, shown], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def mark(found: Iterable[Record]) -> str:
    """One SHA-256 for all records: of their digests, sorted, each on a line."""
    lines = sorted(r.digest for r in found)
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Change:
    """What an archive says otherwise of one entity: keyword -> values before and now."""

    key: str
    values: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Difference:
    """One archive's part in a comparison of two runs.

    unknown   why nothing can be said of what appeared, of what vanished; empty where it can
    columns   keywords that the archive returned in only one of the runs: they are not compared
    """

    archive: str
    appeared: Sequence[str] = ()
    vanished: Sequence[str] = ()
    changed: Sequence[Change] = ()
    same: int = 0
    unknown: Mapping[str, str] = field(default_factory=dict)
    columns: Sequence[str] = ()

    @property
    def any(self) -> bool:
        """Whether something is known to differ."""
        return bool(self.appeared or self.vanished or self.changed)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a query: its records, and each archive's report."""

    id: str
    records: Sequence[Record]
    reports: Mapping[str, Report]

    @classmethod
    def of(cls, name: str, answer: Answer) -> Run:
        """The run that an answer is."""
        return cls(name, records(answer.entities), {r.archive: r for r in answer.reports})


def differences(old: Run, new: Run) -> Iterator[Difference]:
    """What appeared, vanished and changed, for each archive of either run.

    "Vanished" is only said where the archive answered completely now, "appeared" where it had done so before.
    """
    for archive in dict.fromkeys([*old.reports, *new.reports]):
        before, now = _of(old, archive), _of(new, archive)
        unknown = {}
        if why := _incomplete(old.reports.get(archive)):
            unknown["appeared"] = f"before, {why}"
        if why := _incomplete(new.reports.get(archive)):
            unknown["vanished"] = f"now, {why}"
        both = _columns(before) & _columns(now) if before and now else set()
        changed = [
            c for key in before if key in now and (c := _change(key, before[key], now[key], both)).values
        ]
        yield Difference(
            archive,
            () if "appeared" in unknown else sorted(set(now) - set(before)),
            () if "vanished" in unknown else sorted(set(before) - set(now)),
            changed,
            len(set(before) & set(now)) - len(changed),
            unknown,
            sorted(_columns(before) ^ _columns(now)) if before and now else (),
        )


def _of(run: Run, archive: str) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in run.records:
        if record.archive == archive:
            found.setdefault(record.key, []).append(record)
    return found


def _incomplete(report: Report | None) -> str:
    """Why an archive's records are not all that it has; empty where they are."""
    if report is None:
        return "it was not asked"
    if report.status is not Status.OK:
        return f"it did not answer completely ({report.status.value}: {report.reason or 'no reason given'})"
    return "only as many as the limit were taken" if report.more else ""


def _columns(found: Mapping[str, list[Record]]) -> set[str]:
    return {keyword for own in found.values() for record in own for keyword in record.said}


def _change(key: str, before: list[Record], now: list[Record], both: set[str]) -> Change:
    told = [(keyword, _values(before, keyword), _values(now, keyword)) for keyword in sorted(both)]
    return Change(key, {keyword: (old, new) for keyword, old, new in told if old != new})


def _values(found: list[Record], keyword: str) -> tuple[str, ...]:
    texts = {text for record in found for text in _texts(record.said.get(keyword))}
    return tuple(sorted(texts))


def _texts(value: Value) -> list[str]:
    own = list(listed(value))
    if own or not isinstance(value, tuple):
        return own
    return [json.dumps(item, ensure_ascii=False) for item in plain({"": value})[""]]
