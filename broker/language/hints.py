"""What a person may have meant by a word that is not known. Only for messages."""

from __future__ import annotations

import re

from broker.meaning import values

MODALITIES = "CR CT DX IO MG MR NM OP OT PT PX RF SC SM US XA RTDOSE RTPLAN RTSTRUCT SEG SR".split()
"""Modalities that archives are asked for most (PS3.3 C.7.3.1.1.1)."""

USUAL_VALUES = {"Modality": MODALITIES, "ModalitiesInStudy": MODALITIES, "PatientSex": ["F", "M", "O"]}
"""Values of attributes that have few: defined terms of PS3.3."""


def dated(name: str, value: str) -> str:
    """The same for a date or range written as elsewhere: 2010-01-31, 01/02/2011, 2010..2012, >2010."""
    text = re.sub(r"\b(\d{4})([-/.])(\d\d)\2(\d\d)\b", r"\1\3\4", value.strip())
    text = re.sub(r"\s*(\.\.+|–|—|\bto\b)\s*", "-", text)
    text = re.sub(r"^>=?\s*(\d+)$", r"\1-", text)
    text = re.sub(r"^<=?\s*(\d+)$", r"-\1", text)
    days = re.fullmatch(r"(\d\d)[/.](\d\d)[/.](\d{4})", text)
    if days:
        meant = {days[3] + days[1] + days[2], days[3] + days[2] + days[1]}
        return _offered(name, sorted(m for m in meant if values.date(m)))
    ends = text.split("-")
    good = len(ends) <= 2 and any(ends) and all(not end or values.date(end) for end in ends)
    return _offered(name, [text] if good and text != value else [])


def _offered(name: str, texts: list[str]) -> str:
    return f"; did you mean {' or '.join(f'{name}={text}' for text in texts)}?" if texts else ""
