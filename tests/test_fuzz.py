"""Spoiled bytes against every parser: an error of ours, or a result that holds together; nothing else."""

from __future__ import annotations

import contextlib

import pytest
from fuzz import Target, targets
from hypothesis import given, settings
from hypothesis import strategies as st

TARGETS = targets()


def spoiled(seeds: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """A seed with pieces cut, repeated, replaced; or any bytes."""

    @st.composite
    def made(draw: st.DrawFn) -> bytes:
        data = draw(st.sampled_from(seeds))
        for _ in range(draw(st.integers(0, 4))):
            at, end = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
            middle = draw(st.sampled_from([b"", data[at:end] * 2, None]))
            data = data[:at] + (draw(st.binary(max_size=8)) if middle is None else middle) + data[end:]
        return data

    return st.one_of(made(), st.binary(max_size=200))


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_read(name: str) -> None:
    target = TARGETS[name]
    for seed in target.seeds:
        with contextlib.suppress(*target.errors):
            target.run(seed)


@pytest.mark.parametrize("name", TARGETS)
def test_spoiled_bytes_end_in_an_error_of_ours(name: str) -> None:
    target: Target = TARGETS[name]

    @settings(max_examples=150)
    @given(spoiled(target.seeds))
    def check(data: bytes) -> None:
        with contextlib.suppress(*target.errors):
            target.run(data)

    check()
