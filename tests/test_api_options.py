"""What people write in Python: conditions as keyword arguments, one text for one name, unknown options."""

from __future__ import annotations

import asyncio

import pytest

import broker
from broker.errors import BadQuery


def test_conditions_may_be_keyword_arguments() -> None:
    one = broker.search("series", "Modality=CT,MR", "Collection=rider_pilot", at=["idc"], limit=5)
    two = broker.search("series", Modality=["CT", "MR"], Collection="rider_pilot", at="idc", limit=5)
    assert [e.uid for e in one] == [e.uid for e in two]
    assert one.query == two.query


def test_one_text_is_one_name_or_several_by_comma() -> None:
    found = broker.count("series", Collection="rider_pilot", by="modality, license", at="idc")
    assert list(found.facets) == ["modality", "license"]
    answer = asyncio.run(
        broker.search_async("series", Collection="rider_pilot", at="idc", fields="Manufacturer", limit=1)
    )
    assert answer.complete


def test_an_option_that_there_is_not_is_answered_with_the_nearest() -> None:
    with pytest.raises(TypeError, match=r"unknown option 'modality'; .* did you mean Modality[?]"):
        broker.search("series", modality="CT")
    with pytest.raises(TypeError, match=r"did you mean limit[?]"):
        broker.count("series", lmit=3)


def test_a_query_takes_no_further_conditions() -> None:
    with pytest.raises(BadQuery, match=r"give conditions to the Query"):
        broker.explain(broker.Query("series"), Modality="CT")
