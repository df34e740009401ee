"""Made-up worlds with known truth: wrong merges and missed links, counted. `python tests/worlds.py`.

People have studies; archives hold copies of them: true copies under the same UIDs, identifiers coerced, the
PatientIDs of others used again, dummies, de-identified copies with new UIDs and shifted dates, copies that
kept their UIDs beyond the barrier, revisions, and frauds: a known UID on another person's study.
"""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

from broker.adapter import Page
from broker.joining.entity import Entity, Source
from broker.joining.link import linked
from broker.joining.project import keep_level
from broker.joining.rules import Rules
from broker.merge import Merge
from catalog.keywords import Level

KEYWORDS = (
    "StudyInstanceUID",
    "PatientID",
    "IssuerOfPatientID",
    "PatientSex",
    "PatientBirthDate",
    "StudyDate",
    "AccessionNumber",
)
ARCHIVES = ("hospital", "clinic", "mirror", "public")
RULES = Rules(identified={"hospital": True, "clinic": True, "public": False})
DUMMY = ("0", "ANONYMOUS", "")


@dataclass(frozen=True, slots=True)
class Record:
    """One archive's study, and in truth whose and which it is. `fraud`: its UID is another study's."""

    archive: str
    person: int
    study: int
    row: tuple[str, ...]
    fraud: bool = False

    @property
    def mark(self) -> str:
        """Its own accession number, by which it is found again in the result."""
        return self.row[6]


def world(people: int, chance: random.Random) -> list[Record]:
    """Every record of a world."""
    found: list[Record] = []
    for person in range(people):
        sex = chance.choice("MF")
        born = f"{chance.randrange(1930, 2000)}{chance.randrange(1, 13):02d}{chance.randrange(1, 29):02d}"
        for n in range(chance.randrange(1, 4)):
            found += _study(person, person * 4 + n, sex, born, len(found), chance)
    return found


def _study(person: int, study: int, sex: str, born: str, start: int, chance: random.Random) -> list[Record]:
    """The copies of one study."""
    uid, own = f"1.2.{study}", f"{chance.randrange(900):03d}"  # identifiers of the clinic are used again
    day = f"20{chance.randrange(20):02d}0{chance.randrange(1, 10)}15"
    hospital = (uid, f"H{person}", "HOSPITAL", sex, born, day)
    rows: list[tuple[str, tuple[str, ...], bool]] = [("hospital", hospital, False)]
    if chance.random() < 0.4:
        sent = (
            uid,
            chance.choice([f"H{person}", f"MRN-{own}", own]),
            chance.choice(["HOSPITAL", ""]),
            sex,
            "",
            day,
        )
        rows.append(
            (
                "clinic",
                sent if sent[1] == f"H{person}" else (*sent[:2], "CLINIC" + own + str(person), *sent[3:]),
                False,
            )
        )
    if chance.random() < 0.5:
        rows.append(
            (
                "mirror",
                (uid, chance.choice([f"H{person}", *DUMMY]), "", chance.choice([sex, ""]), "", day),
                False,
            )
        )
    if chance.random() < 0.3:
        rows.append(("public", (f"2.25.{study}", own, "", sex, "", "20000101"), False))
    elif chance.random() < 0.1:  # the UID is kept, so that whoever joins them tells whose it is
        rows.append(("public", (uid, own, "", sex, "", "20000101"), False))
    if chance.random() < 0.05:  # revised under the same UID
        rows.append(("hospital", (*hospital[:5], f"{day[:6]}16"), False))
    if chance.random() < 0.03:
        rows.append(("mirror", (f"1.2.{study + 40_000}", own, "", sex, born, day), False))
    if chance.random() < 0.03:
        other = {"M": "F", "F": "M"}[sex]
        rows.append(("clinic", (uid, "X" + own, "", other, "19000101", day), True))
    return [
        Record(
            a, -study - 1 if fraud else person, -study - 1 if fraud else study, (*row, f"{start + i}"), fraud
        )
        for i, (a, row, fraud) in enumerate(rows)
    ]


