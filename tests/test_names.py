"""One name of a collection finds what archives call by another; nothing else is found, nothing lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from asking import ask, uids
from hypothesis import given
from hypothesis import strategies as st

import broker
from adapters.idc.adapter import IDC
from adapters.nbia.scopes import NBIA, scopes
from broker.matching import compiled
from broker.plan import Wish, plan
from broker.planning.names import groups, there, widened
from broker.query import Query, condition
from catalog.capability import Can, Kind
from catalog.collection_names import own_names
from catalog.keywords import Level

ANY = frozenset(Kind) - {Kind.RANGE, Kind.ANY_CASE}
PLAIN = Can(frozenset({Level.SERIES}), {"Collection": ANY}, lists_all=True)


def test_the_names_are_those_of_the_installed_index() -> None:
    import duckdb
    import idc_index_data

    file = Path(str(idc_index_data.IDC_INDEX_PARQUET_FILEPATH)).with_name("collections_index.parquet")
    rows = duckdb.connect().execute(f"SELECT collection_name, collection_id FROM '{file}'").fetchall()
    assert {name: own for name, own in rows if name != own} == own_names("idc")
    assert len(own_names("tcia")) == len(own_names("idc"))  # one to one


async def test_one_question_finds_the_collection_under_both_names() -> None:
    asked = [
        await ask("patients", f"Collection={n}", at=["idc"], timeout=60) for n in ("LIDC-IDRI", "lidc_idri")
    ]
    assert [len(a) for a in asked] == [1010, 1010]
    assert {e.first("Collection") for e in asked[0]} == {"lidc_idri"}  # as the archive calls it
    assert broker.count("patients", "Collection=LIDC-IDRI", at=["idc"]).total.low == 1010
    assert len(await ask("patients", "Collection=Lidc-Idri", at=["idc"])) == 0  # nobody calls it so


@pytest.mark.parametrize(
    ("text", "can", "names"),
    [
        ("LIDC-IDRI", IDC, ("lidc_idri",)),
        ("lidc_idri", IDC, ()),
        ("lidc_idri", NBIA, ("LIDC-IDRI",)),
        ("LIDC-IDRI", NBIA, ()),
        ("LIDC-IDRI", PLAIN, ()),
        ("RIDER Lung*", IDC, ("rider_lung_ct", "rider_lung_pet_ct")),
        ('""', IDC, ()),
        ("*", IDC, ()),
    ],
)
def test_names_are_added_where_an_archive_has_others(text: str, can: Can, names: tuple[str, ...]) -> None:
    assert there(condition(f"Collection={text}"), can, ()) == names


def test_the_plan_asks_by_every_name_and_says_so() -> None:
    made = plan(Query("SERIES", "Collection=LIDC-IDRI"), "idc", IDC, Wish())
    assert made.asked() == ["Collection=LIDC-IDRI,lidc_idri"]
    assert made.steps[0].why.startswith("there: lidc_idri; promised")
    asked = plan(Query("SERIES", "Collection~lidc-idri"), "tcia", NBIA, Wish(scan=True)).asks[0]
    assert list(scopes(asked, ["LIDC-IDRI", "NLST"])) == [{"Collection": "LIDC-IDRI"}]
    mixed = plan(Query("SERIES", "Collection~lidc-idri"), "idc", IDC, Wish())
    assert mixed.asked() == ["Collection~lidc-idri or Collection=lidc_idri"]


def test_declared_aliases_hold_everywhere_and_in_both_directions() -> None:
    same = groups({"LUNG": "lung_1", "Lung project": "lung_1"})
    for name in ("LUNG", "Lung project", "lung_1"):
        made = plan(Query("SERIES", f"Collection={name}"), "x", PLAIN, Wish(same=same))
        values = {m.text for m in made.asks[0].conditions[0].matches}
        assert values == {"LUNG", "Lung project", "lung_1"}
    assert plan(Query("SERIES", "Collection=OTHER"), "x", PLAIN, Wish(same=same)).steps[0].exact


async def test_aliases_of_the_federation_file_act_in_matching(tmp_path: Path) -> None:
    file = tmp_path / "federation.toml"
    rows = ", ".join(f'{{ SeriesInstanceUID = "1.{n}", Collection = "{c}" }}' for n, c in enumerate("abc"))
    file.write_text(
        f'[links]\naliases = {{ "A" = "a", "B" = "b" }}\n[archives.x]\nadapter = "rows"\n'
        f'options = {{ level = "SERIES", records = [{rows}] }}\n'
    )
    answer = await ask("series", "Collection=A", at=["x"], config_file=file)
    assert uids(answer) == {"1.0"}
    assert {e.first("Collection") for e in answer} == {"a"}


TEXTS = st.sampled_from(["LIDC-IDRI", "lidc_idri", "TCGA-*", "tcga_luad", "NLST,CMMD", "??ST", "x"])


@given(TEXTS, st.sampled_from([*own_names("idc"), *own_names("tcia"), "x", "LIDC", "lidc-idri"]))
def test_what_is_asked_still_matches_and_beyond_it_only_other_names(text: str, name: str) -> None:
    asked = condition(f"Collection={text}")
    more = widened(asked, there(asked, IDC, ()))
    before, after = compiled(asked)(name), compiled(more)(name)
    foreign = own_names("tcia").get(name)
    assert after is (before or (foreign is not None and compiled(asked)(foreign)) or False)


def test_a_lost_promise_does_not_lose_the_names() -> None:
    can = replace(IDC.without(["Collection"]), lists_all=True)
    made = plan(Query("SERIES", "Collection=LIDC-IDRI"), "idc", can, Wish(scan=True))
    assert made.checked() == ["Collection=LIDC-IDRI,lidc_idri"]
