"""Sizes and licences, summed before anything is fetched; and whom to cite."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from broker.manifests.items import Copy, Item
from broker.safe import line
from catalog.keywords import Level

UNKNOWN = "(not said)"


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list of copies amounts to. Sums are of those whose archive says a number, `sized` of them."""

    items: int
    level: Level | None
    instances: int
    counted: int
    megabytes: float
    sized: int
    licenses: Mapping[str, int]
    archives: Mapping[str, int]
    restricted: int

    def lines(self) -> list[str]:
        """For people."""
        if not self.items or self.level is None:
            return ["nothing"]
        kind = {Level.STUDY: "studies"}.get(self.level, "series")
        size = f"{self.megabytes / 1000:,.2f} GB" if self.megabytes >= 1000 else f"{self.megabytes:,.1f} MB"
        known = [_known("images", f"{self.instances:,}", self.counted, self.items)]
        known.append(_known("", size, self.sized, self.items))
        terms = ", ".join(f"{line(name)} {n:,}" for name, n in self.licenses.items())
        where = ", ".join(f"{line(name)} {n:,}" for name, n in self.archives.items())
        found = [f"{self.items:,} {kind}, {', '.join(known)}", f"licences: {terms}", f"from: {where}"]
        return found + ([f"{self.restricted:,} not for commercial use"] if self.restricted else [])


def _known(unit: str, amount: str, of: int, whole: int) -> str:
    if not of:
        return f"{unit or 'size'} not said"
    text = f"{amount} {unit}".strip()
    return text if of == whole else f"at least {text} ({of:,} of {whole:,} say)"


def summary(chosen: Sequence[tuple[Item, Copy]]) -> Summary:
    """Of some items with the copy of each that is to be fetched."""
    said = [copy.said for _, copy in chosen]
    licenses = Counter(s.license.strip() or UNKNOWN for s in said)
    return Summary(
        len(said),
        chosen[0][0].level if chosen else None,
        sum(s.instances or 0 for s in said),
        sum(s.instances is not None for s in said),
        sum(s.megabytes or 0.0 for s in said),
        sum(s.megabytes is not None for s in said),
        dict(licenses.most_common()),
        dict(Counter(copy.archive for _, copy in chosen).most_common()),
        sum(n for name, n in licenses.items() if re.search(r"\bNC\b", name)),
    )


@dataclass(frozen=True, slots=True)
class Citation:
    """A DOI to be cited, and which collections of the answer come with it, by number of items."""

    doi: str
    collections: tuple[str, ...]
    items: int

    @property
    def url(self) -> str:
        """Where the DOI leads."""
        return f"https://doi.org/{self.doi}"


def citations(found: Iterable[Item]) -> tuple[list[Citation], int]:
    """Every DOI of some items, and how many items have none."""
    names: dict[str, dict[str, None]] = {}
    counts: Counter[str] = Counter()
    without = 0
    for item in found:
        without += not item.dois
        for doi in item.dois:
            counts[doi] += 1
            names.setdefault(doi, {}).update({item.collection: None} if item.collection else {})
    return [Citation(doi, tuple(names[doi]), counts[doi]) for doi in sorted(counts)], without


def bibtex(cited: Iterable[Citation], texts: Mapping[str, str] | None = None) -> str:
    """BibTeX, an entry a DOI. `texts` has citations where an archive knows them; titles are not made up."""
    return "".join(_entry(c, (texts or {}).get(c.doi, "")) for c in cited)


def _entry(c: Citation, known: str) -> str:
    fields = {"doi": c.doi, "url": c.url, "howpublished": "Data set"}
    fields["title"] = f"{{{_tex(', '.join(c.collections) or c.doi)}}}"
    note = f"{c.items} items of this cohort"
    fields["note"] = f"{_tex(known)} ({note})" if known else note
    key = re.sub(r"[^A-Za-z0-9]+", "_", c.doi)
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
    return f"@misc{{{key},\n{lines}}}\n"


def _tex(text: str) -> str:
    """Text that TeX takes as it is."""
    bare = re.sub(r"[{}\\]", "", line(text))
    return re.sub(r"([&%$#_])", r"\\\1", bare).replace("~", r"\textasciitilde{}").replace("^", r"\^{}")


def references(cited: Iterable[Citation], without: int, texts: Mapping[str, str] | None = None) -> str:
    """The same as lines for people."""
    lines = []
    for c in cited:
        known = line((texts or {}).get(c.doi, "")) or line(", ".join(c.collections) or c.doi) + f". {c.url}"
        lines.append(f"{known} ({c.items:,} items)\n")
    return "".join(lines) + (f"{without:,} items name no DOI\n" if without else "")
