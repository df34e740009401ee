"""The command `broker`. This module only reads the command line: what is heavy waits until it is needed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from broker.cli import arguments, examples

OK, BAD_QUERY, INCOMPLETE, NOTHING, BAD_CONFIG, INTERRUPTED, PIPE = 0, 2, 3, 4, 5, 130, 141

FORMATS = ("table", "json", "ndjson", "csv", "parquet")


def parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The command line, and its commands by name."""
    top = argparse.ArgumentParser(
        prog="broker",
        description="One query across many medical-imaging archives.",
        epilog=examples.SEARCH,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="store_true", help="print the version and exit")
    verbs = top.add_subparsers(dest="verb", metavar="COMMAND")
    _search(verbs.add_parser("search", help="ask archives and print what they know, merged"))
    arguments.count(
        verbs.add_parser("count", help="how many there are, without listing them where archives can count")
    )
    arguments.facets(
        verbs.add_parser("facets", help="how many by archive, collection, modality, licence, year ...")
    )
    arguments.save(verbs.add_parser("save", help="keep a query and what it finds under a name"))
    arguments.rerun(verbs.add_parser("rerun", help="ask a saved query again, and keep what it finds now"))
    arguments.diff(verbs.add_parser("diff", help="what appeared, vanished and changed between two runs"))
    arguments.cohorts(verbs.add_parser("cohorts", help="the saved queries and their runs"))
    arguments.manifest(
        verbs.add_parser("manifest", help="lists for download tools, with sizes, licences and citations")
    )
    arguments.get(verbs.add_parser("get", help="fetch the instances: checked, resumable, from any copy"))
    arguments.describe(
        verbs.add_parser("describe", help="as a data set (Croissant, schema.org, DCAT) or as FHIR studies")
    )
    _explain(verbs.add_parser("explain", help="what would be asked where, checked here, or refused, and why"))
    _show(verbs.add_parser("show", help="every archive's word on one study or series, side by side"))
    _candidates(verbs.add_parser("candidates", help="patients or studies that may be one; nothing is merged"))
    _archives(verbs.add_parser("archives", help="the archives of the federation and what is known of them"))
    _matrix(
        verbs.add_parser("matrix", help="what is known of archives and archive software, with its evidence")
    )
    _compare(verbs.add_parser("compare", help="archives, or archive programs, capability by capability"))
    arguments.probe(verbs.add_parser("probe", help="ask an archive what it really does, as evidence"))
    arguments.sync(verbs.add_parser("sync", help="probe the archives again, and say what changed"))
    _collections(
        verbs.add_parser("collections", help="data sets as a whole: how many patients, which licence")
    )
    _catalog(
        verbs.add_parser("catalog", help="import files that archives hand out, and search them with the rest")
    )
    arguments.completion(verbs.add_parser("completion", help="a script that completes words in your shell"))
    arguments.complete(verbs.add_parser("complete"))
    verbs.add_parser("schema", help="the JSON Schema of `search --format json`")
    return top, dict(verbs.choices)


def _search(verb: argparse.ArgumentParser) -> None:
    arguments.query(verb)
    arguments.listing(verb)
    verb.add_argument("--order", metavar="KEYWORD,...", help="sort the merged answer; -KEYWORD descending")
    _preferring(verb)
    verb.add_argument("--after", metavar="CURSOR", help="the page of an ordered answer after this one")
    verb.add_argument(
        "--timeout", type=float, default=30.0, metavar="SECONDS", help="for the whole answer (30)"
    )
    verb.add_argument("--format", choices=FORMATS, default="table")
    verb.add_argument("--output", "-o", metavar="FILE", help="write there instead of to standard output")
    verb.add_argument("--columns", metavar="KEYWORD,...", help="columns of the table")
    verb.add_argument(
        "--require",
        action="append",
        default=[],
        metavar="ARCHIVE",
        help="no records unless it answers completely",
    )
    verb.add_argument(
        "--strict", action="store_true", help="no records unless every archive answers completely"
    )
    verb.add_argument("--quiet", "-q", action="store_true", help="no progress and no reports")
    verb.add_argument("--debug", action="store_true", help="log what goes wrong, query values included")


