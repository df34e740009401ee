"""Faulty archives among healthy ones: what must hold, whatever the fault. What is run is in `injecting`.

python tests/trials.py            every case, at every position: the table of docs/reliability.md
python tests/trials.py random N   N random injections: honesty, healthy records, time over the deadline
python tests/trials.py soak S     mixed faults for S seconds: memory, sockets, threads, tasks, and slopes
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from injecting.injections import at_random
from injecting.soak import soak
from injecting.table import table


def main(words: Sequence[str]) -> int:
    """The command."""
    match words:
        case []:
            return asyncio.run(table())
        case ["random", count]:
            return asyncio.run(at_random(int(count)))
        case ["soak", seconds]:
            return asyncio.run(soak(float(seconds)))
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
