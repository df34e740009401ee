"""The command `broker`. This module only reads the command line: what is heavy waits until it is needed."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Sequence

from broker.cli import commands

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # nothing more can be written
OK, BAD_QUERY, INCOMPLETE, NOTHING, BAD_CONFIG, INTERRUPTED, PIPE = 0, 2, 3, 4, 5, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code says how far the answer can be trusted."""
    _streams()
    try:
        return _main(argv)
    except KeyboardInterrupt:
        _note("interrupted")
        code = INTERRUPTED
    except BrokenPipeError:
        code = PIPE
    except OSError as error:
        if error.errno not in FULL:
            raise
        _note(f"what was found cannot be written: {error.strerror}")
        code = BAD_CONFIG
    # whoever read us is gone; the interpreter must not find that out again at its end
    for stream in (sys.stdout, sys.stderr):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code


def _streams() -> None:
    """Standard output and error as every command may use them: there, and able to write any character."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us; `print` would take the other one
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper) and out.encoding.lower() not in ("utf-8", "utf8"):
        if out.isatty():
            out.reconfigure(errors="backslashreplace")
        else:
            out.reconfigure(encoding="utf-8")  # as `search` writes, whatever the language is set to


def _main(argv: Sequence[str] | None) -> int:
    top, verbs = commands.parser()
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in verbs:
        # conditions and options in any order, which argparse only does without sub-commands
        args = verbs[words[0]].parse_intermixed_args(words[1:])
        args.verb, args.version = words[0], False
    else:
        if words and not words[0].startswith("-"):
            top.error(commands.unknown(words[0]))
        args = top.parse_args(words)
    if args.version:
        from importlib.metadata import version

        print(version("imaging-broker"))
        sys.stdout.flush()
        return OK
    if args.verb is None:
        top.print_help()
        return OK
    return _run(args, verbs[args.verb])


def _run(args: argparse.Namespace, verb: argparse.ArgumentParser) -> int:
    import gc
    from importlib import import_module

    # a short-lived process keeps nearly all that it makes: looking for garbage is a tenth of its time
    gc.set_threshold(100_000, 20, 100)

    from broker.cli.together import given, spoken
    from broker.errors import BadConfig, BadInput, BadQuery
    from catalog.places import NoHome

    args.given = given(verb, args)
    try:
        spoken(verb, args)
        code: int = import_module(f"broker.cli.{args.verb}").run(args)
    except (BadQuery, BadInput) as error:
        _note(str(error))
        return BAD_QUERY
    except (BadConfig, NoHome) as error:
        _note(str(error))
        return BAD_CONFIG
    sys.stdout.flush()
    return code


def _note(text: str) -> None:
    print(f"broker: {text}", file=sys.stderr)
