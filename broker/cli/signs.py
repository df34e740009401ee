"""The matrix in signs and words: what a cell shows, on a terminal and on a page, with and without colour."""

from __future__ import annotations

from catalog.evidence import Basis, Confidence, Evidence, Status
from catalog.matrix import Cell

SIGNS = {
    Status.YES: "✓",
    Status.NO: "✗",
    Status.PARTIAL: "◐",
    Status.PLANNED: "…",
    Status.TEXT: "≡",
    Status.NUMBER: "#",
    Status.UNKNOWN: "·",
}
MEANS = {
    Status.YES: "yes",
    Status.NO: "no",
    Status.PARTIAL: "in part",
    Status.PLANNED: "planned",
    Status.TEXT: "described",
    Status.NUMBER: "a number",
    Status.UNKNOWN: "unknown, which is not no",
}
DOCUMENTED, MEASURED, DOUBTFUL = "°", "*", "?"
MARKS = {
    DOCUMENTED: "from a document",
    MEASURED: "measured",
    DOUBTFUL: "its column is uncertain",
}
STYLES = {
    Status.YES: "green",
    Status.NO: "red",
    Status.PARTIAL: "yellow",
    Status.PLANNED: "cyan",
    Status.TEXT: "blue",
    Status.NUMBER: "blue",
    Status.UNKNOWN: "dim",
}


def mark(e: Evidence) -> str:
    """What is to be said of where evidence comes from, in one character or none."""
    if not e.known:
        return ""
    if e.confidence is Confidence.UNCERTAIN:
        return DOUBTFUL
    return {Basis.PROBE: MEASURED, Basis.DOCUMENTATION: DOCUMENTED}.get(e.kind, "")


def sign(cell: Cell) -> str:
    """The cell in one or two characters."""
    return SIGNS[cell.lead.status] + mark(cell.lead)


def words(cell: Cell) -> str:
    """The cell in words, with its sign."""
    e = cell.lead
    if not e.known:
        return f"{sign(cell)} {e.value or 'unknown'}"
    said = (
        e.value if e.value.lower().startswith(e.status) or e.status in _SPEAKS else f"{e.status}: {e.value}"
    )
    return f"{sign(cell)} {said}"


_SPEAKS = (Status.TEXT, Status.NUMBER)


def dated(e: Evidence) -> str:
    """Where evidence comes from and of when, as in `documentation, 2013-07, derived`."""
    place = f" ({e.place})" if e.place else ""
    sure = "" if e.confidence in (Confidence.UNKNOWN, Confidence.MEASURED) else f", {e.confidence}"
    return f"{e.kind}{place}, {e.as_of or 'undated'}{sure}"


def cited(e: Evidence) -> str:
    """The source, with its address where it has one."""
    if e.source.id == "nobody":
        return ""
    return e.source.title + (f" <{e.source.url}>" if e.source.url else "")


def legend() -> list[str]:
    """What the signs mean, in two lines."""
    statuses = "  ".join(f"{SIGNS[s]} {MEANS[s]}" for s in Status)
    return [statuses, "  ".join(f"{m} {what}" for m, what in MARKS.items())]
