"""What there is to be fetched: every entity of an answer with its copies. Nothing of it is taken on trust.

UIDs are checked by PS3.5 9.1, addresses by the form that their kind has and, where the archive has an address
of its own, by that. What fails is left out and counted, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from broker.answer import Answer
from broker.errors import BadQuery
from broker.joining.entity import Entity
from broker.joining.locations import Location, locations
from broker.joining.words import listed
from broker.meaning import values
from catalog.archives import Archive
from catalog.keywords import Level

# what may stand in a line of a manifest unquoted: no blanks, quotes, control characters, nor a shell's signs
_PLAIN = re.compile(r"[A-Za-z0-9._~:/?=%&@+,-]+")
_S3 = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[A-Za-z0-9._=-]+)+(?:/\*?)?")
_SCAN = re.compile(r"/data/(?:archive/)?experiments/[A-Za-z0-9._%~-]+(?:/scans/[A-Za-z0-9._%~-]+)?")
_DOI = re.compile(r"10\.\d{4,9}/[-._;()/:A-Za-z0-9]+")
HTTP = ("http", "https")


@dataclass(frozen=True, slots=True)
class Copy:
    """One archive's copy: who has it, how that archive is spoken to, its address, and what it says of it."""

    archive: str
    kind: str
    base: str
    said: Location


@dataclass(frozen=True, slots=True)
class Item:
    """A study or series with its copies, the preferred one first. UIDs are valid, or None."""

    level: Level
    study: str | None
    series: str | None
    patient: str
    collection: str
    modality: str
    dois: tuple[str, ...]
    copies: tuple[Copy, ...]

    @property
    def best(self) -> Copy:
        """The preferred copy."""
        return self.copies[0]


def items(answer: Answer, archives: Mapping[str, Archive], prefer: str | None = None) -> list[Item]:
    """The studies or series of an answer, their copies in the order of `locations`.

    Both sides of a collision are there: which of them is right is not decided here. Raises BadQuery for
    patients, and for a rule `locations` has not.
    """
    if answer.query.level is Level.PATIENT:
        raise BadQuery("a manifest is of studies or series: ask for these instead of patients")
    return [_item(e, archives, prefer) for e in answer.entities]


def _item(e: Entity, archives: Mapping[str, Archive], prefer: str | None) -> Item:
    shown = e.values
    series = e.uid if e.level is Level.SERIES else None
    dois = dict.fromkeys(d for own in e.said.values() for d in found_dois(listed(own.get("SourceDOI"))))
    return Item(
        e.level,
        values.uid(_text(shown.get("StudyInstanceUID"))),
        series,
        _text(shown.get("PatientID")),
        _text(shown.get("Collection")),
        _text(shown.get("Modality")) or "\\".join(listed(shown.get("ModalitiesInStudy"))),
        tuple(dois),
        tuple(_copy(at, archives) for at in locations(e, prefer)),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _copy(said: Location, archives: Mapping[str, Archive]) -> Copy:
    known = archives.get(said.archive)
    kind, url = (known.adapter, known.url) if known is not None else ("", "")
    return Copy(said.archive, kind, url.rstrip("/") if url else "", said)


def found_dois(texts: Sequence[str] | Iterator[str] | object) -> Iterator[str]:
    """DOIs in texts, in lower case without `https://doi.org/`; what is none is left out."""
    for text in texts if isinstance(texts, list | tuple) else ():
        bare = re.sub(r"^(https?://(dx\.)?doi\.org/|doi:)", "", text.strip(), flags=re.IGNORECASE)
        if _DOI.fullmatch(bare):
            yield bare.lower()


def s3(copy: Copy) -> str | None:
    """The `s3://bucket/folder/*` of a copy, or None."""
    url = copy.said.url
    return url if _S3.fullmatch(url) and ".." not in url else None


def web(copy: Copy) -> str | None:
    """The base URL of a DICOMweb archive, or None."""
    return _address(copy.base) if copy.kind == "dicomweb" else None


def scan(copy: Copy) -> str | None:
    """The URI of a session or scan in XNAT's own REST API: /data/experiments/ID/scans/ID, or None."""
    url, base = copy.said.url, _address(copy.base)
    if copy.kind != "xnat" or base is None or not url.startswith(f"{base}/"):
        return None
    return url if _SCAN.fullmatch(url[len(base) :]) and ".." not in url else None


def nbia(copy: Copy) -> str | None:
    """Scheme and host of an NBIA server, or None."""
    base = _address(copy.base) if copy.kind == "nbia" else None
    if base is None:
        return None
    parts = urlsplit(base)
    return f"{parts.scheme}://{parts.netloc}"


def _address(url: str) -> str | None:
    parts = urlsplit(url)
    plain = bool(_PLAIN.fullmatch(url)) and "@" not in parts.netloc and not parts.query
    return url if plain and parts.scheme in HTTP and parts.hostname else None
