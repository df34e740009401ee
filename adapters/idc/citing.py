"""How the data of the IDC want to be cited: by DOI, from the index of collections and of analysis results."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_SQL = """
    SELECT lower(s.source_doi), s.citation
    FROM (SELECT unnest(sources) AS s FROM read_parquet($collections)) WHERE lower(s.source_doi) IN $dois
    UNION ALL
    SELECT lower(source_DOI), citation FROM read_parquet($results) WHERE lower(source_DOI) IN $dois"""


def read(db: Any, index: Path, dois: Sequence[str]) -> dict[str, str]:
    """DOI -> citation as plain text, of those that the package knows. Raises duckdb.Error."""
    files = {
        "collections": str(index.with_name("collections_index.parquet")),
        "results": str(index.with_name("analysis_results_index.parquet")),
    }
    rows = db.execute(_SQL, {**files, "dois": list(dois)}).fetchall()
    return {doi: _plain(text) for doi, text in rows if text}


def _plain(text: str) -> str:
    """Without the mark-up in which the index has it, on one line."""
    return " ".join(html.unescape(re.sub(r"</?[a-zA-Z][^>]*>", "", text)).split())
