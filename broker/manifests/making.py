"""Manifests from Python."""

from __future__ import annotations

from pathlib import Path

from broker import config
from broker.answer import Answer
from broker.manifests import forms
from broker.manifests.items import items


def manifest(
    answer: Answer, kind: str = "csv", prefer: str | None = None, config_file: str | Path | None = None
) -> forms.Manifest:
    """What to fetch of an answer, in the form of a tool: csv, s5cmd, tcia, dicomweb, dimse or xnat.

    `text` is the manifest, `summary` what it amounts to, `left` why anything is left out; `prefer` the rule
    for the copy (`locations`), else the federation's. Raises BadQuery for a kind or rule that is none, and
    for answers of patients.

    >>> import broker
    >>> answer = broker.search("series", "Collection=rider_pilot", "Modality=CR", at=["idc"])
    >>> made = broker.manifest(answer, "s5cmd")
    >>> len(made.text.splitlines()), made.summary.lines()[0], dict(made.left)
    (3, '2 series, 2 images, 15.1 MB', {})
    """
    return forms.manifest(kind, items(answer, config.federation(config_file).archives, prefer))
