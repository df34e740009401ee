"""Finer records as records of a coarser level."""

from __future__ import annotations

from broker.adapter import Page
from broker.plan import Plan
from catalog.keywords import USUAL, Level


def grouped(page: Page, made: Plan) -> Page:
    """Records at the level of the query, where finer ones were asked for.

    Nothing is counted: an archive that lists the matching series has not listed the others.
    """
    return keep_level(page, made.query.level) if made.groups else page


def keep_level(page: Page, level: Level) -> Page:
    """Only the attributes that hold for the whole study or patient; equal rows once."""
    at = [i for i, k in enumerate(page.keywords) if k in USUAL and USUAL[k].level <= level]
    rows = list(dict.fromkeys(tuple(row[i] for i in at) for row in page.rows))
    return Page(tuple(page.keywords[i] for i in at), rows, page.bad, page.notes)
