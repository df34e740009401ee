"""Collections that two archives have under different names: `LIDC-IDRI` at TCIA is `lidc_idri` at the IDC."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from importlib import resources


@functools.cache
def own_names(names: str) -> Mapping[str, str]:
    """Other names of collections -> the name that archives of a register give them.

    `names` is `idc` (the `collection_id` of the Imaging Data Commons), `tcia` (the names of The Cancer
    Imaging Archive) or "" for no known register.

    >>> own_names("idc")["LIDC-IDRI"], own_names("tcia")["lidc_idri"], len(own_names(""))
    ('lidc_idri', 'LIDC-IDRI', 0)
    """
    if not names:
        return {}
    file = resources.files("catalog").joinpath("data", "collection_names.toml")
    table: dict[str, str] = tomllib.loads(file.read_text(encoding="utf-8"))["idc"]
    return table if names == "idc" else {own: name for name, own in table.items()}
