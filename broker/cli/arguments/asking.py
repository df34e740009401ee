"""The arguments of the commands that ask archives."""

from __future__ import annotations

import argparse

from broker.cli import examples
from broker.cli.arguments.common import config, listing, preferring, query, quiet, repeated, timeout

FORMATS = ("table", "json", "ndjson", "csv", "parquet")


def search(verb: argparse.ArgumentParser) -> None:
    """`broker search`."""
    query(verb)
    listing(verb)
    verb.add_argument("--order", metavar="KEYWORD,...", help="sort the merged answer; -KEYWORD descending")
    preferring(verb)
    verb.add_argument("--after", metavar="CURSOR", help="the page of an ordered answer after this one")
    timeout(verb, 30.0, "for the whole answer (30)")
    verb.add_argument("--format", choices=FORMATS, help="how (as the name of --output ends, else table)")
    verb.add_argument("--output", "-o", metavar="FILE", help="write there instead of to standard output")
    verb.add_argument("--columns", metavar="KEYWORD,...", help="columns of the table")
    repeated(verb, "--require", "ARCHIVE", "no records unless it answers completely")
    verb.add_argument(
        "--strict", action="store_true", help="no records unless every archive answers completely"
    )
    quiet(verb, "no progress and no reports")
    verb.add_argument("--debug", action="store_true", help="log what goes wrong, query values included")


def explain(verb: argparse.ArgumentParser) -> None:
    """`broker explain`."""
    query(verb)
    listing(verb)
    verb.add_argument("--format", choices=("table", "json"), default="table")


def show(verb: argparse.ArgumentParser) -> None:
    """`broker show`."""
    verb.add_argument("uid", metavar="UID", help="a StudyInstanceUID or SeriesInstanceUID")
    repeated(verb, "--at", "ARCHIVE", "ask this archive")
    timeout(verb, 30.0)
    preferring(verb)
    verb.add_argument("--json", action="store_true", help="for machines")
    config(verb)


def candidates(verb: argparse.ArgumentParser) -> None:
    """`broker candidates`."""
    query(verb, examples.CANDIDATES)
    listing(verb)
    verb.add_argument(
        "--least",
        type=float,
        default=0.9,
        metavar="SCORE",
        help="candidates from this score on (0.9)",
    )
    timeout(verb, 30.0)
    verb.add_argument("--format", choices=("table", "json"), default="table")
    quiet(verb, "no reports")


def count(verb: argparse.ArgumentParser) -> None:
    """`broker count`."""
    query(verb, examples.COUNT, fields=False)
    _counting(verb)
    repeated(verb, "--by", "FACET,...", "also by these facets")


def facets(verb: argparse.ArgumentParser) -> None:
    """`broker facets`."""
    query(verb, examples.COUNT, fields=False)
    _counting(verb)
    repeated(verb, "--by", "FACET,...", "these facets instead of the usual ones")


def _counting(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--exact",
        action="store_true",
        help="list where several archives have some, so that equal UIDs count once",
    )
    verb.add_argument(
        "--check", action="store_true", help="list what archives count too, and say where that differs"
    )
    verb.add_argument(
        "--top", type=int, default=20, metavar="N", help="values of a facet in the table (20; 0: all)"
    )
    timeout(verb, 30.0)
    verb.add_argument("--format", choices=("table", "json", "csv"), default="table")
    quiet(verb, "no progress and no reports")
