"""Takes of an archive's records what the plan wants: at its level, each once, no more than the limit."""

from __future__ import annotations

from dataclasses import replace

from broker.adapter import Page
from broker.joining.project import grouped
from broker.matching import Value
from broker.plan import Plan
from broker.planning.check import Row
from broker.report import Report
from catalog.keywords import Level


class Taker:
    """Brings records to the level of the query, and takes no more of them than the limit.

    A record that comes again, in the same page or a later one, counts once. Its row is passed on where it may
    say something else than before.
    """

    def __init__(self, made: Plan, limit: int | None) -> None:
        self._plan = made
        self._limit = limit
        self._seen: set[Value | Row] = set()
        self._once: dict[Row, None] | None = {} if made.groups else None

    def take(self, page: Page, report: Report) -> Page:
        """The part of a page that the limit leaves room for; says when there was more."""
        page = grouped(page, self._plan)
        if self._once is not None:
            rows = [row for row in page.rows if row not in self._once]
            self._once.update(dict.fromkeys(rows))
            page = replace(page, rows=rows)
        keys = self._keys(page)
        fresh = set(keys)
        room = len(keys) if self._limit is None else self._limit - report.kept
        if len(fresh) < len(keys) or len(fresh) > room or not self._seen.isdisjoint(fresh):
            page, fresh = self._sifted(page, keys, room, report)
        self._seen |= fresh
        report.kept += len(fresh)
        return page

    def _keys(self, page: Page) -> list[Value | Row]:
        """What each record is known by: its UID; the whole row where that is missing or not enough."""
        uid = self._plan.query.level.uid
        if self._plan.query.level is Level.PATIENT or uid not in page.keywords:
            return list(page.rows)
        at = page.keywords.index(uid)
        return [row[at] or row for row in page.rows]

    def _sifted(
        self, page: Page, keys: list[Value | Row], room: int, report: Report
    ) -> tuple[Page, set[Value | Row]]:
        """A page with records that came before or for which there is no room; and what is new in it."""
        fresh: set[Value | Row] = set()
        rows = []
        for row, key in zip(page.rows, keys, strict=True):
            if key in self._seen or key in fresh:
                rows += [row] if key is not row else []
            elif len(fresh) < room:
                fresh.add(key)
                rows.append(row)
            else:
                report.more = True
        return replace(page, rows=rows), fresh
