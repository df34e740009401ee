"""The command line: every command with what it is for. Only argparse is loaded."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence

from broker.cli import examples
from broker.cli.arguments import asking, keeping, knowing, shell
from broker.cli.arguments.common import explained

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

Takes = Callable[[argparse.ArgumentParser], None]

COMMANDS: tuple[tuple[str, Takes, str], ...] = (
    ("search", asking.search, "ask archives and print what they know, merged"),
    ("count", asking.count, "how many there are, without listing them where archives can count"),
    ("facets", asking.facets, "how many by archive, collection, modality, licence, year ..."),
    ("save", keeping.save, "keep a query and what it finds under a name"),
    ("rerun", keeping.rerun, "ask a saved query again, and keep what it finds now"),
    ("diff", keeping.diff, "what appeared, vanished and changed between two runs"),
    ("cohorts", keeping.cohorts, "the saved queries and their runs"),
    ("manifest", keeping.manifest, "lists for download tools, with sizes, licences and citations"),
    ("get", keeping.get, "fetch the instances: checked, resumable, from any copy"),
    ("describe", keeping.describe, "as a data set (Croissant, schema.org, DCAT) or as FHIR studies"),
    ("explain", asking.explain, "what would be asked where, checked here, or refused, and why"),
    ("show", asking.show, "every archive's word on one study or series, side by side"),
    ("candidates", asking.candidates, "patients or studies that may be one; nothing is merged"),
    ("archives", knowing.archives, "the archives of the federation and what is known of them"),
    ("matrix", knowing.matrix, "what is known of archives and archive software, with its evidence"),
    ("compare", knowing.compare, "archives, or archive programs, capability by capability"),
    ("probe", knowing.probe, "ask an archive what it really does, as evidence"),
    ("sync", knowing.sync, "probe the archives again, and say what changed"),
    ("collections", knowing.collections, "data sets as a whole: how many patients, which licence"),
    ("catalog", knowing.catalog, "import files that archives hand out, and search them with the rest"),
    ("completion", shell.completion, "a script that completes words in your shell"),
    ("complete", shell.complete, ""),  # for that script, and not shown to people
    ("schema", shell.schema, "the JSON Schema of `search --format json`"),
)


class Parser(argparse.ArgumentParser):
    """A command line that is refused in one line, with the nearest option."""

    def error(self, message: str) -> NoReturn:
        """End with code 2."""
        unknown = re.search(r"unrecognized arguments: (--[\w-]+)", message)
        options = [o for o in self._option_string_actions if o.startswith("--")]
        meant = (_near(unknown[1], options) or _condition(unknown[1])) if unknown else ""
        self.exit(2, f"broker: {message}{meant} ({self.prog} --help lists what there is)\n")


def _condition(option: str) -> str:
    """For an option that is called as a keyword is: how a condition is written."""
    from catalog.keywords import USUAL

    called = next((k for k in USUAL if k.lower() == option.replace("-", "").lower()), "")
    return f"; a condition is written {called}=VALUE" if called else ""


def unknown(word: str) -> str:
    """What is wrong with a word that is no command."""
    condition = "=" in word or "~" in word
    meant = "; did you mean broker search?" if condition else _near(word, [c[0] for c in COMMANDS if c[2]])
    return f"unknown command {word!r}{meant}"


def _near(word: str, known: Sequence[str]) -> str:
    from catalog.nearest import near

    return near(word, known)


def parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The command line, and its commands by name."""
    top = Parser(prog="broker", description="One query across many medical-imaging archives.")
    explained(top, examples.SEARCH)
    top.add_argument("--version", action="store_true", help="print the version and exit")
    verbs = top.add_subparsers(dest="verb", metavar="COMMAND")
    for name, takes, about in COMMANDS:
        takes(verbs.add_parser(name, help=about) if about else verbs.add_parser(name))
    return top, dict(verbs.choices)
