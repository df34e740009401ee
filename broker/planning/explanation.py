"""What would be asked of an archive, and why: the plan, for people to read before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass

from broker.adapter import Adapter, Learns, Shows
from broker.plan import Plan, Wish, plan
from broker.query import Query


@dataclass(frozen=True, slots=True)
class Explanation:
    """The plan for one archive.

    requests   the first request of each question, as it would be sent, without credentials
    may_learn  a short self-test comes first, after which more may be asked there than is shown here
    """

    archive: str
    plan: Plan
    requests: tuple[str, ...]
    may_learn: bool


def explained(query: Query, adapter: Adapter, wish: Wish) -> Explanation:
    """Plan without asking."""
    made = plan(query, adapter.name, adapter.can, wish)
    shows = [adapter.request(ask) for ask in made.asks] if isinstance(adapter, Shows) else []
    better = plan(query, adapter.name, adapter.can.hopeful(), wish)
    return Explanation(adapter.name, made, tuple(shows), isinstance(adapter, Learns) and better != made)
