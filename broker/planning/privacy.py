"""Which values an archive must not see: a public archive learns nobody's name from a query.

A condition on an identifying attribute is not sent to a public archive when a trusted one is asked in the
same query: the value may well come from there.
"""

from __future__ import annotations

from collections.abc import Sequence

from broker.adapter import Adapter
from broker.query import Query
from catalog.archives import Archive

IDENTIFYING = frozenset(
    [
        "PatientName",
        "PatientID",
        "IssuerOfPatientID",
        "PatientBirthDate",
        "PatientBirthTime",
        "AccessionNumber",
        "OtherPatientIDs",
        "OtherPatientNames",
        "PatientAddress",
        "PatientTelephoneNumbers",
        "PatientMotherBirthName",
        "StudyID",
        "PatientComments",
        "ReferringPhysicianName",
        "PerformingPhysicianName",
        "OperatorsName",
    ]
)


def withheld(query: Query, archives: Sequence[Archive | Adapter]) -> list[frozenset[str]]:
    """For each archive, the keywords whose values it must not see in this query.

    Records given in Python, as an adapter, are the user's own and count as trusted.
    """
    names = frozenset(c.keyword for c in query.conditions if not c.universal) & IDENTIFYING
    trusted = [not isinstance(a, Archive) or a.trust == "trusted" or a.state == "embedded" for a in archives]
    mixed = any(isinstance(a, Archive) and a.trust == "trusted" for a in archives)
    return [names if mixed and not own else frozenset() for own in trusted]
