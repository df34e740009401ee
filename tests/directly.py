"""Questions to real archives that do not go through our adapters: urllib for QIDO-RS, pynetdicom for C-FIND.

`verdict` asks for several records of the truth, in the way of one kind of matching, and says what the archive
does with a key: a probe takes one record.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pynetdicom
from pydicom import Dataset
from pynetdicom.events import EVT_CONN_OPEN, Event
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Find  # type: ignore[attr-defined]

from catalog.evidence import Status

Found = Callable[[str, Mapping[str, str]], set[str]]
"""(level, keys) -> the UIDs of that level which an archive answers with."""

UIDS = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID"}
_PLAIN = re.compile(r"[A-Za-z0-9._^ -]+")
_NOBODYS = {"UID": "2.25.424242", "Date": "17770101", "Time": "045959", "Sex": "Q", "Number": "-4711"}
_CODES = frozenset({"Modality", "ModalitiesInStudy", "BodyPartExamined"})


def qido(url: str) -> Found:
    """A DICOMweb server's answers to questions of urllib, every value percent-encoded."""

    def found(level: str, keys: Mapping[str, str]) -> set[str]:
        pairs = [f"{name}={quote(value, safe='*?')}" for name, value in keys.items()]
        pairs += ["emptyvaluematching=true"] if '""' in keys.values() else []
        path = {"STUDY": "studies", "SERIES": "series"}[level]
        with urlopen(f"{url}/{path}?{'&'.join(pairs)}", timeout=10) as reply:
            told = json.loads(reply.read() or b"[]")
        tag = {"STUDY": "0020000D", "SERIES": "0020000E"}[level]
        return {row[tag]["Value"][0] for row in told}

    return found


class Scu:
    """pynetdicom as a client of a C-FIND SCP, one association for one question."""

    def __init__(self, port: int, aet: str) -> None:
        self._ae = pynetdicom.AE("DIRECTLY")
        self._ae.add_requested_context(Find)
        self._at = (port, aet)

    def found(self, level: str, keys: Mapping[str, str]) -> set[str]:
        """The UIDs in its answers; lists are written as C-FIND writes them."""
        return {str(row[UIDS[level]].value) for row in self.rows(level, keys)}

    def rows(self, level: str, keys: Mapping[str, str]) -> list[Dataset]:
        """Its answers; none where it refuses the question."""
        asked = Dataset()
        asked.QueryRetrieveLevel = level
        for name, value in {"StudyInstanceUID": "", UIDS[level]: "", **keys}.items():
            setattr(asked, name, value.split(",") if "," in value else value)
        port, aet = self._at
        made = self._ae.associate("127.0.0.1", port, ae_title=aet, evt_handlers=[(EVT_CONN_OPEN, _at_once)])
        assert made.is_established
        told = list(made.send_c_find(asked, Find))
        made.release()
        assert all("Status" in status for status, _ in told), "the association broke"
        return [row for _, row in told if row is not None]


def _at_once(event: Event) -> None:
    """Small messages are sent at once."""
    assert event.assoc.dul.socket is not None
    assert event.assoc.dul.socket.socket is not None
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def accepted(port: int, aet: str, proposed: Iterable[str]) -> set[str]:
    """Those SOP classes that an SCP accepts."""
    ae = pynetdicom.AE("DIRECTLY")
    for uid in proposed:
        ae.add_requested_context(uid)
    made = ae.associate("127.0.0.1", port, ae_title=aet)
    assert made.is_established
    took = {str(context.abstract_syntax) for context in made.accepted_contexts}
    made.release()
    return took


def _forms(kind: str, name: str, value: str) -> str | None:
    """How a value is asked for; None where this kind cannot be asked of it."""
    match kind:
        case "single value":
            return value
        case "any of several values":
            return f"{value},{_nobody(name)}"
        case "wildcard" if name.endswith("Name"):
            word = re.search(r"[A-Za-z]{2,}", value)
            return f"*{word[0]}*" if word else None
        case "wildcard":
            return f"{value[: (len(value) + 1) // 2].split(' ')[0]}*" if len(value) > 1 else None
        case "letters of any case" if name.endswith("Name"):
            word = re.search(r"[A-Za-z]{2,}", value)
            return f"*{word[0].swapcase()}*" if word else None
        case "letters of any case":
            return value.swapcase() if value.swapcase() != value else None
        case "range" if name.endswith("Date") and re.fullmatch(r"\d{8}", value):
            return f"{value[:4]}0101-{value[:4]}1231"
        case "range" if name.endswith("Time") and re.fullmatch(r"\d{6}(\.\d+)?", value):
            return f"{value[:2]}0000-{value[:2]}5959.999999"
        case "range":
            return None  # not written as DICOM writes it
    raise AssertionError(kind)


def _nobody(name: str) -> str:
    if name in _CODES:
        return "NOSUCH"
    return next((value for part, value in _NOBODYS.items() if part in name), "Nobody has this")


def verdict(
    ask: Found, level: str, name: str, kind: str, records: Iterable[Mapping[str, Any]], most: int = 5
) -> Status:
    """What an archive does with a key at a level, asked about so many records that have a value of it.

    A record names its `uid` and the `values` of the key; of its series, where a study is asked by theirs.
    """
    known = list(records)
    full = [r for r in known if any(_asked(kind, name, v) for v in r["values"])]
    some = full[:: -(-len(full) // most) or 1]
    if kind == "empty value":
        empty = [r for r in known if r["values"] == [""]]
        came = [_comes(ask, level, r, name, '""') for r in empty[:most]]
        missed = [_comes(ask, level, r, name, '""') for r in some]
    else:
        forms = [(r, form) for r in some for v in r["values"] if (form := _asked(kind, name, v))]
        came = [_comes(ask, level, r, name, form) for r, form in forms]
        missed = [_comes(ask, level, r, name, _nobody(name)) for r in some if name != UIDS[level]]
    if not came or any(missed) or not any(came):
        return Status.NO if came or any(missed) else Status.UNKNOWN
    return Status.YES if all(came) else Status.PARTIAL


def _asked(kind: str, name: str, value: str) -> str | None:
    """How a value is asked for; None for one that has no such form, or not on every way."""
    if not _PLAIN.fullmatch(value):
        return None
    return value if kind == "empty value" else _forms(kind, name, value)


def _comes(ask: Found, level: str, record: Mapping[str, Any], name: str, value: str) -> bool:
    anchor = {} if name == UIDS[level] else {UIDS[level]: record["uid"]}
    return record["uid"] in ask(level, {**anchor, name: value})


def held(holdings: Iterable[Mapping[str, Any]], level: str, name: str, most: int = 5) -> list[dict[str, Any]]:
    """What the truth says of a key at a level: UID and values of some records, with a value and without."""
    found = []
    for holding in holdings:
        study, series = holding["study"], holding["series"]
        if level == "SERIES":
            rows = [{**study, **row} for row in series]
            found += [{"uid": r["SeriesInstanceUID"], "values": _texts(r.get(name, ""))} for r in rows]
        else:
            values = (
                _texts(study[name]) if name in study else [t for s in series for t in _texts(s.get(name, ""))]
            )
            found.append({"uid": study["StudyInstanceUID"], "values": list(dict.fromkeys(values))})
    return found


def _texts(value: Any) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list) else [str(value)]
