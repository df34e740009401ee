"""Tables that say in codes what DICOM says in words: what a code means, and one that nobody told of."""

from __future__ import annotations

import csv

import pytest
from holdings import Catalog, of

# as NHANES writes its demographics
NHANES = """SEQN,RIAGENDR,RIDAGEYR,RIDAGEMN,IMAGING,SITE
1,1,62,754,1,1
2,2.0,53,643.0,2,2
3,2,8,106,7,1
4,9,40,,,2
5,,70,850,1,
"""
MAPPING = """
[columns]
"SEQN" = "PatientID"
"RIAGENDR" = "PatientSex"
"RIDAGEYR" = "PatientAge"
"IMAGING" = "Modality"
"SITE" = "InstitutionName"
[values."riagendr"]
1 = "Male"
"2" = "F"
"9" = ""
[values."IMAGING"]
"1" = "x-ray"
"2" = "CT"
[values."SITE"]
"1" = "Johns Hopkins"
"2" = "Mayo, Rochester"
[constants]
Collection = "NHANES"
"""


def take(catalog: Catalog, mapping: str, *words: str, table: str = NHANES) -> tuple[int, str, str]:
    """Import a table with a mapping, as NHANES'."""
    told = catalog.write("m.toml", mapping)
    return catalog.take(catalog.write("t.csv", table), "--archive", "nhanes", "--mapping", str(told), *words)


def test_codes_are_found_by_what_they_mean(catalog: Catalog) -> None:
    take(catalog, MAPPING)
    assert of(catalog.search("patients", "PatientSex=F"), "PatientID") == ["2", "3"]
    assert of(catalog.search("series", "Modality=DX", "PatientSex=M"), "PatientAge") == ["062Y"]
    (found,) = catalog.search("series", "Modality=CT", "InstitutionName=Mayo*")
    assert (found["PatientSex"], found["InstitutionName"]) == ("F", "Mayo, Rochester")


def test_a_code_without_a_meaning_is_left_out_and_named(catalog: Catalog) -> None:
    listed = catalog.folder / "rejected.csv"
    table = f"{NHANES}6,1,30,360,7,1\n7,3,30,360,1,1\n"
    code, out, err = take(catalog, MAPPING, "--rejected", str(listed), table=table)
    assert (code, out.split(" (")[0]) == (3, "nhanes: 7 new, 0 changed, 0 as before, 3 values left out")
    told = "has no meaning in the mapping: left out in"
    assert err.splitlines() == [
        f"left out: line 4: IMAGING '7' {told} 2 rows, this is the first",
        f"left out: line 8: RIAGENDR '3' {told} 1 row, this is the first",
    ]
    with listed.open(encoding="utf-8", newline="") as rows:
        assert [row[:2] for row in csv.reader(rows)] == [["file", "line"], ["", "4"], ["", "8"]]
    code, _, err = catalog.run("search", "series", "Modality=CT", "PatientSex=F")
    assert (code, "3 unknown (Modality 2, PatientSex 1)" in err) == (0, True)


def test_what_a_row_is_known_by_is_not_left_out(catalog: Catalog) -> None:
    mapping = MAPPING.replace('"InstitutionName"', '"ClinicalTrialTimePointID"').replace(
        '"2" = "Mayo', '"3" = "Mayo'
    )
    code, out, err = take(catalog, mapping.replace('"SITE"', '"Site"'))
    assert (code, out.split(",")[0]) == (3, "nhanes: 3 new")
    assert "rejected: line 3: Site '2' has no meaning in the mapping\n" in err
    assert "rejected: line 5: Site '2'" in err


def test_many_codes_without_a_meaning_are_shortened(catalog: Catalog) -> None:
    table = "SEQN,RIAGENDR,RIDAGEYR,IMAGING,SITE\n" + "".join(f"{n},{n + 10},1,1,1\n" for n in range(50))
    code, out, err = take(catalog, MAPPING, table=table)
    assert (code, "50 values left out" in out, len(err.splitlines())) == (3, True, 21)
    assert "left out: 30 more; --rejected FILE lists them" in err


