"""Whatever stands in an archive's options: an adapter, or a BadConfig that names archive and option."""

from __future__ import annotations

import re
import tomllib

import pytest

from broker.errors import BadConfig
from broker.registry import adapter_for, adapters
from catalog.archives import Archive

URLS = {"dicomweb": "http://x/dicom-web", "dimse": "dimse://A@x:104", "idc": "", "local": "", "rows": ""}
VALUES = [
    "1", "-1", "0", "1.5", "inf", "true", '""', '"x"', r'"\u0000"', "[]", '["x"]', "[1]", "[[1]]", "{}",
    "{x = 1}", "{Modality = 1}", '{Modality = ["x"]}', "[{x = 1}]", "[{Modality = [1]}]", "2020-01-01",
    "[{Modality = {a = 1}}]", "99999999999999999999", '{Modality = ["single"]}', '[{Modality = "CT"}]',
]  # fmt: skip


def made(adapter: str, options: dict[str, object]) -> str:
    """What is wrong; nothing where an adapter could be made."""
    try:
        adapter_for(Archive("mine", adapter, url=URLS.get(adapter, "http://x"), options=options))
    except BadConfig as error:
        return str(error)
    return ""


def known(adapter: str) -> list[str]:
    """The options of an adapter, as it tells them who asks for another."""
    told = re.search(r"known are (.*)", made(adapter, {"?": 1}))
    return told[1].split(", ") if told else []


@pytest.mark.parametrize("adapter", adapters())
def test_an_option_is_taken_or_refused_by_name(adapter: str) -> None:
    options = known(adapter)
    for option in options:
        told = [made(adapter, {option: tomllib.loads(f"v = {text}")["v"]}) for text in VALUES]
        assert any(told), f"{option} takes anything"
        assert all("mine" in text and option in text for text in told if text), (option, told)
    assert options or adapter == "girder"


def test_records_are_tables_of_keywords() -> None:
    assert "did you mean Modality?" in made("rows", {"records": [{"Modalty": "CT"}]})
    assert "list of tables" in made("rows", {"records": ["x"]})
    assert "level" in made("rows", {"level": "studdy"})
    assert "did you mean records?" in made("rows", {"recrods": []})


@pytest.mark.parametrize("adapter", ["dicomweb", "xnat", "nbia", "midas", "girder"])
def test_an_address_of_another_protocol_is_refused_by_the_archives_name(adapter: str) -> None:
    with pytest.raises(BadConfig, match="archive mine: not an HTTP address: 'dimse://x:104"):
        adapter_for(Archive("mine", adapter, url="dimse://x:104"))
