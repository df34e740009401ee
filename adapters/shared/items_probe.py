"""What archives of folders and items tell: a version, and whether the first few items have DICOM metadata."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field

from adapters.shared.items import Folder, Tree
from broker.errors import Forbidden, Malformed, RefusedByArchive, ServerFault
from broker.matching import Value
from broker.probing.finding import Finding
from catalog.evidence import Status
from catalog.probes import BEHAVIOUR

FOLDERS = 16  # that are looked into
ITEMS = 12  # that are looked at

_WORDS = {Status.YES: "there", Status.NO: "not seen", Status.UNKNOWN: "no item seen"}


@dataclass(slots=True)
class Seen:
    """Items that were looked at: how many, the DICOM metadata of those that have some; and the questions."""

    items: int = 0
    dicom: list[Mapping[str, Value]] = field(default_factory=list)
    questions: int = 0

    @property
    def series(self) -> list[Mapping[str, Value]]:
        """Those that are records of a series."""
        return [said for said in self.dicom if said.get("SeriesInstanceUID")]

    def finding(self) -> Finding:
        """Whether there are DICOM metadata."""
        status = Status.YES if self.dicom else Status.NO if self.items else Status.UNKNOWN
        note = f"Of the first {self.items} items {len(self.dicom)} have some, "
        note += f"{len(self.series)} of these with a SeriesInstanceUID."
        return Finding(BEHAVIOUR, status, _WORDS[status], "DICOM metadata", note)


async def looked_at(tree: Tree, collections: Sequence[Folder]) -> Seen:
    """The first items, deep before wide. Raises ArchiveError."""
    seen, waiting, folders = Seen(), deque(collections), 0
    while waiting and folders < FOLDERS and seen.items < ITEMS:
        contents = await tree.contents(waiting.popleft())
        folders += 1
        waiting.extendleft(reversed(contents.folders))
        for item in contents.items[: ITEMS - seen.items]:
            said = (await tree.described(item)).dicom
            seen.items += 1
            seen.dicom += [said] if said else []
    seen.questions = folders + seen.items
    return seen


async def stated(about: str, asked: Awaitable[str]) -> Finding:
    """What it says, or why it does not. Raises ArchiveError for what is not its refusal."""
    try:
        return Finding(BEHAVIOUR, Status.TEXT, await asked or "none", about)
    except (Forbidden, RefusedByArchive, ServerFault, Malformed) as error:
        return Finding(BEHAVIOUR, Status.UNKNOWN, f"not told ({error.reason})", about)
