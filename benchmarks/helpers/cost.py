"""What commands cost: reads a command per line, runs it, answers with its seconds, peak memory and code.

It imports next to nothing, because a child's peak memory starts at that of the process that starts it.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    """Serve until standard input ends."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    quiet = [(os.POSIX_SPAWN_DUP2, nowhere, stream) for stream in range(3)]
    for line in sys.stdin:
        command = json.loads(line)
        start = time.perf_counter()
        child = os.posix_spawn(command[0], command, os.environ, file_actions=quiet)
        _, status, usage = os.wait4(child, 0)
        seconds = time.perf_counter() - start
        code = os.waitstatus_to_exitcode(status)
        print(json.dumps({"seconds": seconds, "kb": usage.ru_maxrss, "code": code}), flush=True)


if __name__ == "__main__":
    main()
