"""Conditions on what is known of archives and collections: `public_api=yes`, `deid~142`, `patients>100`.

The answer is True, False, or None where nothing that is known decides it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from catalog.collection import Count
from catalog.evidence import Status
from catalog.matrix import Cell

_WRITTEN = re.compile(r"\s*([A-Za-z_][\w -]*?)\s*(!=|>=|<=|=|~|>|<)\s*(.+?)\s*")
FORMS = "NAME=VALUE, NAME!=VALUE, NAME~PART or NAME>NUMBER"
SIGNS = ("=", "!=", "~", ">", ">=", "<", "<=")


class BadCondition(ValueError):
    """Text that is not a condition; the message says how to write one."""


@dataclass(frozen=True, slots=True)
class Where:
    """A condition: the name of what is judged, one of SIGNS, and the value, or several by comma (any of)."""

    name: str
    sign: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}{self.sign}{','.join(self.values)}"

    @classmethod
    def read(cls, text: str) -> Where:
        """From text. Raises BadCondition."""
        found = _WRITTEN.fullmatch(text)
        values = tuple(v.strip() for v in found[3].split(",") if v.strip()) if found else ()
        if found is None or not values:
            raise BadCondition(f"{text!r} is not a condition: write {FORMS}")
        made = cls(found[1].strip(), found[2], values)
        if any("*" in value for value in values):
            part = max(values[0].split("*"), key=len)
            raise BadCondition(f"{text!r}: * stands for itself here; write {made.name}~{part or 'PART'}")
        if made.sign in (">", ">=", "<", "<="):
            made.number()
        return made

    def number(self) -> float:
        """The value as a number. Raises BadCondition."""
        try:
            (value,) = self.values
            return float(value)
        except ValueError:
            raise BadCondition(f"{self}: {','.join(self.values)!r} is not a number") from None

    def of_texts(self, known: Iterable[str]) -> bool | None:
        """Of texts, in any case: one of them is, or holds, one of the values. None where there is no text."""
        texts = [t.casefold() for t in known if t]
        if self.sign in (">", ">=", "<", "<="):
            raise BadCondition(f"{self}: {self.name} is not a number; write {self.name}= or {self.name}~")
        if not texts:
            return None
        wanted = [v.casefold() for v in self.values]
        if self.sign == "~":
            return any(w in t for w in wanted for t in texts)
        return any(w == t for w in wanted for t in texts) is (self.sign == "=")

    def of_count(self, count: Count | None) -> bool | None:
        """Of a number that may lie between two. None where it is not known well enough."""
        if self.sign == "~":
            raise BadCondition(f"{self}: {self.name} is a number; write {self.name}= or {self.name}>")
        if count is None:
            return None
        if self.sign in ("=", "!="):
            return _either([Where(self.name, "=", (v,))._equal(count) for v in self.values], self.sign)
        wanted, low, high = self.number(), count.low, count.high
        if self.sign in (">", ">="):
            above = low > wanted if self.sign == ">" else low >= wanted
            below = high is not None and (high <= wanted if self.sign == ">" else high < wanted)
            return True if above else False if below else None
        opposite = Where(self.name, {"<": ">=", "<=": ">"}[self.sign], self.values).of_count(count)
        return None if opposite is None else not opposite

    def _equal(self, count: Count) -> bool | None:
        wanted = self.number()
        if count.low == count.high:
            return count.low == wanted
        return None if count.low <= wanted and (count.high is None or wanted <= count.high) else False

    def of_cell(self, cell: Cell) -> bool | None:
        """Of a cell of the matrix, by its status or value; None where the cell is unknown or uncertain."""
        if self.values == (Status.UNKNOWN,) and self.sign in ("=", "!="):
            return (cell.status is Status.UNKNOWN) is (self.sign == "=")
        if cell.status is Status.UNKNOWN:
            return None
        if self.sign in (">", ">=", "<", "<="):
            return self.of_count(_number(cell.lead.value) if cell.status is Status.NUMBER else None)
        if self.sign == "~":
            return self.of_texts([cell.lead.value])
        return self.of_texts([cell.lead.status, cell.lead.value])


def _either(answers: list[bool | None], sign: str) -> bool | None:
    """Any of them, negated for `!=`."""
    found = True if True in answers else None if None in answers else False
    return found if sign == "=" or found is None else not found


def _number(text: str) -> Count | None:
    """The number that a cell begins with (`>70 (advanced search)`), if it begins with one."""
    found = re.match(r"([~><]?)\s*(\d[\d,]*(?:\.\d+)?)(?![\w.-])", text)
    return Count.read(found[1] + found[2].replace(",", "")) if found else None
