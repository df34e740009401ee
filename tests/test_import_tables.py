"""Tables as programs and people really write them, and what is said of those that cannot be read."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from holdings import Catalog, of

HEADER = "Image Data ID,Subject,Group,Sex,Age,Visit,Modality,Description,Type,Acq Date"
LINE = "I1,777_S_1,CN,F,75,sc,MRI,MPRAGE,Original,6/21/2017"
IDA = f"{HEADER}\n{LINE}\n"


FORMS: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "plain": (IDA, ()),
    "byte order mark and CRLF": ("\ufeff" + IDA.replace("\n", "\r\n"), ()),
    "every cell quoted": ('"' + IDA.strip().replace(",", '","').replace("\n", '"\n"') + '"\n', ()),
    "upper case": (f"{HEADER.upper()}\n{LINE}\n", ()),
    "spaces around names": (f"{' , '.join(HEADER.split(','))}\n{LINE}\n", ()),
    "underscores": (f"{HEADER.replace(' ', '_')}\n{LINE}\n", ()),
    "points, as R writes": (f"{HEADER.replace(' ', '.')}\n{LINE}\n", ()),
    "other order": ("\n".join(",".join(reversed(one.split(","))) for one in (HEADER, LINE)) + "\n", ()),
    "other columns too": (f"{HEADER},,Format,\n{LINE},x,DCM,\n", ()),
    "a comma at the end of lines": (f"{HEADER}\n{LINE},\n", ()),
    "blank lines first": (f"\n\n{IDA}", ()),
    "semicolons": (IDA.replace(",", ";"), ("--delimiter", ";")),
    "tabs": (IDA.replace(",", "\t"), ("--delimiter", "tab")),
    "tabs, escaped": (IDA.replace(",", "\t"), ("--delimiter", r"\t")),
    "no last line end": (IDA.rstrip(), ("--unended",)),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_table_of_ida_in_any_form_says_the_same(catalog: Catalog, form: str) -> None:
    text, words = FORMS[form]
    code, _, err = catalog.take(catalog.write("t.csv", text), *words)
    assert code == 0, err
    (found,) = catalog.search("series", "SeriesKey=1", "StudyDate=20170621", "Modality=MR")
    assert (found["PatientID"], found["SeriesDescription"]) == ("777_S_1", "MPRAGE")
    assert found["StudyKey"] == "derived: 777_S_1 | sc | 20170621"


SAID: dict[str, tuple[str | bytes, tuple[str, ...], str]] = {
    "semicolons": (IDA.replace(",", ";"), (), "say --delimiter ';'"),
    "tabs": (IDA.replace(",", "\t"), ("--as", "loni"), "say --delimiter tab"),
    "two characters": (IDA, ("--delimiter", "::"), "write one character, or tab"),
    "CR only": (IDA.replace("\n", "\r"), (), "save it with usual line ends"),
    "for a spreadsheet": (f"sep=,\n{IDA}", (), "its first line is for spreadsheets only"),
    "Latin-1": (IDA.replace("MPRAGE", "Größe").encode("latin-1"), (), "as in --encoding latin-1"),
    "no encoding": (IDA, ("--encoding", "klingon"), "write utf-8, latin-1"),
    "UTF-16": (IDA.encode("utf-16"), (), "save it as UTF-8"),
}


@pytest.mark.parametrize("form", SAID)
def test_what_cannot_be_read_says_what_to_do(catalog: Catalog, form: str) -> None:
    text, words, why = SAID[form]
    code, out, err = catalog.take(catalog.write("t.csv", text), *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert why in err


def test_a_row_says_the_line_it_begins_in(catalog: Catalog) -> None:
    text = 'PatientID,SeriesDescription\nA,"one\ntwo"\nB\nC,three\n'
    code, _, err = catalog.take(catalog.write("t.csv", text), "--archive", "mine")
    assert (code, "line 4: 1 cells where the header has 2" in err) == (3, True)
    assert of(catalog.search("series", "PatientID=A"), "SeriesDescription") == ["one\ntwo"]


@pytest.mark.parametrize("header", ["PatientID,EchoTime,SeriesKey", "patientid,ECHOTIME,serieskey"])
def test_every_dicom_keyword_is_a_column(catalog: Catalog, header: str) -> None:
    code, _, err = catalog.take(catalog.write("t.csv", f"{header}\nA,2.5,1\n"), "--archive", "mine")
    assert code == 0, err
    assert of(catalog.search("series", "EchoTime=2.5"), "SeriesKey") == ["1"]


def test_a_proposal_is_followed_by_copy_and_paste(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (
        'Participant;Echo Time;Visit;"q ""x""";;Scan date\nA;2.5;bl;1;;2010-05-03\nB;2.5;bl;2;;2010-05-04\n'
    )
    table = catalog.write("my table.csv", text)
    for words in ((), ("--as", "csv", "--archive", "mine")):
        code, out, err = catalog.take(table, "--delimiter", ";", *words)
        assert (code, "a proposal is printed" in err) == (2, True)
        Path("mapping.toml").write_text(out)
    code, told, err = catalog.run(*shlex.split(out.splitlines()[1].removeprefix("# broker ")))
    assert (code, told.split(" (")[0]) == (0, "mine: 2 new, 0 changed, 0 as before"), err
    found = catalog.search("studies", "EchoTime=2.5")
    assert sorted(of(found, "StudyKey")) == ["derived: A | bl | 20100503", "derived: B | bl | 20100504"]


