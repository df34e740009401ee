"""What the arguments of several commands have in common."""

from __future__ import annotations

import argparse

from broker.cli import examples


def explained(verb: argparse.ArgumentParser, epilog: str) -> None:
    """Examples below the help, in the lines that they have."""
    verb.epilog, verb.formatter_class = epilog, argparse.RawDescriptionHelpFormatter


def repeated(verb: argparse.ArgumentParser, name: str, metavar: str, text: str) -> None:
    """An option that may be given several times."""
    verb.add_argument(name, action="append", default=[], metavar=metavar, help=text)


def seconds(text: str) -> float:
    """A time of less than a day. Raises ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 to a day")
    return number


def at_least_one(text: str) -> int:
    """A number from 1 on. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text[:9]) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text[:9])


def timeout(verb: argparse.ArgumentParser, default: float, text: str | None = None) -> None:
    """How long it may take."""
    verb.add_argument("--timeout", type=float, default=default, metavar="SECONDS", help=text)


def config(verb: argparse.ArgumentParser) -> None:
    """Which federation file."""
    verb.add_argument("--config", metavar="FILE", help="federation file")


def quiet(verb: argparse.ArgumentParser, text: str) -> None:
    """What is left out on standard error."""
    verb.add_argument("--quiet", "-q", action="store_true", help=text)


def query(verb: argparse.ArgumentParser, epilog: str = examples.SEARCH, *, fields: bool = True) -> None:
    """What to ask, and whom; `fields`: and which attributes are wanted beside the usual ones."""
    explained(verb, epilog)
    verb.add_argument(
        "words",
        nargs="*",
        metavar="LEVEL | KEYWORD=VALUE",
        help="patients, studies or series, and conditions",
    )
    verb.add_argument("--level", help="patients, studies (default) or series")
    repeated(verb, "--at", "ARCHIVE", "ask this archive; may be repeated, or a,b")
    if fields:
        repeated(verb, "--field", "KEYWORD", "also ask for this attribute")
    verb.add_argument(
        "--scan", action="store_true", help="an archive may be listed whole where nothing can be asked there"
    )
    verb.add_argument(
        "--reveal", action="store_true", help="identifying values may be shown to public archives"
    )
    config(verb)


def listing(verb: argparse.ArgumentParser) -> None:
    """How much of the records."""
    verb.add_argument(
        "--limit", type=int, metavar="N", help="at most N entities (table: 100 unless told; 0: all)"
    )
    verb.add_argument(
        "--include-unknown", action="store_true", help="also records that leave a condition undecided"
    )


def preferring(verb: argparse.ArgumentParser, what: str = "which of several copies is named first") -> None:
    """By which rule one of several copies is preferred."""
    verb.add_argument(
        "--prefer",
        choices=("order", "instances", "license", "nearest"),
        help=f"{what}: of the first archive, with most images, with the most open licence, or at the "
        "smallest declared distance (as the federation says)",
    )
