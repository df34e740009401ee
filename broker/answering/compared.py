"""What an archive counted by itself beside what was listed of it."""

from __future__ import annotations

from collections.abc import Mapping

from broker.adapter import Facet, Tally
from broker.answering.counts import Listed


def difference(names: Mapping[str, Facet | None], tally: Tally, listed: Listed) -> str:
    """The first number that differs, in words; "" where all agree.

    A number that may count one entity more than once (`Tally.exact`) differs only where it is too small.
    """
    if _differ(tally, tally.total, listed.total):
        return f"it counts {tally.total:,}, {listed.total:,} were listed"
    for name, facet in names.items():
        if facet is None:
            continue
        said, found = tally.groups[facet], listed.groups.get(name, {})
        for value in dict.fromkeys([*said, *found]):
            if _differ(tally, said.get(value, 0), found.get(value, 0)):
                about = f"{name} {value or '(no value)'}"
                return f"it counts {said.get(value, 0):,} of {about}, {found.get(value, 0):,} were listed"
    return ""


def _differ(tally: Tally, said: int, listed: int) -> bool:
    return said != listed if tally.exact else said < listed
