"""`broker schema`: the JSON Schema of an answer."""

from __future__ import annotations

import argparse
import json

from broker.answering.schema import json_schema
from broker.cli import OK


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 - every verb takes the command line
    """Print it."""
    print(json.dumps(json_schema(), indent=2, sort_keys=True))
    return OK
