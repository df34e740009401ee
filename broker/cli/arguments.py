"""The arguments of the verbs that ask, count, keep and list; only argparse is loaded."""

from __future__ import annotations

import argparse

from broker.cli import examples


def query(verb: argparse.ArgumentParser, epilog: str = examples.SEARCH) -> None:
    """What to ask, and whom."""
    verb.epilog, verb.formatter_class = epilog, argparse.RawDescriptionHelpFormatter
    verb.add_argument(
        "words",
        nargs="*",
        metavar="LEVEL | KEYWORD=VALUE",
        help="patients, studies or series, and conditions",
    )
    verb.add_argument("--level", help="patients, studies (default) or series")
    verb.add_argument(
        "--at",
        action="append",
        default=[],
        metavar="ARCHIVE",
        help="ask this archive; may be repeated, or a,b",
    )
    verb.add_argument(
        "--field", action="append", default=[], metavar="KEYWORD", help="also ask for this attribute"
    )
    verb.add_argument(
        "--scan", action="store_true", help="an archive may be listed whole where nothing can be asked there"
    )
    verb.add_argument(
        "--reveal", action="store_true", help="identifying values may be shown to public archives"
    )
    verb.add_argument("--config", metavar="FILE", help="federation file")


def listing(verb: argparse.ArgumentParser) -> None:
    """How much of the records."""
    verb.add_argument(
        "--limit", type=int, metavar="N", help="at most N entities (table: 100 unless told; 0: all)"
    )
    verb.add_argument(
        "--include-unknown", action="store_true", help="also records that leave a condition undecided"
    )


def count(verb: argparse.ArgumentParser) -> None:
    """`broker count`."""
    query(verb, examples.COUNT)
    _counting(verb)
    verb.add_argument("--by", action="append", default=[], metavar="FACET,...", help="also by these facets")


def facets(verb: argparse.ArgumentParser) -> None:
    """`broker facets`."""
    query(verb, examples.COUNT)
    _counting(verb)
    verb.add_argument(
        "--by",
        action="append",
        default=[],
        metavar="FACET,...",
        help="these facets instead of the usual ones",
    )


def _counting(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--exact",
        action="store_true",
        help="list where several archives have some, so that equal UIDs count once",
    )
    verb.add_argument(
        "--check",
        action="store_true",
        help="list what archives count too, and say where that differs",
    )
    verb.add_argument(
        "--top", type=int, default=20, metavar="N", help="values of a facet in the table (20; 0: all)"
    )
    verb.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS")
    verb.add_argument("--format", choices=("table", "json", "csv"), default="table")
    verb.add_argument("--quiet", "-q", action="store_true", help="no progress and no reports")


def save(verb: argparse.ArgumentParser) -> None:
    """`broker save`."""
    verb.add_argument("name", metavar="NAME", help="letters, digits, . _ -")
    query(verb, examples.COHORTS)
    listing(verb)
    _kept(verb)


def rerun(verb: argparse.ArgumentParser) -> None:
    """`broker rerun`."""
    _named(verb)
    verb.add_argument("--config", metavar="FILE", help="federation file")
    _kept(verb)


def diff(verb: argparse.ArgumentParser) -> None:
    """`broker diff`."""
    _named(verb)
    verb.add_argument(
        "--since", metavar="DATE", help="compare with the last run up to then (2026-11, 20261123T04)"
    )
    verb.add_argument("--format", choices=("table", "json"), default="table")
    verb.add_argument("--folder", metavar="DIR", help="where cohorts are kept")


def cohorts(verb: argparse.ArgumentParser) -> None:
    """`broker cohorts`."""
    verb.add_argument("--format", choices=("table", "json"), default="table")
    verb.add_argument("--folder", metavar="DIR", help="where cohorts are kept")


