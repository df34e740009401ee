"""The table of keywords agrees with DICOM's dictionary (PS3.6), and every spelling is found."""

from __future__ import annotations

import pytest
from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

from catalog.keywords import OURS, SEVERAL, USUAL, Level, UnknownKeyword, keyword

DICOM = [k for k in USUAL.values() if k.tag]


@pytest.mark.parametrize("known", DICOM, ids=lambda k: str(k.name))
def test_the_table_agrees_with_the_dictionary(known: object) -> None:
    key = USUAL[getattr(known, "name", "")]
    assert tag_for_keyword(key.name) == int(key.tag, 16)
    assert dictionary_VR(key.tag) == key.vr


def test_ours_are_not_dicoms_and_are_all_explained() -> None:
    ours = {k.name for k in USUAL.values() if not k.tag}
    assert ours == set(OURS)
    assert all(tag_for_keyword(name) is None for name in ours)


def test_each_level_has_its_unique_key() -> None:
    """PS3.4 C.6.1.1, C.6.2.1."""
    assert [level.uid for level in Level] == ["PatientID", "StudyInstanceUID", "SeriesInstanceUID"]
    assert all(USUAL[level.uid].level is level for level in Level)
    assert Level.PATIENT < Level.STUDY < Level.SERIES


@pytest.mark.parametrize("text", ["Modality", "00080060", "(0008,0060)", "0008,0060"])
def test_a_keyword_by_any_of_its_names(text: str) -> None:
    assert keyword(text) is USUAL["Modality"]


def test_a_tag_in_small_letters() -> None:
    assert keyword("0020000d").name == "StudyInstanceUID"


def test_keywords_beyond_the_table_come_from_the_dictionary() -> None:
    found = keyword("EchoTime")
    assert (found.tag, found.vr, found.level) == ("00180081", "DS", Level.SERIES)
    assert keyword("00180081") == found


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("modality", "Modality"),
        ("PatientsName", "PatientName"),
        ("StudyDescripton", "StudyDescription"),
        ("EchoTimes", "EchoTime"),
        ("collection", "Collection"),
    ],
)
def test_an_unknown_keyword_brings_the_nearest(text: str, meant: str) -> None:
    with pytest.raises(UnknownKeyword, match=f"did you mean {meant}[?]"):
        keyword(text)


def test_nothing_is_suggested_for_nonsense() -> None:
    with pytest.raises(UnknownKeyword) as caught:
        keyword("qqqqqqqq")
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("text", ["00091001", "(0009,0010)", "00080000", "99999999", ""])
def test_private_and_unassigned_tags_are_unknown(text: str) -> None:
    with pytest.raises(UnknownKeyword, match="unknown DICOM"):
        keyword(text)


def test_a_keyword_of_many_tags_is_refused() -> None:
    """PS3.5 7.6 Repeating Groups: OverlayRows is 60xx0010."""
    with pytest.raises(UnknownKeyword, match="one of many tags for OverlayRows"):
        keyword("60020010")
    with pytest.raises(UnknownKeyword, match="unknown DICOM keyword"):
        keyword("OverlayRows")


PATH = "RequestAttributesSequence.ScheduledProcedureStepID"


def test_a_path_into_a_sequence() -> None:
    """The attribute path of PS3.18 8.3.4, by keyword or by tag."""
    found = keyword(PATH)
    assert (found.name, found.tag, found.vr) == (PATH, "00400275.00400009", "SH")
    assert (found.sequence, found.leaf) == ("RequestAttributesSequence", "ScheduledProcedureStepID")
    assert keyword("00400275.00400009") == keyword("(0040,0275).ScheduledProcedureStepID") == found


def test_a_keyword_outside_sequences_is_its_own_leaf() -> None:
    assert (USUAL["Modality"].sequence, USUAL["Modality"].leaf) == ("", "Modality")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Modality.CodeValue", "Modality is not a sequence"),
        ("RequestAttributesSequence.ScheduledProtocolCodeSequence.CodeValue", "nested too deeply"),
        ("RequestAttributesSequence.Collection", "does not stand in DICOM sequences"),
        ("RequestAttributesSequence.ScheduledProcedureStepIDs", "did you mean ScheduledProcedureStepID"),
        ("RequestAttributeSequence.CodeValue", "did you mean RequestAttributesSequence"),
        ("RequestAttributesSequence.", "unknown DICOM"),
        (".CodeValue", "unknown DICOM"),
    ],
)
def test_paths_that_lead_nowhere(text: str, why: str) -> None:
    with pytest.raises(UnknownKeyword, match=why):
        keyword(text)


def test_what_may_have_several_values_is_what_part_6_says() -> None:
    told = {k.name for k in USUAL.values() if k.tag and dictionary_VM(int(k.tag, 16)) != "1"}
    assert told | {"Collection"} == SEVERAL