def test_tables_of_a_folder_are_read_by_one_mapping(catalog: Catalog) -> None:
    mapping = catalog.write("m.toml", '[columns]\n"S"="PatientID"\n"D"="StudyDate"\n')
    for name in ("a", "b"):
        catalog.write(f"in/{name}.csv", f"S;D\n{name};6/1/2010\n")
    catalog.write("in/notes.txt", "nothing of it\n")
    words = ("--archive", "mine", "--mapping", str(mapping), "--delimiter", ";")
    code, out, err = catalog.take(catalog.folder / "in", *words)
    assert (code, out.split(",")[0], "notes.txt: not of kind csv" in err) == (3, "mine: 2 new", True)
    assert sorted(of(catalog.search("series", "StudyDate=20100601"), "PatientID")) == ["a", "b"]


def test_a_folder_of_tables_is_recognized_with_its_delimiter(catalog: Catalog) -> None:
    for name in ("1", "2"):
        catalog.write(f"in/{name}.csv", IDA.replace(",", ";").replace("I1", f"I{name}"))
    code, _, err = catalog.take(catalog.folder / "in", "--delimiter", ";")
    assert code == 0, err
    assert sorted(of(catalog.search("series"), "SeriesKey")) == ["1", "2"]


WRONG = {
    "two columns for one": ('[columns]\n"S"="PatientID"\n"T"="PatientID"\n', "PatientID stands in it twice"),
    "a column and a constant": (
        '[columns]\n"S"="PatientID"\n[constants]\nPatientID="1"\n',
        "PatientID stands in it twice",
    ),
    "left open": ('[columns]\n"S"="KEYWORD"\n', "in the place of KEYWORD"),
    "no keyword": ('[columns]\n"S"="PatientId"\n', "did you mean PatientID"),
    "another unit": ('[columns]\n"S"="PatientAge in days"\n', "PatientAge in months"),
    "nested arrays": (f'[columns]\n"S"={"[" * 100_000}\n', "it is no mapping: nested too deeply"),
    "nested tables": (f"a={'{a=' * 100_000}", "it is no mapping: nested too deeply"),
    "a long number": (f"[columns]\nS={'1' * 5000}\n", "it is no mapping: "),
    "a table for a keyword": (f"[columns.S{'.a' * 50_000}]\n", '[columns] "S": write one value, in quotes'),
    "a table for a constant": (
        f'[columns]\n"S"="PatientID"\n[constants.Modality{".a" * 50_000}]\n',
        '[constants] "Modality": write one value, in quotes',
    ),
    "a table for the level": (
        f'[columns]\n"S"="PatientID"\n[level{".a" * 50_000}]\n',
        "write level (patient",
    ),
    "a text for columns": ('columns = "S"\n', "[columns] must be a table"),
    "no columns": ("[columns]\n", "[columns] must name columns"),
    "no column": ('[columns]\n"U"="PatientID"\n', "no column 'U'; it has S, T"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_mapping_is_named(catalog: Catalog, fault: str) -> None:
    text, why = WRONG[fault]
    table, mapping = catalog.write("t.csv", "S,T\n1,2\n"), catalog.write("m.toml", text)
    code, out, err = catalog.take(table, "--archive", "mine", "--mapping", str(mapping))
    assert (code, out) == (2, "")
    assert why in err
    assert err.count("\n") == 1
    assert ("m.toml" in err) is (fault != "no column")


def test_constants_are_read_as_cells_are(catalog: Catalog) -> None:
    table = catalog.write("t.csv", "S,T\n1,2\n")
    mapping = catalog.write("m.toml", '[columns]\n" s "="PatientID"\n[constants]\nModality="MRI"\n')
    assert catalog.take(table, "--archive", "mine", "--mapping", str(mapping))[0] == 0
    assert of(catalog.search("series", "Modality=MR"), "PatientID") == ["1"]


def test_a_study_of_two_patients_is_refused(catalog: Catalog) -> None:
    table = catalog.write("t.csv", "PatientID,StudyKey,SeriesKey\nA,bl,1\nA,m12,2\nB,bl,3\n")
    code, _, err = catalog.take(table, "--archive", "mine")
    assert (code, catalog.state()) == (2, b"")
    assert "'bl' is of patient 'A' in line 2 and of 'B' in line 4: map this column to ClinicalTrial" in err
