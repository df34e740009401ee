"""Manifests as texts, one form for each way of fetching. Each says what it leaves out, and why.

tcia      NBIA Data Retriever: six lines `key=value`, then a SeriesInstanceUID a line (CBIIT/NBIA-TCIA)
s5cmd     `s5cmd run FILE` (peak/s5cmd): a command a line, `#` begins a comment; IDC's buckets are public
dicomweb  a WADO-RS URL a line, PS3.18 10.4.1.1.1 (studies) and 10.4.1.1.2 (series)
dimse     a C-MOVE a line, as CSV; with a folder, also query files for movescu and getscu (PS3.4 C.4.2)
xnat      a URI a line of XNAT's REST API
csv       every copy, with size, licence and DOI
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from broker.errors import BadQuery
from broker.manifests import items as have
from broker.manifests.items import Copy, Item
from broker.manifests.summary import Summary, summary
from broker.safe import cell, line
from catalog.keywords import Level


@dataclass(slots=True)
class Manifest:
    """The text, what it holds, and why anything is left out: reason -> how many."""

    kind: str
    text: str = ""
    taken: list[tuple[Item, Copy]] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)

    @property
    def summary(self) -> Summary:
        """Sizes, licences and archives of what it holds."""
        return summary(self.taken)


@dataclass(frozen=True, slots=True)
class Move:
    """One C-MOVE or C-GET: an archive, a study, and its series, or none for the whole study."""

    archive: str
    study: str
    series: tuple[str, ...]


Serves = Callable[[Copy], str | None]


def manifest(kind: str, found: Sequence[Item]) -> Manifest:
    """The manifest of some items. Raises BadQuery for a kind that is none, and where series are needed."""
    if kind not in KINDS:
        raise BadQuery(f"manifest kind {kind!r}: write one of {', '.join(KINDS)}")
    if kind in ("tcia", "s5cmd") and any(item.level is not Level.SERIES for item in found):
        raise BadQuery(f"a {kind} manifest is of series: ask for series instead of studies")
    made = Manifest(kind)
    made.text = KINDS[kind](found, made)
    return made


def _chosen(found: Iterable[Item], made: Manifest, serves: Serves, why: str) -> Iterator[tuple[Item, str]]:
    """Each item with the address of its most preferred copy that serves; the others are counted."""
    for item in found:
        copy = next((c for c in item.copies if serves(c)), None)
        uids = item.study is not None and (item.level is Level.STUDY or item.series is not None)
        if copy is None:
            made.left[why] += 1
        elif not uids:
            made.left["no valid StudyInstanceUID or SeriesInstanceUID"] += 1
        else:
            made.taken.append((item, copy))
            yield item, serves(copy) or ""


def _tcia(found: Sequence[Item], made: Manifest) -> str:
    hosts = [host for item in found for c in item.copies if (host := have.nbia(c))]
    server = hosts[0] if hosts else ""

    def serves(copy: Copy) -> str | None:
        return server if have.nbia(copy) == server and server else None

    why = (
        f"no copy at {server}: a manifest is for one NBIA server" if server else "no copy in an NBIA archive"
    )
    uids = dict.fromkeys(item.series or "" for item, _ in _chosen(found, made, serves, why))
    head = [
        f"downloadServerUrl={server}/nbia-download/servlet/DownloadServlet",
        "includeAnnotation=true",
        "noOfrRetry=4",
        "databasketId=manifest-imaging-broker.tcia",
        "manifestVersion=3.0",
        "ListOfSeriesToDownload=",
    ]
    return "".join(f"{text}\n" for text in [*head, *uids]) if uids else ""


def _s5cmd(found: Sequence[Item], made: Manifest) -> str:
    lines = [
        f"cp {address.rstrip('*').rstrip('/')}/* {item.study}/{item.series}/\n"
        for item, address in _chosen(found, made, have.s3, "no copy with a safe s3:// address")
    ]
    head = "# s5cmd --no-sign-request --endpoint-url https://s3.amazonaws.com run THIS_FILE\n"
    return head + "".join(dict.fromkeys(lines)) if lines else ""


def _dicomweb(found: Sequence[Item], made: Manifest) -> str:
    chosen = _chosen(found, made, have.web, "no copy in a DICOMweb archive")
    return "".join(dict.fromkeys(f"{wado(base, item)}\n" for item, base in chosen))


def wado(base: str, item: Item) -> str:
    """Where DICOMweb retrieves a study or series (PS3.18 10.4.1.1)."""
    whole = f"{base}/studies/{item.study}"
    return f"{whole}/series/{item.series}" if item.series else whole


def _xnat(found: Sequence[Item], made: Manifest) -> str:
    chosen = _chosen(found, made, have.scan, "no copy with an address in an XNAT archive")
    return "".join(dict.fromkeys(f"{address}\n" for _, address in chosen))


def _dimse(found: Sequence[Item], made: Manifest) -> str:
    chosen = _chosen(found, made, _scp, "no copy in a DIMSE archive")
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["archive", "QueryRetrieveLevel", "StudyInstanceUID", "SeriesInstanceUID"])
    rows.writerows(
        [cell(made.taken[-1][1].archive), item.level.name, item.study, item.series or ""]
        for item, _ in chosen
    )
    return text.getvalue() if made.taken else ""


def _scp(copy: Copy) -> str | None:
    return copy.base or "dimse" if copy.kind == "dimse" else None


def moves(made: Manifest) -> list[Move]:
    """The moves of a DIMSE manifest: the series of one study and archive together (a list of UIDs)."""
    found: dict[tuple[str, str], list[str]] = {}
    for item, copy in made.taken:
        own = found.setdefault((copy.archive, item.study or ""), [])
        own += [item.series] if item.series else []
    return [Move(archive, study, tuple(series)) for (archive, study), series in found.items()]


COLUMNS = (
    "level", "StudyInstanceUID", "SeriesInstanceUID", "PatientID", "Collection", "Modality", "archive", "url",
    "instances", "megabytes", "license", "doi", "alternates",
)  # fmt: skip


def _csv(found: Sequence[Item], made: Manifest) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for item in found:
        best = item.best
        made.taken.append((item, best))
        size, count = best.said.megabytes, best.said.instances
        others = [f"{c.archive} {address(c, item) or ''}".strip() for c in item.copies[1:]]
        own = [item.level.name, item.study, item.series, item.patient, item.collection, item.modality]
        own += [best.archive, address(best, item), None if count is None else str(count)]
        own += [
            None if size is None else str(size),
            best.said.license,
            "; ".join(item.dois),
            "; ".join(others),
        ]
        rows.writerow([cell(line(value or "")) for value in own])
    return text.getvalue()


def address(copy: Copy, item: Item) -> str | None:
    """Where a copy is had: a checked address, or None."""
    base = have.web(copy)
    if base and item.study:
        return wado(base, item)
    host = have.nbia(copy)
    if host and item.series:
        return f"{copy.base}/getImage?SeriesInstanceUID={item.series}"
    return have.s3(copy) or have.scan(copy)


KINDS: dict[str, Callable[[Sequence[Item], Manifest], str]] = {
    "csv": _csv,
    "s5cmd": _s5cmd,
    "tcia": _tcia,
    "dicomweb": _dicomweb,
    "dimse": _dimse,
    "xnat": _xnat,
}
