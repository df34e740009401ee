"""Which questions to plant: records that the archive has just shown, asked for again in every way.

Pure. Each question names the record itself too (`anchor`), so that no more than one can come.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from broker.matching import Value, compiled, filled
from broker.meaning import values
from broker.meaning.nobody import nobodys
from broker.query import Condition, Match
from catalog.capability import Kind
from catalog.keywords import Keyword, Level, keyword

Shown = dict[str, Value]
"""A record that an archive has shown: keyword -> value."""

KEYS: Mapping[Level, tuple[str, ...]] = {
    Level.STUDY: (
        *("StudyInstanceUID", "PatientID", "PatientName", "StudyDate", "AccessionNumber", "StudyID"),
        "ModalitiesInStudy",
    ),
    Level.SERIES: ("SeriesInstanceUID", "Modality", "SeriesDescription", "BodyPartExamined", "SeriesNumber"),
}
"""What is tried at each level, the most useful first."""

MORE: Mapping[Level, tuple[str, ...]] = {
    Level.STUDY: (
        *("StudyDescription", "PatientSex", "PatientBirthDate", "ReferringPhysicianName", "StudyTime"),
        "NumberOfStudyRelatedInstances",
    ),
    Level.SERIES: ("PatientID", "StudyDate"),
}
"""What is tried as far as questions are left."""

FINER = ("Modality", "BodyPartExamined", "SeriesDescription")
"""Keys of series that people put to studies."""

_PLAIN = re.compile(r"[A-Za-z0-9._-]+")
_SAFE = re.compile(r"[^*?\\,\"=\x00-\x1f]+")
_WORD = re.compile(r"[A-Za-z]{2,}")
_LISTS = frozenset({"ModalitiesInStudy", "Modality"})
_CASED = frozenset({"PatientID", "StudyDescription", "SeriesDescription"})


@dataclass(frozen=True, slots=True)
class Trial:
    """One planted question.

    uid     the record that it is about;  anchor: conditions that name it
    hit     whether the record satisfies the condition, or surely does not
    """

    level: Level
    keyword: str
    kind: Kind
    condition: Condition
    uid: str
    anchor: tuple[Condition, ...]
    hit: bool

    @property
    def plain(self) -> bool:
        """Whether its value needs no encoding on any way."""
        return all(_PLAIN.fullmatch(str(m).replace("*", "x")) for m in self.condition.matches)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What is asked: no attribute twice."""
        return (*(c for c in self.anchor if c.keyword != self.keyword), self.condition)


def one(name: str, *texts: str) -> Condition:
    """A condition on values as they stand."""
    return Condition(keyword(name), tuple(Match(Kind.SINGLE, text) for text in texts))


def wild(name: str, text: str) -> Condition:
    """A condition on a wildcard value as it stands."""
    return Condition(keyword(name), (Match(Kind.WILDCARD, text),))


def span(name: str, low: str, high: str) -> Condition:
    """A condition on a range."""
    return Condition(keyword(name), (Match(Kind.RANGE, low=low, high=high),))


def trials(
    level: Level, shown: Sequence[Shown], keys: Iterable[str], within: tuple[str, ...] = ()
) -> Iterator[Trial]:
    """The questions for each keyword, about the record whose value is easiest to ask for.

    Of a keyword that no record shows, only whether it is ignored can be seen. `within`: keywords that are
    named too, so that less is looked through.
    """
    for name in keys if shown else ():
        key = keyword(name)
        record, value = _subject(key, shown) or (shown[0], None)
        uid, above = str(record[level.uid]), anchor(level, record, within)
        above = above if name != level.uid else above[:-1]
        unseen = [(False, Kind.SINGLE, one(name, nobodys(key)))]
        for hit, kind, condition in _ways(key, value) if value is not None else unseen:
            truth = compiled(condition)(record.get(name))
            if kind is Kind.ANY_CASE or (truth is True) is hit:
                yield Trial(level, name, kind, condition, uid, above, hit)


def in_study(study: Shown, series: Sequence[Shown]) -> Iterator[Trial]:
    """Keys of series put to their study: every value of its series finds it, if they are applied at all.

    Two modalities are tried: an archive may judge by one image of the study alone.
    """
    uid, above = str(study["StudyInstanceUID"]), anchor(Level.STUDY, study)
    for name in FINER:
        texts = [t for row in series for t in filled(row.get(name), keyword(name).vr)]
        different = [t for t in dict.fromkeys(texts) if _SAFE.fullmatch(t)]
        for text in dict.fromkeys(different[:1] + (different[-1:] if name == "Modality" else [])):
            yield Trial(Level.STUDY, name, Kind.SINGLE, one(name, text), uid, above, True)
        if different:
            nobody = one(name, nobodys(keyword(name)))
            yield Trial(Level.STUDY, name, Kind.SINGLE, nobody, uid, above, False)


