"""`broker complete LINE`: what the last word of a command line may become, one a line. For shells, quickly.

Keywords, levels, modalities, sexes, archives of the federation, saved cohorts, facets, options and their
choices, and the collections of the archives that are on this machine (remembered in the cache for a day).
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from broker.cli import OK
from broker.cli.commands import parser
from broker.errors import BrokerError
from catalog.keywords import USUAL

LEVELS = ("patients", "studies", "series")
DAY = 86_400.0


def run(args: argparse.Namespace) -> int:
    """Print the candidates."""
    for found in candidates(args.line):
        print(found)
    return OK


def candidates(line: str) -> list[str]:
    """What the last word of a line may become; nothing rather than an error."""
    words = _words(line)
    last, before = words[-1], words[1:-1]
    verbs = parser()[1]
    verb = next((w for w in before if w in verbs), None)
    if verb is None:
        return _starting(last, [v for v in verbs if v != "complete"])
    with contextlib.suppress(BrokerError, OSError):
        return sorted(_of(verbs[verb], before[before.index(verb) + 1 :], last, verb))
    return []


def _words(line: str) -> list[str]:
    """The words, the last one being what is typed now, perhaps nothing yet."""
    try:
        words = shlex.split(line)
    except ValueError:  # a quote that is still open
        words = line.split()
    return [*words, ""] if not words or line.endswith(" ") else words


def _of(verb: argparse.ArgumentParser, before: list[str], last: str, name: str) -> Iterator[str]:
    option, sign, typed = last.partition("=")
    actions = {o: action for action in verb._actions for o in action.option_strings}
    waiting = actions.get(before[-1]) if before else None
    if waiting is not None and waiting.nargs != 0:
        yield from _listed(typed=last, known=_for(waiting))
    elif option in actions and sign:
        yield from (f"{option}={v}" for v in _listed(typed, _for(actions[option])))
    elif last.startswith("-"):
        yield from _starting(last, actions)
    elif sign:
        yield from (f"{option}={v}" for v in _listed(typed, _values(option)))
    else:
        places = [a for a in verb._actions if not a.option_strings]
        for place in places[min(len(before), len(places) - 1) :][:1] if places else []:
            yield from _starting(last, _for(place))
        if name in ("manifest", "describe") and not before:
            yield from _starting(last, _cohorts())


def _for(action: argparse.Action) -> Iterable[str]:
    """What the value of an option, or a word in its place, may be."""
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    return _METAVARS.get(str(action.metavar), list)()


def _listed(typed: str, known: Iterable[str]) -> Iterator[str]:
    """The last of several by comma."""
    given, comma, last = typed.rpartition(",")
    return (f"{given}{comma}{v}" for v in _starting(last, known))


def _starting(typed: str, known: Iterable[str]) -> list[str]:
    return [word for word in known if word.startswith(typed)]


def _values(keyword: str) -> Iterable[str]:
    from broker.language.hints import USUAL_VALUES

    return _collections() if keyword == "Collection" else USUAL_VALUES.get(keyword, [])


def _conditions() -> list[str]:
    return [*LEVELS, *(f"{keyword}=" for keyword in USUAL)]


def _facets() -> list[str]:
    from broker.answering.counts import NAMES

    return ["archive", "year", *NAMES, *USUAL]


def _archives() -> list[str]:
    from broker.config import federation

    return list(federation().archives)


def _cohorts() -> list[str]:
    from broker.cohorts.store import names

    return names()


def _collections() -> list[str]:
    """The collections of the archives on this machine."""
    from catalog import places

    file = places.cache("collections.txt")
    with contextlib.suppress(OSError):
        if time.time() - file.stat().st_mtime < DAY:
            return file.read_text(encoding="utf-8").splitlines()
    found = sorted(_asked())
    _remember(file, found)
    return found


def _asked() -> set[str]:
    import asyncio

    from broker.adapter import Collects
    from broker.config import federation
    from broker.registry import adapter_for

    found: set[str] = set()
    near = [a for a in federation().archives.values() if a.state == "embedded"]
    for adapter in map(adapter_for, near):
        if isinstance(adapter, Collects):
            found.update(c.id for c in asyncio.run(adapter.collections()) if not c.derived)
    return found


def _remember(file: Path, found: list[str]) -> None:
    from broker.files import whole

    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole(file) as stream:
            stream.write("".join(f"{name}\n" for name in found if name.isprintable()).encode())


_METAVARS = {
    "LEVEL | KEYWORD=VALUE": _conditions,
    "KEYWORD": lambda: list(USUAL),
    "KEYWORD,...": lambda: list(USUAL),
    "FACET,...": _facets,
    "ARCHIVE": _archives,
    "NAME": _cohorts,
}
