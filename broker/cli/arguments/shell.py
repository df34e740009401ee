"""The arguments of what shells need."""

from __future__ import annotations

import argparse

from broker.cli import examples
from broker.cli.arguments.common import explained


def completion(verb: argparse.ArgumentParser) -> None:
    """`broker completion`."""
    verb.add_argument("shell", choices=("bash", "zsh", "fish"))
    explained(verb, examples.COMPLETION)


def complete(verb: argparse.ArgumentParser) -> None:
    """`broker complete`: for the shell's script, not for people."""
    verb.add_argument("line", help="the command line up to the cursor")


def schema(verb: argparse.ArgumentParser) -> None:
    """`broker schema`, which takes nothing."""
