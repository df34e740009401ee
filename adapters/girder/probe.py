"""What a Girder tells of itself: its version, how much it holds, whether DICOM metadata can be searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapters.girder.tree import GirderTree
from adapters.shared.items import Folder
from adapters.shared.items_probe import looked_at, stated
from broker.errors import Malformed, RefusedByArchive, ServerFault, TooMuch
from broker.matching import Value
from broker.probing.finding import Finding
from broker.probing.verdicts import searchable
from catalog.capability import Kind
from catalog.evidence import Status
from catalog.probes import BEHAVIOUR, MATCHING

NOBODYS = "2.25.299792458602214076137035999084"
"""No UID of anybody's; long, for the search finds parts of values."""

MOST = 1000  # items that a search may bring
NO_MODE = "Its search knows no mode for DICOM metadata, which its plug-in dicom_viewer would bring."


async def findings(tree: GirderTree, keys: Sequence[str]) -> tuple[list[Finding], int]:
    """What was found, and by how many questions. `keys` may be searched for. Raises ArchiveError."""
    version, collections = await stated("version", tree.version()), await tree.collections()
    seen = await looked_at(tree, collections)
    found = [version, _size(collections), seen.finding()]
    why = await _refused(tree)
    said = (Status.NO, f"not served ({why})") if why else (Status.YES, "served")
    found.append(Finding(BEHAVIOUR, *said, "search of DICOM metadata"))
    if why:
        found.append(Finding("dicom_tags_queryable", Status.NUMBER, "0", note=NO_MODE))
        return found, seen.questions + 3
    kinds = [
        await _searched(tree, seen.series[0], key) for key in keys if seen.series and seen.series[0].get(key)
    ]
    known = [f for f in kinds if f.status is not Status.UNKNOWN]
    found += [*kinds, *([searchable(known)] if known else [])]
    return found, seen.questions + 3 + len(kinds)


def _size(collections: Sequence[Folder]) -> Finding:
    known = [c.size for c in collections if c.size is not None]
    told = f", {sum(known) / 1e9:,.3f} GB" if known and len(known) == len(collections) else ""
    return Finding("size", Status.TEXT, f"{len(collections)} collections{told}", note="As it tells them.")


async def _refused(tree: GirderTree) -> str:
    """Why what nobody has cannot be searched for; "" where it can, and is not found."""
    try:
        return "answers with items for what nobody has" if await tree.search(NOBODYS, MOST) else ""
    except (RefusedByArchive, ServerFault, Malformed) as error:
        return error.reason


async def _searched(tree: GirderTree, series: Mapping[str, Value], key: str) -> Finding:
    """Whether a series that was just shown is found by one of its values."""
    try:
        found = await tree.search(str(series[key]), MOST)
    except TooMuch as error:
        return Finding(MATCHING, Status.UNKNOWN, Kind.SINGLE.value, f"SERIES {key}", f"{error}.")
    said = [(await tree.described(item)).dicom for contents in found for item in contents.items]
    came = series["SeriesInstanceUID"] in [row.get("SeriesInstanceUID") for row in said]
    status = (Status.YES, "") if came else (Status.NO, "a record just shown is not found by it")
    return Finding(MATCHING, status[0], Kind.SINGLE.value, f"SERIES {key}", status[1])
