"""`broker describe NAME | QUERY`: as a data set (Croissant, schema.org, DCAT), or as FHIR studies."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

from broker import config
from broker.answer import Answer
from broker.answering.columns import column
from broker.answering.export import flat_columns
from broker.answering.frames import types
from broker.cli import INCOMPLETE, NOTHING, OK, output
from broker.cli.manifest import answered
from broker.cli.search import target
from broker.cli.together import never
from broker.describing import jsonld
from broker.describing.facts import Facts, facts
from broker.describing.fhir import bundle
from broker.errors import BadConfig, BadQuery
from broker.files import whole


def run(args: argparse.Namespace) -> int:
    """Write the description. Raises BadQuery and BadConfig."""
    if args.form == "croissant" and not args.output:
        raise BadQuery("croissant describes a file beside it: add --output FOLDER")
    if args.form == "fhir":
        never(args, "--title", why="a name of a data set; FHIR studies have none (--as schemaorg has)")
    answer = answered(args)
    about = facts(args.title or " ".join(args.words), answer)
    if args.form == "croissant":
        _croissant(answer, about, Path(args.output))
    else:
        with target(args.output) as stream:
            stream.write(_json(_described(args, answer, about)))
    if answer.complete:
        return OK
    return INCOMPLETE if answer.answered else NOTHING


def _described(args: argparse.Namespace, answer: Answer, about: Facts) -> dict[str, Any]:
    if args.form == "fhir":
        return bundle(answer, config.federation(args.config).archives, about.made)
    return jsonld.schema_org(about) if args.form == "schemaorg" else jsonld.dcat(about)


def _croissant(answer: Answer, about: Facts, folder: Path) -> None:
    """`croissant.json` and `entities.parquet`, which it describes."""
    place = folder / "entities.parquet"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole(place) as stream:
            output.write(answer, "parquet", stream, ())
        data = place.read_bytes()
        columns = [column(name) for name in types(flat_columns(answer))]
        file = jsonld.DataFile(place.name, hashlib.sha256(data).hexdigest(), len(data), columns)
        with whole(folder / "croissant.json") as stream:
            stream.write(_json(jsonld.croissant(about, file)))
    except OSError as error:
        raise BadConfig(f"--output {folder}: {error.strerror}") from error


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n"
