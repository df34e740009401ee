"""Words that would say nothing, as they stand or in their company: refused by name, never passed over."""

from __future__ import annotations

import argparse

from broker.errors import BadQuery


def given(verb: argparse.ArgumentParser, args: argparse.Namespace) -> frozenset[str]:
    """The options that say something else than what holds without them, by their long names."""
    return frozenset(
        action.option_strings[0]
        for action in verb._actions
        if action.option_strings and getattr(args, action.dest, action.default) != action.default
    )


def spoken(verb: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """No word and no option is empty, as a variable of a script may be. Raises BadQuery."""
    for action in verb._actions:
        label, value = (*action.option_strings, action.metavar)[0], getattr(args, action.dest, None)
        if label and value != action.default and _blank(value):
            raise BadQuery(f"{label}: nothing stands there; leave it out, or write what is meant")


def _blank(value: object) -> bool:
    """Whether it is empty, or one of several is, as in `a,b`."""
    if isinstance(value, list):
        return any(isinstance(each, str) and not each.strip(" ,") for each in value)
    return value == ""


def never(args: argparse.Namespace, *options: str, why: str) -> None:
    """None of these options was given, because of `why`. Raises BadQuery."""
    if spare := [option for option in options if option in args.given]:
        raise BadQuery(f"{' and '.join(spare)}: {why}")


def only(args: argparse.Namespace, what: str, *options: str) -> None:
    """No other options than these were given: nothing else changes `what`. Raises BadQuery."""
    known = f"takes {', '.join(options)}" if options else "takes no option"
    never(args, *sorted(args.given - {*options}), why=f"without meaning for {what}, which {known}")