def manifest(verb: argparse.ArgumentParser) -> None:
    """`broker manifest`."""
    query(verb, examples.MANIFEST)
    listing(verb)
    verb.add_argument("--kind", choices=examples.KINDS, default="csv", help="the form (csv)")
    verb.add_argument(
        "--prefer", default="order", metavar="RULE", help="which copy: order, instances or license (order)"
    )
    verb.add_argument("--run", metavar="TIME", help="a run of the cohort (the latest)")
    verb.add_argument(
        "--output", "-o", metavar="FILE", help="write there; for dimse a folder: query files too"
    )
    _kept(verb)


def get(verb: argparse.ArgumentParser) -> None:
    """`broker get`."""
    query(verb, examples.GET)
    listing(verb)
    verb.add_argument("--output", "-o", metavar="DIR", required=True, help="the folder that instances go to")
    verb.add_argument(
        "--prefer",
        default="order",
        metavar="RULE",
        help="which copy first: order, instances, license, nearest",
    )
    verb.add_argument("--verify", action="store_true", help="read again, and check, what is here already")
    verb.add_argument("--run", metavar="TIME", help="a run of the cohort (the latest)")
    _kept(verb)


def describe(verb: argparse.ArgumentParser) -> None:
    """`broker describe`."""
    query(verb, examples.DESCRIBE)
    listing(verb)
    verb.add_argument(
        "--as", dest="form", choices=examples.FORMS, default="schemaorg", help="the form (schemaorg)"
    )
    verb.add_argument(
        "--title", metavar="TEXT", help="the name of the data set (the cohort's name, or the query)"
    )
    verb.add_argument("--run", metavar="TIME", help="a run of the cohort (the latest)")
    verb.add_argument("--output", "-o", metavar="FILE", help="write there; for croissant a folder")
    _kept(verb)


def _named(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("name", metavar="NAME", help="a saved query")
    verb.epilog, verb.formatter_class = examples.COHORTS, argparse.RawDescriptionHelpFormatter


def _kept(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--folder", metavar="DIR", help="where cohorts are kept (the user's data directory)")
    verb.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS")
    verb.add_argument("--quiet", "-q", action="store_true", help="no progress and no reports")


def probe(verb: argparse.ArgumentParser) -> None:
    """`broker probe`."""
    verb.epilog, verb.formatter_class = examples.PROBE, argparse.RawDescriptionHelpFormatter
    verb.add_argument("archive", nargs="+", metavar="ARCHIVE", help="of the federation")
    _probing(verb, pause=0.0)


def sync(verb: argparse.ArgumentParser) -> None:
    """`broker sync`."""
    verb.epilog, verb.formatter_class = examples.PROBE, argparse.RawDescriptionHelpFormatter
    verb.add_argument("archive", nargs="*", metavar="ARCHIVE", help="only these (all that are not retired)")
    verb.add_argument(
        "--older-than", default="7d", metavar="AGE", help="whose last probe is older: 7d, 12h, 30m, 0 (7d)"
    )
    verb.add_argument("--at-once", type=int, default=2, metavar="N", help="so many archives at once (2)")
    _probing(verb, pause=0.2)


def _probing(verb: argparse.ArgumentParser, pause: float) -> None:
    verb.add_argument(
        "--pause", type=float, default=pause, metavar="SECONDS", help=f"between two questions ({pause:g})"
    )
    verb.add_argument(
        "--timeout", type=float, default=120.0, metavar="SECONDS", help="for each archive (120)"
    )
    verb.add_argument("--format", choices=("table", "json"), default="table")
    verb.add_argument("--quiet", "-q", action="store_true", help="no progress")
    verb.add_argument("--config", metavar="FILE", help="federation file")


def completion(verb: argparse.ArgumentParser) -> None:
    """`broker completion`."""
    verb.add_argument("shell", choices=("bash", "zsh", "fish"))
    verb.epilog, verb.formatter_class = examples.COMPLETION, argparse.RawDescriptionHelpFormatter


def complete(verb: argparse.ArgumentParser) -> None:
    """`broker complete`: for the shell's script, not for people."""
    verb.add_argument("line", help="the command line up to the cursor")
