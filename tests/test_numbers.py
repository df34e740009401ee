"""Numbers that stand for studies and patients: one each, in the order of a list, and none without need."""

from __future__ import annotations

from typing import Any

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from catalog import numbers

COLUMNS = ("Collection", "IssuerOfPatientID", "PatientID", "StudyInstanceUID", "StudyKey")
text = st.sampled_from(["", "a", "b", "a|b", "a\x1fb", "ä", " a"])
either = st.one_of(st.none(), text)
rows = st.lists(st.tuples(either, either, either, text, either), min_size=1, max_size=12)


def numbered(found: list[tuple[str | None, ...]], *columns: str) -> list[dict[str, Any]]:
    with duckdb.connect() as db:
        db.execute(f"CREATE TABLE t ({', '.join(f'{c} VARCHAR' for c in (*columns, '_key'))})")
        for i, row in enumerate(found):
            db.execute(f"INSERT INTO t VALUES ({', '.join('?' * (len(columns) + 1))})", [*row, str(i)])
        of = numbers.groups(columns)
        for statement in numbers.counting("t AS r", of, columns):
            db.execute(statement)
        cursor = db.execute(numbers.numbered("t AS r", of))
        names = [name for name, *_ in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@given(rows)
def test_two_rows_share_a_number_if_and_only_if_they_are_of_one_study_or_patient(
    found: list[tuple[str | None, ...]],
) -> None:
    told = numbered(found, *COLUMNS)
    assert sorted(r["_key"] for r in told) == sorted(str(i) for i in range(len(found))), "no row more or less"
    study = {(r["StudyInstanceUID"], r["_study"]) for r in told}
    assert len(study) == len({s for s, _ in study}) == len({n for _, n in study})
    patient = {
        ((r["Collection"] or "", r["IssuerOfPatientID"] or "", r["PatientID"]), r["_patient"])
        for r in told
        if r["PatientID"] is not None
    }
    assert len(patient) == len({p for p, _ in patient}) == len({n for _, n in patient})
    assert all((r["_patient"] is None) == (r["PatientID"] is None) for r in told)


@given(rows)
def test_the_order_of_studies_is_by_collection_patient_and_uid(found: list[tuple[str | None, ...]]) -> None:
    told = numbered(found, *COLUMNS)
    first: dict[str, list[Any]] = {}
    for r in told:
        of = first.setdefault(r["StudyInstanceUID"], [[], [], r["_study"]])
        of[0].append(r["Collection"])
        of[1].append(r["PatientID"])

    def least(values: list[str | None]) -> tuple[bool, bytes]:
        there = [v.encode() for v in values if v is not None]
        return (not there, min(there, default=b""))

    order = sorted((least(c), least(p), uid.encode(), n) for uid, (c, p, n) in first.items())
    assert [n for *_, n in order] == list(range(1, len(order) + 1))


def test_a_study_without_a_uid_is_known_by_its_key_and_a_row_without_either_by_itself() -> None:
    told = numbered([("1.2", None), (None, "k"), (None, "k"), ("1.2", "k")], "StudyInstanceUID", "StudyKey")
    assert [r["_study"] for r in sorted(told, key=lambda r: r["_key"])] == [1, 2, 2, 1]
    assert [r["_study"] for r in numbered([("x",), ("x",)], "Modality")] in ([1, 2], [2, 1])
    assert "_patient" not in told[0]
