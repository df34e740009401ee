"""The arguments of the commands about what is known: of archives, their collections, imported holdings."""

from __future__ import annotations

import argparse

from broker.cli import examples
from broker.cli.arguments.common import at_least_one, config, explained, quiet, repeated, seconds, timeout

_FORMS = ("table", "json", "csv", "markdown")


def archives(verb: argparse.ArgumentParser) -> None:
    """`broker archives`."""
    explained(verb, examples.ARCHIVES)
    verb.add_argument(
        "words", nargs="*", metavar="check [ARCHIVE ...] | add NAME", help="nothing: list the archives"
    )
    verb.add_argument("--reset", action="store_true", help="check: ask also those that are left alone")
    verb.add_argument("--kind", metavar="ADAPTER", help="add: how it is spoken to: dicomweb, xnat ...")
    verb.add_argument("--url", help="add: where it is")
    for table in ("option", "limit", "auth"):
        repeated(verb, f"--{table}", "NAME=VALUE", f"add: one {table}; repeat")
    repeated(verb, "--set", "FIELD=VALUE", "add: title, asked, trust ...")
    verb.add_argument("--unchecked", action="store_true", help="add: although it does not answer now")
    timeout(verb, 10.0, "check, add: for each archive (10)")
    repeated(verb, "--where", "CONDITION", "as in public_api=yes; may be repeated")
    verb.add_argument(
        "--include-unknown", action="store_true", help="also archives of which a condition is not known"
    )
    verb.add_argument("--pages", metavar="FOLDER", help="write what ships as Markdown pages there")
    verb.add_argument("--format", choices=("table", "json"), default="table")
    config(verb)


def matrix(verb: argparse.ArgumentParser) -> None:
    """`broker matrix`."""
    verb.add_argument("rows", nargs="*", metavar="ARCHIVE", help="only these archives or archive programs")
    _cells(verb)
    verb.add_argument("--table", choices=("archives", "software"), help="one of the two tables")
    verb.add_argument("--as-of", metavar="DATE", help="as it stood on this date, such as 2010-08")
    verb.add_argument(
        "--changed-since", metavar="DATE", help="cells that say something else than before this date"
    )
    verb.add_argument("--html", metavar="FILE", help="write one page to look at and to click through")
    verb.add_argument("--check", metavar="FOLDER", help="check the files of a folder like catalog/data")


def compare(verb: argparse.ArgumentParser) -> None:
    """`broker compare`."""
    verb.add_argument("rows", nargs="*", metavar="ARCHIVE", help="two or more archives, or archive programs")
    _cells(verb)


def _cells(verb: argparse.ArgumentParser) -> None:
    repeated(verb, "--capability", "NAME", "only this one; may be repeated, or a,b")
    verb.add_argument("--why", action="store_true", help="all the evidence of every cell")
    verb.add_argument("--format", choices=_FORMS, default="table")
    config(verb)


def collections(verb: argparse.ArgumentParser) -> None:
    """`broker collections`."""
    verb.add_argument("words", nargs="*", metavar="WORD", help="words that stand in its title or description")
    repeated(verb, "--where", "CONDITION", "as in modality=CT or patients>100")
    repeated(verb, "--at", "ARCHIVE", "only of this archive")
    repeated(verb, "--more", "NAME", "ask archives for this of each one found: modality,studies,series ...")
    verb.add_argument(
        "--most",
        type=int,
        default=100,
        metavar="N",
        help="so many of an archive asked about one by one (100)",
    )
    verb.add_argument(
        "--include-unknown", action="store_true", help="also collections of which a condition is not known"
    )
    timeout(verb, 30.0)
    verb.add_argument("--format", choices=_FORMS, default="table")
    config(verb)


def probe(verb: argparse.ArgumentParser) -> None:
    """`broker probe`."""
    explained(verb, examples.PROBE)
    verb.add_argument("archive", nargs="+", metavar="ARCHIVE", help="of the federation")
    _probing(verb, pause=0.0)


def sync(verb: argparse.ArgumentParser) -> None:
    """`broker sync`."""
    explained(verb, examples.PROBE)
    verb.add_argument("archive", nargs="*", metavar="ARCHIVE", help="only these (all that are not retired)")
    verb.add_argument(
        "--older-than", default="7d", metavar="AGE", help="whose last probe is older: 7d, 12h, 30m, 0 (7d)"
    )
    verb.add_argument(
        "--at-once", type=at_least_one, default=2, metavar="N", help="so many archives at once (2)"
    )
    _probing(verb, pause=0.2)


def _probing(verb: argparse.ArgumentParser, pause: float) -> None:
    verb.add_argument(
        "--pause", type=seconds, default=pause, metavar="SECONDS", help=f"between two questions ({pause:g})"
    )
    timeout(verb, 120.0, "for each archive (120)")
    verb.add_argument("--format", choices=("table", "json"), default="table")
    quiet(verb, "no progress")
    config(verb)


def catalog(verb: argparse.ArgumentParser) -> None:
    """`broker catalog`."""
    explained(verb, examples.CATALOG)
    verb.add_argument(
        "words", nargs="*", metavar="import FILE-OR-FOLDER | list | show ARCHIVE NAME | remove ARCHIVE"
    )
    verb.add_argument("--archive", metavar="NAME", help="import: whose holdings these are")
    verb.add_argument("--as", dest="kind", metavar="KIND", help="import: of this kind of file")
    verb.add_argument("--mapping", metavar="FILE", help="import: what the columns of a table are (TOML)")
    verb.add_argument("--collection", metavar="NAME", help="import: of rows that name none")
    verb.add_argument("--encoding", default="utf-8-sig", help="import: of text files (UTF-8)")
    verb.add_argument("--delimiter", metavar="CHARACTER", help="import: between the columns")
    verb.add_argument("--unended", action="store_true", help="import: the last line needs no line end")
    verb.add_argument("--replace", action="store_true", help="import: and forget what else is held")
    verb.add_argument("--moved-from", metavar="PLACE", help="import: it lay there before")
    verb.add_argument("--from", dest="from_place", metavar="PLACE", help="remove: only what came from there")
    verb.add_argument("--dry-run", action="store_true", help="import: only say what it would do")
    verb.add_argument("--rejected", metavar="FILE", help="import: write every rejected row there, as CSV")
    verb.add_argument("--format", choices=("table", "json"), default="table", help="list, show: how")
    quiet(verb, "no progress")
    config(verb)
