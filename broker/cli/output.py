"""Writes an answer in the chosen format, and its reports for people."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from broker.answer import Answer
from broker.answering.columns import DATE, INTEGER, NUMBER, SHOWN, TEXT
from broker.answering.export import entity, envelope, flat, flat_columns
from broker.cli import table, unfound
from broker.errors import BadQuery
from broker.safe import cell, line
from catalog.keywords import Level, UnknownKeyword, keyword

Columns = tuple[str, ...]

_ENDINGS = {
    "": "table",
    ".txt": "table",
    ".csv": "csv",
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
}


def form_of(file: str | None) -> str:
    """The format that the name of a file ends in; a table where it has no ending. Raises BadQuery."""
    ending = Path(file or "").suffix.lower()
    if ending not in _ENDINGS:
        known = ", ".join(end for end in _ENDINGS if end)
        raise BadQuery(f"--output {file}: nothing is written as {ending}; write {known}, or say --format")
    return _ENDINGS[ending]


def columns_of(text: str | None, level: Level, fields: Sequence[str] = ()) -> Columns:
    """The columns of a table: those named, by keyword or as the table heads them, else the usual ones of the
    level and `fields`. Raises BadQuery.
    """
    if not text:
        more = [f for f in map(_name, fields) if f not in SHOWN[level]]
        return (*SHOWN[level][:-1], *more, *SHOWN[level][-1:]) if more else SHOWN[level]
    try:
        return tuple(table.HEADED.get(w.strip().lower()) or _name(w.strip()) for w in text.split(","))
    except UnknownKeyword as error:
        raise BadQuery(f"--columns: {error}") from error


def _name(word: str) -> str:
    return keyword(word).name


def write(answer: Answer, form: str, stream: IO[bytes], columns: Columns) -> None:
    """The records of an answer; JSON holds the reports too."""
    if form == "table":
        table.write(answer, stream, columns)
    else:
        _WRITERS[form](answer, stream)


def reports(answer: Answer, stream: IO[str], *, withheld: bool) -> None:
    """A line per archive, and one for the whole."""
    report_lines(answer, stream)
    if withheld:
        print("no records: an archive that was required did not answer completely", file=stream)
        return
    kind = {Level.PATIENT: "patients", Level.STUDY: "studies", Level.SERIES: "series"}[answer.query.level]
    total = f" of {answer.total:,}" if answer.exact else "; more exist"
    more = total if answer.more else ""
    more += f"; next page: --after {answer.next}" if answer.next else ""
    state = "" if answer.complete else "; the answer is INCOMPLETE"
    print(f"{len(answer):,} {kind}{more}{state}", file=stream)


def hints(answer: Answer, stream: IO[str]) -> None:
    """Where nothing was found: what may have been meant."""
    if not answer.entities and answer.answered:
        for text in unfound.hints(answer.query.conditions):
            print(line(f"hint: {text}"), file=stream)


def report_lines(answer: Answer, stream: IO[str]) -> None:
    """A line per archive."""
    for report in answer.reports:
        print(line(report.line()), file=stream)


def _json(answer: Answer, stream: IO[bytes]) -> None:
    """An entity a line, as it is made: a million of them as one document take too much memory and time."""
    head, mark, tail = json.dumps(envelope(answer), ensure_ascii=False, indent=1).partition('"entities": [')
    stream.write(f"{head}{mark}".encode())
    for number, e in enumerate(answer.entities):
        stream.write(f"{',' if number else ''}\n  {json.dumps(entity(e), ensure_ascii=False)}".encode())
    stream.write(f"{tail}\n".encode())


def _ndjson(answer: Answer, stream: IO[bytes]) -> None:
    for e in answer.entities:
        stream.write(json.dumps(entity(e), ensure_ascii=False).encode() + b"\n")


def _csv(answer: Answer, stream: IO[bytes]) -> None:
    columns = flat_columns(answer)
    rows = csv.writer(_Text(stream))
    rows.writerow(columns)
    rows.writerows([cell(v) for v in row] for row in flat(answer, columns))


class _Text:
    """Text into a stream that is not ours: `TextIOWrapper` closes it where its reader has gone."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As a file of text does."""
        return self._stream.write(text.encode())


def _parquet(answer: Answer, stream: IO[bytes]) -> None:
    """Through DuckDB, typed as `broker.answering.columns` says."""
    import duckdb

    from broker.answering.frames import table

    kinds, made = table(answer)
    types = ", ".join(f"\"{name}\": '{_SQL[kind]}'" for name, kind in kinds.items())
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as db:
        rows, file = Path(folder, "rows.json"), Path(folder, "rows.parquet")
        with rows.open("w", encoding="utf-8") as text:
            for row in zip(*made.values(), strict=True):
                text.write(json.dumps(dict(zip(kinds, row, strict=True)), default=str) + "\n")
        source = f"read_json('{rows}', format='newline_delimited', columns={{{types}}})"
        db.execute(f"COPY (SELECT * FROM {source}) TO '{file}' (FORMAT parquet, COMPRESSION zstd)")  # noqa: S608
        stream.write(file.read_bytes())


_SQL = {TEXT: "VARCHAR", INTEGER: "BIGINT", NUMBER: "DOUBLE", DATE: "DATE"}

_WRITERS: dict[str, Callable[[Answer, IO[bytes]], None]] = {
    "json": _json,
    "ndjson": _ndjson,
    "csv": _csv,
    "parquet": _parquet,
}
