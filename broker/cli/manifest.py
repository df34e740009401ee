"""`broker manifest NAME | QUERY`: what to fetch, in the form of a download tool; how much; whom to cite."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from broker import config
from broker.adapter import Cites
from broker.answer import Answer
from broker.api import Session
from broker.cli import INCOMPLETE, NOTHING, OK
from broker.cli.asked import names, split
from broker.cli.output import report_lines
from broker.cli.search import asked, target
from broker.cli.together import never
from broker.cohorts.cohort import Cohort
from broker.cohorts.store import Folder
from broker.errors import ArchiveError, BadConfig, BadQuery
from broker.manifests.forms import Manifest, manifest
from broker.manifests.items import Item, items
from broker.manifests.summary import Citation, bibtex, citations, references, summary
from broker.query import Query
from broker.registry import adapter_for
from broker.safe import line

CITED = ("bibtex", "citations")
_ASKING = ("--at", "--field", "--scan", "--reveal", "--limit", "--include-unknown")


def run(args: argparse.Namespace) -> int:
    """Write the manifest. Raises BadQuery and BadConfig."""
    answer = answered(args)
    archives = config.federation(args.config).archives
    found = items(answer, archives, args.prefer)
    made = _cited(args, found) if args.kind in CITED else manifest(args.kind, found)
    if args.kind == "dimse" and args.output:
        _folder(made, Path(args.output))
    else:
        with target(args.output) as stream:
            stream.write(made.text.encode())
    return _told(answer, made, args.quiet)


def answered(args: argparse.Namespace) -> Answer:
    """Of a cohort, where the only word names one; else of a query, of series unless it says otherwise."""
    (word,) = args.words if len(args.words) == 1 else ("",)
    if word and "=" not in word and "~" not in word and args.level is None:
        try:
            kept = Folder.of(word, args.folder).exists
        except BadConfig:
            kept = False
        if kept:
            why = f"of a query, and {word} was asked already; save the query anew, under another name"
            never(args, *_ASKING, why=why)
            return Cohort.open(word, args.folder, args.config).answer(args.run)
    level, texts = split(args.words, args.level)
    named = args.level is not None or len(texts) < len(args.words)
    try:
        query = Query(level if named else "series", *texts)
    except BadQuery as error:
        raise BadQuery(f"{error}; nor is there a cohort of that name") if word else error from error
    never(args, "--run", why="of a cohort, and this is a query; broker cohorts lists the cohorts")
    return asked(_session(query, args), args.timeout, args.quiet)


def _session(query: Query, args: argparse.Namespace) -> Session:
    return Session(
        query,
        at=names(args.at),
        limit=args.limit or None,
        fields=names(args.field),
        scan=args.scan,
        include_unknown=args.include_unknown,
        reveal=args.reveal,
        config_file=args.config,
    )


def _cited(args: argparse.Namespace, found: Sequence[Item]) -> Manifest:
    cited, without = citations(found)
    texts = asyncio.run(_texts(args, found, cited))
    text = bibtex(cited, texts) if args.kind == "bibtex" else references(cited, without, texts)
    made = Manifest(args.kind, text, [(item, item.best) for item in found if item.dois])
    if without:
        made.left["no DOI"] = without
    return made


async def _texts(
    args: argparse.Namespace, found: Sequence[Item], cited: Sequence[Citation]
) -> Mapping[str, str]:
    """Citations as the archives of the items know them; one that does not answer only leaves them out."""
    known = config.federation(args.config).archives
    own = {copy.archive for item in found for copy in item.copies}
    asked_for = [name for name in known if name in own]
    texts: dict[str, str] = {}
    for name in asked_for:
        adapter = adapter_for(known[name])
        if isinstance(adapter, Cites):
            texts = {**await _told_by(adapter, name, [c.doi for c in cited], args.timeout), **texts}
    return texts


async def _told_by(adapter: Cites, name: str, dois: Sequence[str], timeout: float) -> Mapping[str, str]:
    try:
        async with asyncio.timeout(timeout):
            return await adapter.citations(dois)
    except (ArchiveError, TimeoutError) as error:
        print(f"broker: {name}: no citations: {line(str(error))}", file=sys.stderr)
        return {}


def _folder(made: Manifest, place: Path) -> None:
    from broker.manifests.queries import write

    try:
        write(made, place)
    except OSError as error:
        raise BadConfig(f"--output {place}: {error.strerror}") from error


def _told(answer: Answer, made: Manifest, quiet: bool) -> int:
    """Sizes, licences and what is left out; 3 where the manifest is not all."""
    if not quiet:
        report_lines(answer, sys.stderr)
        for text in summary(made.taken).lines():
            print(text, file=sys.stderr)
    for why, n in made.left.items():
        print(f"broker: {n:,} left out: {line(why)}", file=sys.stderr)
    if answer.complete and not made.left and not answer.more:
        return OK
    if answer.more:
        print("broker: the answer was limited; more exist than are listed", file=sys.stderr)
    return INCOMPLETE if answer.answered else NOTHING