def merged(records: Iterable[Record], chance: random.Random) -> tuple[Sequence[Entity], Sequence[Entity]]:
    """Studies and patients of the broker's answer, whatever the order in which archives answer."""
    shuffled = list(records)
    chance.shuffle(shuffled)
    studies, patients = Merge(Level.STUDY, RULES), Merge(Level.PATIENT, RULES)
    for record in shuffled:
        who = Source(record.archive, ARCHIVES.index(record.archive), KEYWORDS, 0.0)
        studies.add(Page(KEYWORDS, [record.row]), who)
    for entity in studies.result():
        for source, row in entity.sayings:
            page = keep_level(Page(KEYWORDS, [row]), Level.PATIENT)
            patients.add(page, Source(source.archive, source.rank, page.keywords, 0.0))
    return studies.result(), linked(patients.result(), studies.result(), RULES)


@dataclass(frozen=True, slots=True)
class Score:
    """Pairs of records: compared, joined although different, apart although a T0 or T1 link exists."""

    pairs: int
    joined: int
    wrong: int
    missed: int


def score(records: list[Record], studies: Iterable[Entity]) -> Score:
    """How the merged studies compare with the truth."""
    by_mark = {r.mark: r for r in records}
    slot = {
        mark: number
        for number, entity in enumerate(studies)
        for source, row in entity.sayings
        for mark in [str(row[6])]
    }
    joined = wrong = 0
    groups: defaultdict[int, list[Record]] = defaultdict(list)
    for mark, number in slot.items():
        groups[number].append(by_mark[mark])
    for group in groups.values():
        for one, other in combinations(group, 2):
            joined += 1
            wrong += one.study != other.study or RULES.barred(one.archive, other.archive)
    missed = sum(slot[a.mark] != slot[b.mark] for a, b in _links(records))
    return Score(comb(len(records), 2), joined, wrong, missed)


def _links(records: list[Record]) -> Iterable[tuple[Record, Record]]:
    """Pairs with one UID of one study, where no fraud stands between and no barrier."""
    by_uid: defaultdict[str, list[Record]] = defaultdict(list)
    for r in records:
        by_uid[r.row[0]].append(r)
    for group in by_uid.values():
        if not any(r.fraud for r in group) and not RULES.any_barred(frozenset(r.archive for r in group)):
            yield from combinations(group, 2)


def people_score(records: list[Record], patients: Iterable[Entity]) -> Score:
    """How the linked patients compare with the truth: pairs of (archive, PatientID) that were fused."""
    truly: defaultdict[tuple[str, str, str], set[int]] = defaultdict(set)
    issued: defaultdict[tuple[str, str], set[tuple[str, str, str]]] = defaultdict(set)
    for r in records:
        key = (r.archive, r.row[2], r.row[1])
        truly[key].add(r.person)
        if r.row[2]:
            issued[r.row[2], r.row[1]].add(key)
    slot: dict[tuple[str, str, str], int] = {}
    joined = wrong = 0
    for number, p in enumerate(patients):
        keys = {
            (
                s.archive,
                str(row[s.keywords.index("IssuerOfPatientID")]),
                str(row[s.keywords.index("PatientID")]),
            )
            for s, row in p.sayings
        }
        slot.update(dict.fromkeys(keys, number))
        for one, other in combinations(sorted(keys), 2):
            joined += 1
            wrong += not truly[one] & truly[other]
    apart = sum(slot[a] != slot[b] for keys in issued.values() for a, b in combinations(sorted(keys), 2))
    return Score(comb(len(slot), 2), joined, wrong, apart)


def main(people: int = 2_000, seed: int = 1, show: Callable[[str], None] = print) -> tuple[Score, Score]:
    """Score a world and print it."""
    chance = random.Random(seed)
    records = world(people, chance)
    studies, patients = merged(records, chance)
    scores = score(records, studies), people_score(records, patients)
    for name, s in zip(("studies", "patients"), scores, strict=True):
        bound = 3 / s.joined if s.joined else 1.0
        show(
            f"{name}: {s.pairs:,} pairs of records, {s.joined:,} joined, {s.wrong} wrongly "
            f"(95 % upper bound {bound:.1e} of the joins), {s.missed} T0/T1 links missed"
        )
    return scores


if __name__ == "__main__":
    main(int((sys.argv[1:] or ["2000"])[0]), int((sys.argv[2:] or ["1"])[0]))