WRONG = {
    "no such column": ('[values."SEX"]\n"1" = "M"\n', '[values."SEX"]: [columns] has no such column'),
    "a number": ('[values."RIAGENDR"]\n"1" = 1\n', '[values."RIAGENDR"] "1": write what it means as a text'),
    "no sex": ('[values."RIAGENDR"]\n"1" = "X"\n', "\"1\": 'X' is no value of PatientSex: write M, F or O"),
    "no term": ('[values."IMAGING"]\n"1" = "CT, MR"\n', "\"1\": 'CT, MR' is no value of Modality (VR CS)"),
    "no age": ('[values."RIDAGEYR"]\n"1" = "old"\n', "\"1\": 'old' is no value of PatientAge (VR AS)"),
    "too long": (f'[values."SITE"]\n"1" = "{"x" * 65}"\n', "is no value of InstitutionName (VR LO)"),
    "left open": (
        '[values."RIAGENDR"]\n"1" = "MEANING"\n',
        '"1": write what it means in the place of MEANING',
    ),
    "nothing": ('[values."RIAGENDR"]\n', "write what each code means"),
    "no table": ('[values]\nRIAGENDR = "M"\n', "write what each code means"),
    "no tables": ('values = "M"\n', 'write what codes mean under [values."COLUMN"]'),
    "a code twice": (
        '[values."SITE"]\n"1" = "A"\n" 1" = "B"\n',
        '[values."SITE"]: a code stands in it twice',
    ),
    "twice": (
        '[values."SITE"]\n"1" = "M"\n[values."site"]\n"1" = "F"\n',
        '[values."site"]: [values] has this',
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_map_is_named_before_anything_is_read(catalog: Catalog, fault: str) -> None:
    text, why = WRONG[fault]
    columns = MAPPING.partition("[values")[0]
    mapping = text + columns if text.startswith("values =") else columns + text
    told = catalog.write("m.toml", mapping)
    code, out, err = catalog.take(catalog.folder / "no-table.csv", "--archive", "a", "--mapping", str(told))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "m.toml: " in err
    assert why in err


NUMBERS = [
    ("EchoTrainLength", "12", "a"),
    ("Rows", "512", "1.5"),
    ("EchoTime", "2.5", "a"),
    ("StudyDate", "2/3/2010", "2010"),
]
NUMBERS += [
    ("StudyTime", "10:30", "25:00"),
    ("StudyInstanceUID", "1.2.3", "1.2.x"),
    ("DataURL", "https://x.org", "a b"),
]
NUMBERS += [("ImageType", r"ORIGINAL\\PRIMARY", r"ORIGINAL\\primary"), ("AcquisitionDuration", "1e3", "x")]


@pytest.mark.parametrize(("keyword", "good", "bad"), NUMBERS)
def test_a_value_is_one_that_the_keyword_can_have(
    catalog: Catalog, keyword: str, good: str, bad: str
) -> None:
    mapping = '[columns]\n"a" = "PatientID"\n"b" = "{}"\n[values."b"]\n"1" = "{}"\n'
    table = "a,b\nx,1\n"
    code, _, err = take(catalog, mapping.format(keyword, bad), table=table)
    assert (code, f"is no value of {keyword} (VR " in err) == (2, True)
    code, _, err = take(catalog, mapping.format(keyword, good), table=table)
    assert code == 0, err


def test_a_proposal_asks_what_the_codes_of_a_sex_mean(catalog: Catalog) -> None:
    table = catalog.write("t.csv", NHANES)
    code, out, _ = catalog.take(table, "--archive", "nhanes")
    assert (code, '"SEQN" = "PatientID"' in out, '"RIDAGEYR" = "PatientAge"' in out) == (2, True, True)
    assert '[values."RIAGENDR"]\n' in out
    told = catalog.write("mapping.toml", out)
    words = ("--archive", "nhanes", "--mapping", str(told))
    code, _, err = catalog.take(table, *words)
    assert (code, '[values."RIAGENDR"] "1": write what it means in the place of MEANING' in err) == (2, True)
    for mark, meaning in (("1", "M"), ("2", "F"), ("9", "")):
        out = out.replace(f'"{mark}" = "MEANING"', f'"{mark}" = "{meaning}"')
    told.write_text(out)
    code, _, err = catalog.take(table, *words)
    assert code == 0, err
    assert of(catalog.search("patients", "PatientSex=F"), "PatientID") == ["2", "3"]


@pytest.mark.parametrize("sexes", ["FM", "1F", "  ", "ab"])
def test_a_sex_in_words_needs_no_codes(catalog: Catalog, sexes: str) -> None:
    table = catalog.write("t.csv", "Subj,Gender\n" + "".join(f"{n},{sex}\n" for n, sex in enumerate(sexes)))
    assert "[values" not in catalog.take(table, "--archive", "mine")[1]


def test_a_proposal_keeps_that_a_last_line_has_no_end(catalog: Catalog) -> None:
    table = catalog.write("t.csv", "Subj,Gender\nA,F")
    assert "say --unended" in catalog.take(table, "--archive", "mine")[2]
    assert "--mapping mapping.toml --unended\n" in catalog.take(table, "--archive", "mine", "--unended")[1]
