"""Random conditions, records and capabilities, from few letters, so that many of them meet."""

from __future__ import annotations

from hypothesis import HealthCheck, reject, settings
from hypothesis import strategies as st

from broker.errors import BadQuery
from broker.matching import Value
from broker.meaning import values
from broker.query import Condition, condition
from catalog.capability import Can, Kind, Proof
from catalog.keywords import Level

# nothing here depends on the speed of a machine, or on luck
settings.register_profile(
    "broker",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("broker")

KEYWORDS = {
    "AE": "StationAETitle",
    "AS": "PatientAge",
    "AT": "SelectorAttribute",
    "CS": "Modality",
    "DA": "StudyDate",
    "DS": "SliceThickness",
    "DT": "AcquisitionDateTime",
    "IS": "SeriesNumber",
    "LO": "StudyDescription",
    "LT": "PatientComments",
    "PN": "PatientName",
    "SH": "AccessionNumber",
    "TM": "StudyTime",
    "UI": "SeriesInstanceUID",
    "UR": "DataURL",
    "US": "Rows",
}
"""A keyword of each VR that has rules of its own."""

LETTERS = "aAsSßbB%_.[éÉe\u0301σΣς山 \\-^="


def text(alphabet: str, longest: int = 5) -> st.SearchStrategy[str]:
    """A short text."""
    return st.text(alphabet, min_size=1, max_size=longest)


days = st.builds("{:04}{:02}{:02}".format, st.integers(2019, 2021), st.integers(1, 12), st.integers(1, 28))
dates = st.one_of(days, days.map(lambda d: d[:6]), days.map(lambda d: d[:4]))
hours = st.builds("{:02}{:02}{:02}.{:03}".format, *map(st.integers, (8, 0, 0, 0), (11, 59, 60, 999)))
times = st.builds(lambda t, n: t[:n], hours, st.sampled_from([2, 4, 6, 8, 10]))
offsets = st.sampled_from(["", "", "+0200", "-0500"])
stamps = st.one_of(st.builds("{}{}{}".format, days, times, offsets), dates)


def ranges(ends: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """`a`, `a-b`, `a-` or `-b`."""
    both = st.builds("{}-{}".format, ends, ends)
    return st.one_of(ends, both, ends.map("{}-".format), ends.map("-{}".format))


numbers = st.sampled_from(["7", "007", "+7", "7.0", "-7", "1.5", "1.50", "15E-1", "8"])
uids = st.sampled_from(["1.2", "1.2.3", "1.2.34", "1.3"])
ages = st.sampled_from(["066Y", "066M", "003M"])
tags = st.sampled_from(["00080060", "(0008,0060)", "00080061", "0008006a", "0008006A"])

VALUES: dict[str, st.SearchStrategy[str]] = {
    **{vr: text(LETTERS) for vr in KEYWORDS},
    **{"AS": ages, "AT": tags, "DA": dates, "TM": times, "DT": stamps, "UI": uids},
    **dict.fromkeys(("DS", "IS", "US"), numbers),
}
"""VR -> texts that a record may have."""

_ASKED = {
    **{vr: text(LETTERS + "**??,\"'") for vr in KEYWORDS},
    **{"AS": ages, "AT": tags.map('"{}"'.format), "UI": uids},
    **{"DA": ranges(dates), "TM": ranges(times), "DT": ranges(stamps)},
    **dict.fromkeys(("DS", "IS", "US"), numbers),
}


@st.composite
def conditions(draw: st.DrawFn, vrs: tuple[str, ...] = tuple(KEYWORDS)) -> Condition:
    """A condition that can be meant."""
    vr = draw(st.sampled_from(vrs))
    asked = draw(st.lists(_ASKED[vr] | st.just('""'), min_size=1, max_size=3))
    sign = draw(st.sampled_from("=~" if vr in values.WILD else "="))
    try:
        return condition(f"{KEYWORDS[vr]}{sign}{','.join(asked)}")
    except BadQuery:
        reject()


def near(asked: Condition) -> st.SearchStrategy[Value]:
    """What a record may say of an attribute that is asked for, often near to what is asked."""
    one = one_near(asked)
    return st.one_of(one, one, st.lists(one, max_size=2).map(tuple), st.sampled_from([None, "", " \0"]))


_PADDED = ("{}", "{}", "{} ", "{}\0")
_AROUND = ("{}", "{}", "b{}", "{}b", " {}", "{}^^", "b={}", "{}=b", "%{}_", "")


@st.composite
def one_near(draw: st.DrawFn, asked: Condition) -> str:
    """One text: a value of the condition in another form, or any."""
    vr = asked.key.vr
    known = [t for m in asked.matches for t in (m.text, m.low, m.high) if t]
    if not known or draw(st.integers(0, 3)) == 0:
        return draw(VALUES[vr])
    meant = draw(st.sampled_from(known))
    for mark in "*?":
        meant = meant.replace(mark, draw(st.sampled_from(["", "b", "ß", "e\u0301", "^", " "])))
    if vr in values.WILD:
        forms = [meant, meant, meant.swapcase(), meant.upper(), meant.lower()]
        meant = draw(st.sampled_from(_AROUND)).format(draw(st.sampled_from(forms)))
    return draw(st.sampled_from(_PADDED)).format(meant)


@st.composite
def capabilities(draw: st.DrawFn, *asked: Condition) -> Can:
    """What an archive promises for some conditions, and which of them it returns."""
    every = frozenset(Kind)
    kinds = st.one_of(st.just(every), st.just(every - {Kind.ANY_CASE}), st.frozensets(st.sampled_from(Kind)))
    proofs = st.sampled_from([Proof.YES, *Proof])
    columns = sorted({c.column for c in asked})
    return Can(
        levels=frozenset(Level),
        matches={c.keyword: draw(kinds) for c in asked},
        returns=draw(st.none() | st.frozensets(st.sampled_from(columns))),
        lists_all=True,
        any_text=draw(proofs),
        any_case_pn=draw(proofs),
        combines=draw(st.booleans()),
        relational=True,
        lists=draw(st.integers(1, 3)),
        stars=draw(st.none() | st.integers(0, 3)),
        odd=draw(st.sampled_from(["", "%_["])),
    )
