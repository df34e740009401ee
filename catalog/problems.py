"""What can go wrong in the catalog. The command line makes one-line errors of these, adapters their own.

CatalogError
├── BadFile       what is to be imported cannot be read, or is not what it seems; nothing was changed
│   └── Unrecognized  what it is, or what its columns are, cannot be told from its content
└── StoreFault    the store of holdings cannot be used; `reason` is a short stable word
    ├── Busy      another import is under way
    ├── Corrupt   the file is damaged, or none of ours
    └── Missing   it is not there, or not reachable
"""

from __future__ import annotations


class CatalogError(Exception):
    """Any error raised by the catalog of holdings."""


class BadFile(CatalogError):
    """A file cannot be imported; the text names file and line, and what to do."""


class Unrecognized(BadFile):
    """What a file is, or what its columns are, cannot be told from its content."""


class StoreFault(CatalogError):
    """The store cannot be used."""

    reason = "catalog_failed"


class Busy(StoreFault):
    """Another process is writing."""

    reason = "catalog_locked"


class Corrupt(StoreFault):
    """What is there cannot be read."""

    reason = "catalog_corrupt"


class Missing(StoreFault):
    """There is nothing, or nobody answers."""

    reason = "catalog_missing"
