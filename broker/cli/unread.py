"""Evidence that was measured here and cannot be read is named, whatever is shown of the rest."""

from __future__ import annotations

import sys

from broker.knowing.knowledge import Knowledge
from broker.safe import line

FEW = 5  # lines that are named one by one


def unread(known: Knowledge) -> None:
    """The damaged lines, on standard error."""
    for note in known.notes[:FEW]:
        print(f"broker: evidence that cannot be read: {line(note)}", file=sys.stderr)
    more = len(known.notes[FEW:]) + known.more
    if more:
        print(f"broker: and {more:,} more lines of it", file=sys.stderr)
