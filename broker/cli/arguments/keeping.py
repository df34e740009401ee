"""The arguments of the commands that keep what was found, and hand it on."""

from __future__ import annotations

import argparse

from broker.cli import examples
from broker.cli.arguments.common import config, explained, listing, preferring, query, quiet, timeout


def save(verb: argparse.ArgumentParser) -> None:
    """`broker save`."""
    verb.add_argument("name", metavar="NAME", help="letters, digits, . _ -")
    query(verb, examples.COHORTS)
    listing(verb)
    _kept(verb)


def rerun(verb: argparse.ArgumentParser) -> None:
    """`broker rerun`."""
    _named(verb)
    config(verb)
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
    preferring(verb, "which copy")
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
    preferring(verb, "which copy first")
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
    explained(verb, examples.COHORTS)


def _kept(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--folder", metavar="DIR", help="where cohorts are kept (the user's data directory)")
    timeout(verb, 30.0)
    quiet(verb, "no progress and no reports")
