"""Values that no record has, one for each VR: what archives are asked for to see whether they apply a key."""

from __future__ import annotations

from broker.meaning import values
from catalog.keywords import Keyword

NOBODY = "No such value"
_NOBODYS = {
    "UI": "2.25.1",
    "DA": "18000101",
    "TM": "035959.123",
    "DT": "18000101000000",
    "AS": "999D",
    "CS": "NO_SUCH",
    **dict.fromkeys(values.NUMBERS, "-98765"),
}


def nobodys(key: Keyword) -> str:
    """A value that no record has."""
    return _NOBODYS.get(key.vr, NOBODY)
