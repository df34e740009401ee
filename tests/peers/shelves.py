"""What our MIDAS and Girder servers hold: fixture series in folders, among items of other kinds."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from catalog.keywords import Level
from fixtures.dicom import Holding, truth


@dataclass
class Item:
    """An item: its name, its bytes, its DICOM metadata (empty: it has none), and other metadata."""

    name: str
    size: int
    dicom: dict[str, str] = field(default_factory=dict)
    other: dict[str, str] = field(default_factory=dict)
    number: int = 0


@dataclass
class Shelf:
    """A folder, or a collection, which has no items of its own."""

    name: str
    shelves: list[Shelf] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    number: int = 0

    def every(self) -> Iterator[Shelf]:
        """This one and all below it."""
        yield self
        for shelf in self.shelves:
            yield from shelf.every()


OTHERS = (
    Item("consent.pdf", 40_000),
    Item("brain.nii.gz", 9_000_000, other={"Modality": "MR", "description": "converted"}),
    Item("segmentation.mha", 1_000_000, other={"Rater": "2"}),
)

UNPLACED = Item("lost.dcm", 1_000, {"Modality": "CT", "PatientID": "000123"})

_GONE = frozenset({"OperatorsName", "ReferringPhysicianName"})


def shelves(archive: str = "a", unplaced: bool = False) -> list[Shelf]:
    """The fixture studies of an archive by patient and study: those with CT, and the others."""
    held = truth()["archives"][archive]
    with_ct = [h for h in held if "CT" in h["study"]["ModalitiesInStudy"]]
    rest = [h for h in held if h not in with_ct]
    found = [_collection("Give a CT", with_ct), _collection("OSA – other (Brüste)", rest)]
    if unplaced:
        found[0].shelves[0].items.append(UNPLACED)
    for number, shelf in enumerate((s for top in found for s in top.every()), start=11):
        shelf.number = number
    for number, item in enumerate((i for top in found for s in top.every() for i in s.items), start=501):
        item.number = number
    return found


def _collection(name: str, held: Iterable[Holding]) -> Shelf:
    by_patient = itertools.groupby(held, key=lambda h: str(h["study"]["PatientID"]))
    patients = [Shelf(f"Patient {patient}", [_study(h) for h in group]) for patient, group in by_patient]
    extra = Shelf("Documents", items=[Item(i.name, i.size, other=dict(i.other)) for i in OTHERS])
    return Shelf(name, [*patients, extra, Shelf("empty")])


def _study(held: Holding) -> Shelf:
    study = {k: v for k, v in held["study"].items() if isinstance(v, str) and k not in _GONE}
    about = {k: v for k, v in study.items() if "Related" not in k and k != "ModalitiesInStudy"}
    found = Shelf(str(held["study"].get("StudyDescription", "")))
    for series in held["series"]:
        texts = {k: v for k, v in series.items() if isinstance(v, str) and k not in _GONE}
        said = {k: v for k, v in texts.items() if "Related" not in k}
        size = 1000 * int(str(series["NumberOfSeriesRelatedInstances"]))
        found.items.append(Item(str(series.get("SeriesDescription", "?")), size, {**about, **said}))
    return found


def known(held: Iterable[Shelf]) -> dict[Level, list[dict[str, str]]]:
    """The series on shelves as records, as an adapter should give them."""
    return {
        Level.SERIES: [
            {**item.dicom, "Collection": top.name, "SizeInMB": f"{item.size / 1e6:g}"}
            for top in held
            for shelf in top.every()
            for item in shelf.items
            if "SeriesInstanceUID" in item.dicom
        ]
    }
