"""What is asked of an archive, what is checked here, and what is refused by name.

Every condition of the query takes exactly one of these ways:

    asked there   the archive promised this kind of matching on this keyword, so it is sent; it is checked
                  here again where the keyword comes back
    checked here  the promise is missing or weaker, but the keyword comes back. What helps is still sent, in
                  a weaker form that loses nothing
    refused       neither; then the archive is not asked at all, for its answer would ignore a condition
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace

from broker.adapter import Ask
from broker.language.terms import Condition
from broker.planning.names import said, there, widened
from broker.planning.weaken import sendable, split
from broker.query import Query
from catalog.capability import Can, Kind
from catalog.keywords import USUAL, Level, keyword


class Where(enum.Enum):
    """Where a condition is applied."""

    THERE = "asked there"
    HERE = "checked here"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Step:
    """The way of one condition: `sent` is what the archive is asked of it, if anything."""

    condition: Condition
    where: Where
    sent: Condition | None
    why: str

    @property
    def exact(self) -> bool:
        """Whether the archive is asked the very condition."""
        return self.where is Where.THERE and self.sent == self.condition


@dataclass(frozen=True, slots=True)
class Plan:
    """What one archive is asked. With a `refusal`, nothing is."""

    archive: str
    query: Query
    level: Level
    steps: tuple[Step, ...]
    asks: tuple[Ask, ...] = ()
    refusal: str = ""

    @property
    def groups(self) -> bool:
        """Whether finer records are asked for and grouped here to the level of the query."""
        return self.level is not self.query.level

    def asked(self) -> list[str]:
        """Conditions, as they are sent."""
        return [str(step.sent) for step in self.steps if step.sent is not None]

    def taken_there(self) -> list[str]:
        """Keywords of conditions by which the archive may drop records that have no value for them."""
        there = [s.condition for s in self.steps if s.sent is not None and not s.condition.universal]
        return [c.keyword for c in there if c.keyword not in ALWAYS_FILLED]

    def checked(self) -> list[str]:
        """Conditions that are only applied here, wholly or after a weaker request."""
        return [str(step.condition) for step in self.steps if step.where is Where.HERE]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a query wants beside its conditions.

    fields           further keywords to return
    limit            how many entities are enough, or None
    scan             listing an archive whole is acceptable
    include_unknown  records of which a condition is unknown are wanted too
    withheld         keywords whose values this archive must not see
    same             names of collections that are declared to mean the same one, group by group
    """

    fields: tuple[str, ...] = ()
    limit: int | None = None
    scan: bool = False
    include_unknown: bool = False
    withheld: frozenset[str] = frozenset()
    same: tuple[frozenset[str], ...] = ()


def plan(query: Query, archive: str, can: Can, wish: Wish) -> Plan:
    """Split a query over what one archive can do. Pure: asks nobody."""
    query, names = _named_there(query, can, wish)
    level = _level(query, can)
    if level is None:
        return _refused(query, archive, query.level, (), f"it has no {query.level.name} level")
    can = _told(can.at(level).without(wish.withheld), wish)
    conditions = _at_level(query, level, can)
    steps = tuple(_step(c, conditions, can, wish.withheld) for c in conditions)
    if names:
        why = f"{said(names)}; "
        steps = tuple(
            replace(s, why=why + s.why) if s.condition.keyword == "Collection" else s for s in steps
        )
    refusal = _refusal(steps, level, can, wish)
    if refusal:
        return _refused(query, archive, level, steps, refusal)
    made = Plan(archive, query, level, steps)
    return replace(made, asks=tuple(_asks(made, can, wish)))


def _named_there(query: Query, can: Can, wish: Wish) -> tuple[Query, tuple[str, ...]]:
    """The query by the names that its collections have at the archive too, and these names."""
    found = {c.keyword: names for c in query.conditions if (names := there(c, can, wish.same))}
    if not found:
        return query, ()
    asked = Query(query.level)
    asked.conditions = tuple(widened(c, found.get(c.keyword, ())) for c in query.conditions)
    return asked, found["Collection"]


def _told(can: Can, wish: Wish) -> Can:
    """Where unknown records are wanted, an archive that drops them is not asked by what it would drop."""
    if not wish.include_unknown or can.unknowns:
        return can
    return can.without(k for k in can.matches if k not in ALWAYS_FILLED)


def _refused(query: Query, archive: str, level: Level, steps: tuple[Step, ...], why: str) -> Plan:
    return Plan(archive, query, level, steps, refusal=why)


def _level(query: Query, can: Can) -> Level | None:
    """The level to ask at: the query's, or the coarsest finer one that keeps every condition."""
    finest = max([query.level, *(c.key.level for c in query.conditions)])
    if query.level in can.levels and (finest is query.level or _fits(query, can)):
        return query.level
    known = [level for level in sorted(can.levels) if level >= query.level]
    return next((level for level in known if level >= finest), known[-1] if known else None)


def _fits(query: Query, can: Can) -> bool:
    """Whether conditions on finer attributes can stay at the level of the query."""
    finer = [c for c in query.conditions if c.key.level > query.level]
    return can.relational or all(_in_study(query, c, can) for c in finer)