def empties(
    level: Level, shown: Sequence[Shown], keys: Iterable[str], within: tuple[str, ...] = ()
) -> Iterator[Trial]:
    """Empty value matching (PS3.4 C.2.2.2.7) on the first text of which records show a value and none.

    The record without one must come, one with a value must not.
    """
    for name in keys:
        if keyword(name).vr not in values.WILD or keyword(name).vr == "PN":
            continue
        empty = next((row for row in shown if row.get(name) == ""), None)
        full = next((row for row in shown if row.get(name)), None)
        if empty is not None and full is not None:
            asked = Condition(keyword(name), (Match(Kind.EMPTY),))
            for row in (empty, full):
                above, uid = anchor(level, row, within), str(row[level.uid])
                yield Trial(level, name, Kind.EMPTY, asked, uid, above, row is empty)
            return


def anchor(level: Level, record: Shown, within: tuple[str, ...] = ()) -> tuple[Condition, ...]:
    """Conditions that name a record, and the study that it is in."""
    names = (*within, *(("StudyInstanceUID",) if level is Level.SERIES else ()), level.uid)
    return tuple(one(n, text) for n in names if isinstance(text := record.get(n), str) and text)


def _subject(key: Keyword, shown: Sequence[Shown]) -> tuple[Shown, str] | None:
    """A record with a value of the attribute: of letters and digits if there is one, text with letters."""
    found = [(row, text) for row in shown for text in filled(row.get(key.name), key.vr)[-1:]]
    fit = [(row, text) for row, text in found if _SAFE.fullmatch(text) and _readable(key, text)]
    return max(fit, key=lambda pair: _ease(key, pair[1]), default=None)


def _readable(key: Keyword, text: str) -> bool:
    return compiled(one(key.name, text))(text) is True


def _ease(key: Keyword, text: str) -> tuple[bool, bool, bool]:
    words = key.vr in values.WILD and _WORD.search(text) is not None
    return _PLAIN.fullmatch(text) is not None, text.isascii(), words


def _ways(key: Keyword, value: str) -> Iterator[tuple[bool, Kind, Condition]]:
    """Whether the record must come, the kind of matching, and the condition."""
    name, nobody = key.name, nobodys(key)
    yield True, Kind.SINGLE, one(name, value)
    yield False, Kind.SINGLE, one(name, nobody)
    if key.vr == "UI" or name in _LISTS:
        yield True, Kind.ANY_OF, one(name, value, nobody)
    if key.name in ("StudyDate", "StudyTime"):
        yield from _ranges(key, value)
    if key.vr in values.WILD and key.vr != "CS":
        yield from _wildcards(key, value)


def _ranges(key: Keyword, value: str) -> Iterator[tuple[bool, Kind, Condition]]:
    digits = re.sub(r"\D", "", value.partition(".")[0] if key.vr == "TM" else value)
    if key.vr == "DA" and len(digits) == 8:
        year = digits[:4]
        yield True, Kind.RANGE, span(key.name, f"{year}0101", f"{year}1231")
        yield False, Kind.RANGE, span(key.name, "18000101", "18001231")
    elif key.vr == "TM":
        yield True, Kind.RANGE, span(key.name, f"{digits[:2]}0000", f"{digits[:2]}5959.999999")


def _wildcards(key: Keyword, value: str) -> Iterator[tuple[bool, Kind, Condition]]:
    if key.vr == "PN":
        word = _WORD.search(value)
        if word is not None:
            yield True, Kind.WILDCARD, wild(key.name, f"*{word[0]}*")
        if word is not None and key.name == "PatientName":
            yield True, Kind.ANY_CASE, wild(key.name, f"*{word[0].swapcase()}*")
        return
    half = re.match(r"[A-Za-z0-9._-]+", value)
    if half is not None and len(value) > 1:
        cut = half[0][: (len(value) + 1) // 2]
        yield True, Kind.WILDCARD, wild(key.name, f"{cut}*")
    if key.name in _CASED and value.swapcase() != value:
        yield True, Kind.ANY_CASE, one(key.name, value.swapcase())
