"""`broker collections`: data sets as a whole, with their counts as a source gave them at a date."""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from broker.cli import INCOMPLETE, NOTHING, OK
from broker.cli.asked import names
from broker.cli.matrix_export import rows_as
from broker.errors import BadQuery
from broker.knowing.collecting import Collections, gather
from broker.knowing.judging import LISTS, NAMES, mores, wheres
from broker.knowing.telling import Told
from broker.safe import line
from catalog.collection import Collection
from catalog.condition import BadCondition, Where

_COLUMNS = (
    "collection", "title", "collections", "patients", "studies", "series", "instances", "images", "size_gb",
    "modalities", "techniques", "body_parts", "conditions", "species", "licenses", "dois", "program", "state",
    "derived", "as_of", "source", "url", "quote", "note", "same_as", "holdings", "partial",
    "unknown", "undecided",
)  # fmt: skip
_SHOWN = ("modality", "technique", "license", "patients", "series")  # always in the table
_NAMED = 5  # collections of an archive named in the report


def run(args: argparse.Namespace) -> int:
    """Print the collections. Raises BadQuery and BadConfig before anything is asked."""
    conditions, more = wheres(args.where), mores(args.more)
    for text in args.words:
        _no_condition(text)
    words = [word for text in args.words for word in text.split()]
    found = asyncio.run(
        gather(
            words,
            conditions,
            more=more,
            at=names(args.at),
            timeout=args.timeout,
            most=args.most,
            config_file=args.config,
        )
    )
    shown = [*found.kept, *(found.unknown if args.include_unknown else ())]
    if args.format == "table":
        _table(shown, found.held, more)
    else:
        sys.stdout.write(_exported(shown, found, args.format))
    _report(found, len(shown), shown_too=args.include_unknown)
    return OK if found.complete else NOTHING if _silent(found) else INCOMPLETE


def _no_condition(text: str) -> None:
    """Words are looked for as they stand. Raises BadQuery for one that is written as a condition."""
    try:
        name = Where.read(text).name.lower()
    except BadCondition:
        return
    if name in NAMES:
        raise BadQuery(f"{text!r} is a condition: write --where {shlex.quote(text)}")


def _silent(found: Collections) -> bool:
    """Whether nobody answered: no archive that was asked, and no record stands in for one."""
    return not (found.kept or found.unknown) and all(t.why and not (t.mute or t.records) for t in found.told)


def _report(found: Collections, shown: int, *, shown_too: bool) -> None:
    for told in found.told:
        print(line(f"{told.archive}: {_said(told)}"), file=sys.stderr)
    for text in _undecided(found):
        print(line(text), file=sys.stderr)
    unknown = ""
    if found.unknown:
        left = "shown too" if shown_too else "left out (--include-unknown)"
        unknown = f"; of {len(found.unknown):,} more a condition is not known, {left}"
    state = "" if found.complete else "; the answer is INCOMPLETE"
    print(f"{shown:,} collections{unknown}{state}", file=sys.stderr)


def _said(told: Told) -> str:
    """What an archive told, or why it did not; both where it told a part."""
    if told.mute:
        return f"failed: {told.why}" if told.why else "cannot tell of collections"
    if told.none:
        return told.none
    asked = f", {told.asked:,} of them asked about one by one" if told.asked else ""
    part = f"{told.records:,} collections{asked}"
    if not told.why:
        return part
    return f"{part}; INCOMPLETE: {told.why}" if told.records else f"failed: {told.why}"


def _undecided(found: Collections) -> list[str]:
    """By archive, which conditions are not known of which collections."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for c in found.unknown:
        grouped.setdefault((c.archive, ", ".join(found.undecided[c.key])), []).append(c.id)
    return [
        f"{archive}: {what} not known of {', '.join(ids[:_NAMED])}"
        + (f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else "")
        for (archive, what), ids in grouped.items()
    ]


def _table(shown: list[Collection], held: Mapping[str, str], more: Sequence[str]) -> None:
    if not shown:
        return
    from broker.cli import printing

    more = [name for name in more if name not in _SHOWN]
    heads = (
        "Collection",
        "Title",
        "Patients",
        "Series",
        "Modalities",
        "Of",
        "Licence",
        "As of",
        *(name.replace("_", " ").capitalize() for name in more),
        "Held at",
    )
    made = printing.table(*heads, whole=("Patients", "Series", "As of"), right=("Patients", "Series"))
    for c in shown:
        asked = [_known(c, name) for name in more]
        made.add_row(*printing.cells(*_cells(c), *asked, ", ".join(at for at, _ in c.holdings(held))))
    printing.show(made, printing.console())
    listed = next((c for c in shown if c.holdings(held)), None)
    if listed:
        ((at, where), *_) = listed.holdings(held)
        example = f"broker search series {shlex.quote(where) if where else ''} --at {at}".replace("  ", " ")
        print(line(f"the series of one of them: {example}"))


def _known(c: Collection, name: str) -> str:
    """What is known of a collection under a name that `--more` takes."""
    return ", ".join(getattr(c, LISTS[name])) if name in LISTS else str(c.counts.get(name, ""))


def _cells(c: Collection) -> tuple[str, ...]:
    count = {name: str(c.counts.get(name, "")) for name in ("patients", "series", "images")}
    series = count["series"] or (f"{count['images']} images" if count["images"] else "")
    kinds = ", ".join((*c.modalities, *(["?"] if "modalities" in c.partial else []), *c.techniques))
    return (
        c.key,
        c.title,
        count["patients"],
        series,
        kinds,
        _of(c),
        ", ".join(c.licenses),
        c.as_of or "undated",
    )


def _of(c: Collection) -> str:
    parts = ", ".join((*c.body_parts, *c.conditions)[:3])
    return f"{parts} ({', '.join(c.species)})" if c.species and c.species != ("Human",) else parts


def _exported(shown: list[Collection], found: Collections, form: str) -> str:
    undecided = {c.key for c in found.unknown}
    rows = [_plain(c, found.held) | {"unknown": c.key in undecided} for c in shown]
    for row in rows:
        row |= {"undecided": list(found.undecided[row["collection"]])} if row["unknown"] else {}
    if form == "json":
        told = [asdict(t) for t in found.told]
        document = {
            "collections": rows,
            "archives": told,
            "complete": found.complete,
            "left_out": len(undecided),
        }
        return json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    flat = [{k: _flat(v) for k, v in row.items()} for row in rows]
    return rows_as(form, flat, _COLUMNS)


def _plain(c: Collection, held: Mapping[str, str]) -> dict[str, Any]:
    """Without what is not known. Counts are numbers where they are exact, else texts such as `>800`."""
    counts = {k: v.exact if v.exact is not None else v.said for k, v in c.counts.items()}
    lists = ("modalities", "techniques", "body_parts", "conditions", "species", "licenses", "dois", "same_as")
    given = {k: list(getattr(c, k)) for k in lists}
    given["partial"] = sorted(c.partial)
    texts = {k: getattr(c, k) for k in ("program", "state", "updated", "as_of", "quote", "note", "about")}
    asked = [{"at": at, "where": where} for at, where in c.holdings(held)]
    plain = {"collection": c.key, "archive": c.archive, "id": c.id, "title": c.title}
    cited = {"source": c.source.title, "url": c.source.url}
    whole = {**counts, **given, **texts, **cited, "derived": c.derived, "holdings": asked}
    return plain | {k: v for k, v in whole.items() if v not in ("", [])}


def _flat(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, list):
        return "; ".join(
            f"{v['at']}: {v['where']}".rstrip(": ") if isinstance(v, dict) else str(v) for v in value
        )
    return str(value)