def _explain(verb: argparse.ArgumentParser) -> None:
    arguments.query(verb)
    arguments.listing(verb)
    verb.add_argument("--format", choices=("table", "json"), default="table")


def _candidates(verb: argparse.ArgumentParser) -> None:
    from broker.cli import examples

    arguments.query(verb, examples.CANDIDATES)
    arguments.listing(verb)
    verb.add_argument(
        "--least",
        type=float,
        default=0.9,
        metavar="SCORE",
        help="candidates from this score on (0.9)",
    )
    verb.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS")
    verb.add_argument("--format", choices=("table", "json"), default="table")
    verb.add_argument("--quiet", "-q", action="store_true", help="no reports")


def _preferring(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--prefer",
        choices=("order", "instances", "license", "nearest"),
        help="which of several copies is named first: of the first archive, with most images, with the most "
        "open licence, or at the smallest declared distance",
    )


def _show(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("uid", metavar="UID", help="a StudyInstanceUID or SeriesInstanceUID")
    verb.add_argument("--at", action="append", default=[], metavar="ARCHIVE", help="ask this archive")
    verb.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS")
    _preferring(verb)
    verb.add_argument("--json", action="store_true", help="for machines")
    verb.add_argument("--config", metavar="FILE", help="federation file")


ARCHIVES = """examples:
  broker archives                            all that are known, and their state
  broker archives --where public_api=yes     those of which this is known
  broker archives check                      ask each whether it is there
  broker archives check hospital --reset     although it is being left alone after failures
  broker archives add hospital --kind dicomweb --url https://pacs.example.org/dicom-web \\
      --auth kind=basic --auth username=alice --auth password=env:PACS_PASSWORD --set asked=true
"""


_FORMS = ("table", "json", "csv", "markdown")


def _archives(verb: argparse.ArgumentParser) -> None:
    verb.epilog, verb.formatter_class = ARCHIVES, argparse.RawDescriptionHelpFormatter
    verb.add_argument(
        "words", nargs="*", metavar="check [ARCHIVE ...] | add NAME", help="nothing: list the archives"
    )
    verb.add_argument("--reset", action="store_true", help="check: ask also those that are left alone")
    verb.add_argument("--kind", metavar="ADAPTER", help="add: how it is spoken to: dicomweb, xnat ...")
    verb.add_argument("--url", help="add: where it is")
    for table in ("option", "limit", "auth"):
        verb.add_argument(
            f"--{table}", action="append", default=[], metavar="NAME=VALUE", help=f"add: one {table}; repeat"
        )
    verb.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="add: title, asked, trust ..."
    )
    verb.add_argument("--unchecked", action="store_true", help="add: although it does not answer now")
    verb.add_argument(
        "--timeout", type=float, default=10.0, metavar="SECONDS", help="check, add: for each archive (10)"
    )
    verb.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="CONDITION",
        help="as in public_api=yes; may be repeated",
    )
    verb.add_argument(
        "--include-unknown", action="store_true", help="also archives of which a condition is not known"
    )
    verb.add_argument("--pages", metavar="FOLDER", help="write what ships as Markdown pages there")
    verb.add_argument("--format", choices=("table", "json"), default="table")
    verb.add_argument("--config", metavar="FILE", help="federation file")


