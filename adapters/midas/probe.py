"""What a MIDAS tells of itself: its version, its modules, its communities."""

from __future__ import annotations

from adapters.midas.tree import MidasTree
from adapters.shared.items_probe import looked_at, stated
from broker.probing.finding import Finding
from catalog.evidence import Status

SEARCH = "solr"  # the module that searches metadata


async def findings(tree: MidasTree) -> tuple[list[Finding], int]:
    """What was found, and by how many questions. Raises ArchiveError."""
    communities = await tree.collections()
    size = Finding("size", Status.TEXT, f"{len(communities)} communities", note="As it lists them.")
    seen = await looked_at(tree, communities)
    version, modules = await stated("version", tree.version()), await stated("modules", tree.modules())
    found = [size, version, modules, seen.finding()]
    if modules.status is Status.TEXT and SEARCH not in modules.value.split(", "):
        note = f"Its module {SEARCH}, which searches metadata, is not enabled."
        found.append(Finding("dicom_tags_queryable", Status.NUMBER, "0", note=note))
    return found, seen.questions + 3
