"""What the words of archives on one entity come to: what to show, their own form, what cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from broker.matching import Value
from broker.meaning.normal import UNREADABLE, normal

Said = Mapping[str, Mapping[str, Value]]
"""archive -> keyword -> value, in the order of precedence of the archives."""

UNION = frozenset({"ModalitiesInStudy", "SOPClassesInStudy"})
"""Of these an archive knows those of its own copy; all of them together are right."""


def shown(said: Said) -> dict[str, Value]:
    """keyword -> the value to show: of the first archive that gives one, of UNION those of all."""
    found: dict[str, Value] = {}
    for own in said.values():
        for keyword, value in own.items():
            if found.get(keyword) in (None, ""):
                found[keyword] = value
            elif keyword in UNION:
                found[keyword] = together((found[keyword], value))
    return found


def in_form(said: Said) -> dict[str, dict[str, Value]]:
    """archive -> keyword -> the value in DICOM's own form, where the archive wrote it otherwise."""
    found: dict[str, dict[str, Value]] = {}
    for archive, own in said.items():
        for keyword, value in own.items():
            raw = tuple(listed(value))
            items = tuple(normal(keyword, v).value for v in raw)
            if items != raw:
                found.setdefault(archive, {})[keyword] = items if len(items) > 1 else items[0]
    return found


def unreadable(said: Said) -> dict[str, tuple[str, ...]]:
    """archive -> keywords of which the value cannot be read as what it should be."""
    flagged = {
        archive: tuple(k for k, value in own.items() if any(_flagged(k, item) for item in listed(value)))
        for archive, own in said.items()
    }
    return {archive: keywords for archive, keywords in flagged.items() if keywords}


def _flagged(keyword: str, item: str) -> bool:
    return normal(keyword, item).flag == UNREADABLE


def together(said: Sequence[Value]) -> Value:
    """What one archive says in several records; nothing is overwritten."""
    if len(said) == 1:
        return said[0]
    different = [value for value in dict.fromkeys(said) if value != ""]
    if len(different) < 2:
        return different[0] if different else ""
    items: Iterable[Any] = chain.from_iterable((v,) if isinstance(v, str) else v or () for v in different)
    return tuple(dict.fromkeys(items))


def listed(value: Value) -> Iterable[str]:
    """The texts of a value; the items of a sequence are none."""
    return (value,) if isinstance(value, str) else [v for v in value or () if isinstance(v, str)]