def _matrix(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("rows", nargs="*", metavar="ARCHIVE", help="only these archives or archive programs")
    _cells(verb)
    verb.add_argument("--table", choices=("archives", "software"), help="one of the two tables")
    verb.add_argument("--as-of", metavar="DATE", help="as it stood on this date, such as 2010-08")
    verb.add_argument(
        "--changed-since", metavar="DATE", help="cells that say something else than before this date"
    )
    verb.add_argument("--html", metavar="FILE", help="write one page to look at and to click through")
    verb.add_argument("--check", metavar="FOLDER", help="check the files of a folder like catalog/data")


def _compare(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("rows", nargs="*", metavar="ARCHIVE", help="two or more archives, or archive programs")
    _cells(verb)


def _cells(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--capability",
        action="append",
        default=[],
        metavar="NAME",
        help="only this one; may be repeated, or a,b",
    )
    verb.add_argument("--why", action="store_true", help="all the evidence of every cell")
    verb.add_argument("--format", choices=_FORMS, default="table")
    verb.add_argument("--config", metavar="FILE", help="federation file")


def _collections(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("words", nargs="*", metavar="WORD", help="words that stand in its title or description")
    verb.add_argument(
        "--where", action="append", default=[], metavar="CONDITION", help="as in modality=CT or patients>100"
    )
    verb.add_argument("--at", action="append", default=[], metavar="ARCHIVE", help="only of this archive")
    verb.add_argument(
        "--include-unknown", action="store_true", help="also collections of which a condition is not known"
    )
    verb.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS")
    verb.add_argument("--format", choices=_FORMS, default="table")
    verb.add_argument("--config", metavar="FILE", help="federation file")


CATALOG = """examples:
  broker catalog import idaSearch.csv                       the kind is seen from the content
  broker catalog import scans/ --archive our-lab            a folder: DICOM, BIDS, sidecars, XML ...
  broker catalog import table.csv --archive nhanes --mapping nhanes.toml
  broker catalog list
  broker catalog remove our-lab
"""


def _catalog(verb: argparse.ArgumentParser) -> None:
    verb.epilog, verb.formatter_class = CATALOG, argparse.RawDescriptionHelpFormatter
    verb.add_argument("words", nargs="*", metavar="import FILE-OR-FOLDER | list | remove ARCHIVE")
    verb.add_argument("--archive", default="", metavar="NAME", help="import: whose holdings these are")
    verb.add_argument("--as", dest="kind", default="", metavar="KIND", help="import: of this kind of file")
    verb.add_argument("--mapping", metavar="FILE", help="import: what the columns of a table are (TOML)")
    verb.add_argument("--collection", default="", metavar="NAME", help="import: of rows that name none")
    verb.add_argument("--encoding", default="utf-8-sig", help="import: of text files (UTF-8)")
    verb.add_argument("--delimiter", default="", metavar="CHARACTER", help="import: between the columns")
    verb.add_argument("--unended", action="store_true", help="import: the last line needs no line end")
    verb.add_argument("--replace", action="store_true", help="import: and forget what else is held")
    verb.add_argument("--rejected", metavar="FILE", help="import: write every rejected row there, as CSV")
    verb.add_argument("--format", choices=("table", "json"), default="table", help="list: how")
    verb.add_argument("--quiet", "-q", action="store_true", help="no progress")
    verb.add_argument("--config", metavar="FILE", help="federation file")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code says how far the answer can be trusted."""
    try:
        return _main(argv)
    except KeyboardInterrupt:
        _note("interrupted")
        code = INTERRUPTED
    except BrokenPipeError:
        code = PIPE
    # whoever read us is gone; the interpreter must not find that out again at its end
    for stream in (sys.stdout, sys.stderr):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code


def _main(argv: Sequence[str] | None) -> int:
    top, verbs = parser()
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in verbs:
        # conditions and options in any order, which argparse only does without sub-commands
        args = verbs[words[0]].parse_intermixed_args(words[1:])
        args.verb, args.version = words[0], False
    else:
        args = top.parse_args(words)
    if args.version:
        from importlib.metadata import version

        print(version("imaging-broker"))
        return OK
    if args.verb is None:
        top.print_help()
        return OK
    return _run(args)


def _run(args: argparse.Namespace) -> int:
    import gc
    from importlib import import_module

    # a short-lived process keeps nearly all that it makes: looking for garbage is a tenth of its time
    gc.set_threshold(100_000, 20, 100)

    from broker.errors import BadConfig, BadInput, BadQuery

    try:
        code: int = import_module(f"broker.cli.{args.verb}").run(args)
    except (BadQuery, BadInput) as error:
        _note(str(error))
        return BAD_QUERY
    except BadConfig as error:
        _note(str(error))
        return BAD_CONFIG
    sys.stdout.flush()
    return code


def _note(text: str) -> None:
    print(f"broker: {text}", file=sys.stderr)
