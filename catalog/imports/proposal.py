"""A mapping to begin with, for a table with columns that nobody knows."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from catalog.imports import words
from catalog.imports.cells import code
from catalog.keywords import USUAL, in_any_case

LOOKED_AT = 1000  # rows in which codes are looked for
CODES = 10  # more numbers than these are no codes

# what tables of research call things, without spaces and marks, in lower case
ALIASES = {
    "PatientID": "subject subjectid subjectidentifier patient patientid participantid subjectkey id seqn",
    "PatientSex": "sex gender riagendr hssex",
    "PatientAge": "age ageyears ageatscan ageatfirstscanyears ridageyr",
    "PatientWeight": "weight weightkg",
    "StudyDate": "date studydate scandate acqdate acquisitiondate visitdate examdate interviewdate",
    "SeriesDate": "seriesdate",
    "StudyKey": "session sessionid exam examid",
    "ClinicalTrialTimePointID": "visit visitid visitcode viscode timepoint",
    "SeriesKey": "image imageid imagedataid scan scanid series seriesid file filename imagefile",
    "SeriesDescription": "description seriesdescription scantype sequence protocol imagedescription",
    "StudyDescription": "studydescription visitname studyname",
    "Modality": "modality imagemodality imagingmodality",
    "BodyPartExamined": "bodypart bodypartexamined anatomy region",
    "Manufacturer": "manufacturer vendor scannermanufacturer make",
    "ManufacturerModelName": "model scannermodel mfgmodel scannertype",
    "MagneticFieldStrength": "fieldstrength magneticfieldstrength field",
    "Collection": "collection project dataset projectname projectid collectionid",
    "NumberOfSeriesRelatedInstances": "images slices instances numberofimages imagecount",
    "InstitutionName": "site institution center centre",
    "DataURL": "url link dataurl",
    "License": "license licence",
}
_BY_ALIAS = {alias: name for name, told in ALIASES.items() for alias in told.split()}


def proposed(names: list[str], rows: Iterable[list[str]] = ()) -> str:
    """A mapping to begin with: what is surely known, what is like something, and what is not known.

    `rows` are some of the table, in which the codes of a sex are looked for.
    """
    known, open_, taken = [], [], set()
    coded: list[str] = []
    for name in filter(None, names):
        guess = guessed(name)
        line = f"{_quoted(name)} = {_quoted(guess)}"
        if guess and guess.split(" ")[0] not in taken:
            taken.add(guess.split(" ")[0])
            known.append(line)
            if guess == "PatientSex":
                coded = _codes(name, [row[names.index(name)] for row in rows])
        else:
            open_.append(f"# {_quoted(name)} = {_quoted('KEYWORD')}")
    return "\n".join(['level = "series"  # or patient, or study', "[columns]", *known, *open_, *coded, ""])


def _codes(name: str, cells: list[str]) -> list[str]:
    """Lines to be filled in for a column of sexes in which only numbers stand."""
    found = sorted({bare for cell in cells if (bare := words.said(cell))})
    codes = list(dict.fromkeys(map(code, found)))
    if not codes or len(codes) > CODES or not all(map(str.isdecimal, codes)):
        return []
    about = (
        '# M, F or O, or "" for a code that says nothing; often 1 is M and 2 F, but ask who made the table'
    )
    return [f"[values.{_quoted(name)}]", about, *(f'{_quoted(code)} = "MEANING"' for code in codes)]


def guessed(name: str) -> str:
    """The keyword that a column is most likely, or ""."""
    bare = re.sub(r"[^a-z0-9]", "", name.lower())
    months = ("month" in bare and "age" in bare) or bare in ("interviewage", "ridagemn")
    exact = in_any_case(bare)
    exact = exact if exact in USUAL else _BY_ALIAS.get(bare, exact)
    if months:
        return "PatientAge in months"
    if exact:
        return exact
    near = difflib.get_close_matches(bare, _BY_ALIAS, 1, 0.85)
    return _BY_ALIAS[near[0]] if near else ""


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else " " for c in escaped) + '"'