def _in_study(query: Query, condition: Condition, can: Can) -> bool:
    """Whether `Modality` at study level can be asked as ModalitiesInStudy (PS3.4 C.3.4)."""
    alone = sum(c.key.level > query.level for c in query.conditions) == 1
    free = all(c.keyword != "ModalitiesInStudy" for c in query.conditions)
    study = query.level is Level.STUDY and condition.keyword == "Modality"
    # a study has no modality only if none of its series has one
    empty = Kind.EMPTY in condition.kinds
    finer = can.at(Level.SERIES).kinds("Modality") and Level.SERIES in can.levels
    worse = finer and not can.at(Level.STUDY).kinds("ModalitiesInStudy")
    return study and alone and free and not empty and not worse and can.gives("ModalitiesInStudy")


def _at_level(query: Query, level: Level, can: Can) -> tuple[Condition, ...]:
    """The conditions as they read at the level that is asked."""
    if level is not Level.STUDY or can.relational:
        return query.conditions
    moved = keyword("ModalitiesInStudy")
    return tuple(replace(c, key=moved) if _in_study(query, c, can) else c for c in query.conditions)


def _step(c: Condition, among: tuple[Condition, ...], can: Can, withheld: frozenset[str]) -> Step:
    if c.universal:
        return Step(c, Where.THERE, c, "matches everything")
    sent, back = sendable(c, among, can), can.gives(c.column)
    kinds = ", ".join(sorted(k.value for k in can.kinds(c.keyword))) or "nothing"
    cite = can.cited(c.keyword)
    measured = c.keyword in can.cites  # says so also where nothing is left of a promise
    kinds += f" ({cite})" if cite and (can.kinds(c.keyword) or measured) else ""
    if sent == c:
        return Step(c, Where.THERE, sent, f"promised: {kinds}" + ("" if back else "; taken at its word"))
    hidden = "its value is not shown to a public archive" if c.keyword in withheld else ""
    promised = hidden or f"promised there: {kinds}"
    if back:
        return Step(c, Where.HERE, sent, f"a weaker form is asked there; {promised}" if sent else promised)
    if promised == "promised there: nothing":
        return Step(c, Where.REFUSED, None, "it is neither searched by there nor returned")
    return Step(c, Where.REFUSED, None, f"{promised}, and {c.column} does not come back")


def _refusal(steps: tuple[Step, ...], level: Level, can: Can, wish: Wish) -> str:
    lost = [step for step in steps if step.where is Where.REFUSED]
    if lost:
        return "; ".join(f"cannot apply {step.condition.keyword}: {step.why}" for step in lost)
    narrowing = [s for s in steps if not s.condition.universal]
    if not narrowing or any(s.sent for s in narrowing) or can.lists_all or wish.scan:
        return ""
    names = ", ".join(s.condition.keyword for s in narrowing)
    help_ = [k for k in can.matches if k in USUAL and USUAL[k].level <= level][:6]
    hint = f"add a condition on {' or '.join(help_)}, or " if help_ else ""
    return f"{names} cannot be asked there, so all of it would be listed; {hint}allow it with --scan"


def _asks(made: Plan, can: Can, wish: Wish) -> Iterable[Ask]:
    sent = tuple(s.sent for s in made.steps if s.sent is not None and not s.sent.universal)
    exact = not made.groups and all(step.exact and not loose(step, can) for step in made.steps)
    limit = wish.limit + 1 if wish.limit and exact else None
    fields = tuple(k for k in _fields(made, wish.fields) if can.gives(k))
    for conditions in split(sent, can):
        yield Ask(made.level, conditions, fields, limit, wish.include_unknown and can.unknowns)


def loose(step: Step, can: Can) -> bool:
    """Whether the archive is known to match in any case, so that too many records break no promise."""
    return Kind.ANY_CASE in can.kinds(step.condition.keyword)


def _fields(made: Plan, extra: tuple[str, ...]) -> list[str]:
    """The usual keywords of the level and those above it, then what the conditions need."""
    usual = [k.name for k in USUAL.values() if k.level <= made.level and k.name in DEFAULT_FIELDS]
    return list(dict.fromkeys([*usual, *(step.condition.column for step in made.steps), *extra]))


# attributes without which a record could not be kept (PS3.3 C.7.2.1, C.7.3.1; Modality is type 1)
ALWAYS_FILLED = frozenset({"StudyInstanceUID", "SeriesInstanceUID", "Modality", "ModalitiesInStudy"})

DEFAULT_FIELDS = frozenset(
    "Collection PatientID PatientName PatientBirthDate PatientSex PatientAge StudyInstanceUID StudyID "
    "StudyDate StudyTime AccessionNumber StudyDescription ModalitiesInStudy ReferringPhysicianName "
    "NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances SeriesInstanceUID Modality SeriesNumber "
    "SeriesDescription SeriesDate BodyPartExamined Manufacturer ManufacturerModelName "
    "StudyKey SeriesKey NumberOfSeriesRelatedInstances AnalysisResult License SourceDOI DataURL SizeInMB "
    "Version "
    "NumberOfPatientRelatedStudies NumberOfPatientRelatedSeries NumberOfPatientRelatedInstances".split()
)
