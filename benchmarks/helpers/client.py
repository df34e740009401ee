"""One of several clients: asks a catalog through the broker, one search after the other, for some seconds.

Arguments: the store, its password ("" for none), seconds. Waits for a line before it begins.
"""

from __future__ import annotations

import itertools
import json
import sys
import time

import broker
from adapters.local.adapter import Local
from catalog.store import store

ASKED: tuple[tuple[str, ...], ...] = (
    ("Modality=MR", "SeriesDescription~flair", "StudyDate=2000-"),
    ("PatientID=TCGA-B8-4143",),
    ("Modality=CT", "BodyPartExamined=LUNG", "StudyDate=2005-"),
)


def main() -> None:
    """Answer with how many searches were made, and the longest in seconds."""
    place, password, seconds = sys.argv[1:]
    kept = store(place, password or None)
    for conditions in ASKED:
        broker.search("series", *conditions, at=[Local("idc-copy", kept)], limit=100)
    for _ in sys.stdin:
        end, longest, count = time.perf_counter() + float(seconds), 0.0, 0
        for conditions in itertools.cycle(ASKED):
            start = time.perf_counter()
            answer = broker.search("series", *conditions, at=[Local("idc-copy", kept)], limit=100)
            longest = max(longest, time.perf_counter() - start)
            count += answer.complete
            if time.perf_counter() > end:
                break
        print(json.dumps({"searches": count, "longest": longest}), flush=True)


if __name__ == "__main__":
    main()
