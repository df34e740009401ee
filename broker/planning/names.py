"""A condition on Collection as it reads at an archive that has other names for the same collections.

Nothing is taken away from what was asked: names are added that are known, or declared, to mean one of the
collections that the condition means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from broker.language.terms import Condition, Match
from broker.matching import compiled
from catalog.capability import Can, Kind
from catalog.collection_names import own_names

SHOWN = 3  # names that are listed in an explanation


def groups(aliases: Mapping[str, str]) -> tuple[frozenset[str], ...]:
    """The names of one collection, together, as the federation's `aliases` declare them."""
    found: dict[str, set[str]] = {}
    for name, other in aliases.items():
        found.setdefault(other, {other}).add(name)
    return tuple(frozenset(names) for names in found.values())


def there(c: Condition, can: Can, declared: Iterable[frozenset[str]]) -> tuple[str, ...]:
    """Names that collections of this condition have at an archive, beside those that it matches itself."""
    if c.keyword != "Collection" or c.universal or all(m.kind is Kind.EMPTY for m in c.matches):
        return ()
    test = compiled(c)
    found = [own for other, own in own_names(can.names).items() if test(other) and not test(own)]
    for names in declared:
        if any(test(name) for name in names):
            found += sorted(name for name in names if not test(name))
    return tuple(dict.fromkeys(found))


def widened(c: Condition, names: Iterable[str]) -> Condition:
    """The condition, satisfied by these names too."""
    more = tuple(Match(Kind.SINGLE, name) for name in names)
    return replace(c, matches=(*c.matches, *more)) if more else c


def said(names: tuple[str, ...]) -> str:
    """The names, for people: some of them, where there are many."""
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"there: {', '.join(names[:SHOWN])}{rest}"
