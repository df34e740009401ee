"""What a federation entry may say of a DICOMweb archive, beside its address: see `docs/federation.md`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from adapters.dicomweb.question import Paging
from adapters.shared.options import Options
from broker.setup.limits import Limits
from broker.setup.network import Network
from catalog.archives import Archive
from catalog.capability import Can, Proof


@dataclass(frozen=True, slots=True)
class Settings:
    """One archive's options, read.

    alone    whether series are listed without naming a study
    session  the function that gives a session of `requests` to ask with, as `package.module:function`
    """

    can: Can
    paging: Paging
    limits: Limits
    alone: Proof
    session: str
    network: Network

    @classmethod
    def of(cls, archive: Archive, usual: Can) -> Settings:
        """Raises BadConfig for what is wrong or unknown."""
        limits = Limits.of(archive.name, archive.limits)
        options = Options(archive)
        size = options.number("page_size", Paging().size)
        most = options.number("max_results", 1) if "max_results" in archive.options else None
        paging = Paging(size, limits.pages, bool(options.flag("exact_pages")), most)
        can = _can(options, usual)
        alone, session = options.proof("series_alone"), options.text("session")
        network = Network.of(archive.name, archive.network)
        options.done()
        return cls(can, paging, limits, alone, session, network)


def _can(options: Options, usual: Can) -> Can:
    """The capabilities, as far as the federation file knows better than the standard."""
    can = replace(
        usual,
        lists_all=bool(options.flag("lists_all")),
        any_text=options.proof("any_text"),
        any_case_pn=options.proof("any_case_pn"),
    )
    promises = options.promises("matches")
    if promises:
        can = replace(can, matches=promises, cite="the federation file")
    return can.without(options.keywords("never_ask"))
