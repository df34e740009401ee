"""Candidates of tier T4, computed by splink on DuckDB (extra `candidates`): pairs with score and reasons."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from broker.errors import BadQuery
from broker.extras import load
from broker.joining.entity import Entity
from broker.joining.resemblance import (
    ATTRIBUTES,
    Attribute,
    Candidate,
    Features,
    Reason,
    by_chance,
    expected,
    features,
    together,
)
from broker.joining.rules import Rules
from catalog.keywords import Level

LEAST = 0.9
_AGREEMENT = ("different", "similar", "equal")


def require() -> None:
    """Raises MissingExtra where splink is not installed."""
    load("splink", "candidates")


def candidates(entities: Sequence[Entity], rules: Rules, least: float = LEAST) -> list[Candidate]:
    """Pairs of patients, or of studies, that may be one, the likeliest first; scores from `least` on.

    Nothing changes. Pairs across the identified / de-identified barrier are not offered, nor the sides of a
    collision. Raises MissingExtra without splink, BadQuery for another level or a score that is none.
    """
    require()
    if not 0 < least <= 1:
        raise BadQuery(f"least {least:g}: a score is more than 0 and at most 1")
    if len(entities) < 2:
        return []
    level = entities[0].level
    if level not in ATTRIBUTES:
        raise BadQuery("candidates are patients or studies: a series is known by its UID")
    given = [features(e) for e in entities]
    found = [
        _candidate(row, entities, level) for row in _predicted(given, level, least)
        if not _apart(entities[row["unique_id_l"]], entities[row["unique_id_r"]], rules)
    ]  # fmt: skip
    return sorted(found, key=lambda c: (-c.weight, repr(c.one.key), repr(c.other.key)))


def _apart(one: Entity, other: Entity, rules: Rules) -> bool:
    """Whether two entities must not even be suggested as one."""
    if one.whole is not None and one.whole is other.whole:
        return True
    return any(rules.barred(here, there) for here, there in product(one.archives, other.archives))


def _candidate(row: dict[str, Any], entities: Sequence[Entity], level: Level) -> Candidate:
    reasons = [_reason(row, n, attribute) for n, attribute in enumerate(ATTRIBUTES[level])]
    return Candidate(
        entities[row["unique_id_l"]],
        entities[row["unique_id_r"]],
        row["match_probability"],
        row["match_weight"],
        tuple(r for r in reasons if r is not None),
    )


def _reason(row: dict[str, Any], number: int, attribute: Attribute) -> Reason | None:
    """What one attribute adds; nothing where one side says nothing."""
    name, found = f"a{number}", row[f"gamma_a{number}"]
    if found < 0:
        return None
    agreement = _AGREEMENT[found] if attribute.similar else _AGREEMENT[found * 2]
    weight = row[f"mw_{name}"] + row.get(f"mw_tf_adj_{name}", 0.0)
    return Reason(attribute.name, agreement, row[f"{name}_l"], row[f"{name}_r"], weight)


def _predicted(given: Sequence[Features], level: Level, least: float) -> list[dict[str, Any]]:
    """splink's prediction, a row a pair; columns a0, a1 ... are the attributes, b0, b1 ... groups of them."""
    splink, arrow, duckdb = (load(name, "candidates") for name in ("splink", "pyarrow", "duckdb"))
    with duckdb.connect() as db:
        api = splink.DuckDBAPI(db)
        settings = _settings(splink, level, len(given))
        linker = splink.Linker(api.register(_table(arrow, given, level)), settings, log_level="ERROR")
        for n, attribute in enumerate(ATTRIBUTES[level]):
            chance = by_chance(attribute, given)
            lookup = arrow.table({f"a{n}": list(chance), f"tf_a{n}": list(chance.values())})
            linker.table_management.register_term_frequency_lookup(api.register(lookup), f"a{n}")
        found = linker.inference.predict(threshold_match_probability=least)
        rows: list[dict[str, Any]] = db.table(found.physical_name).to_arrow_table().to_pylist()
        return rows


def _table(arrow: Any, given: Sequence[Features], level: Level) -> Any:
    columns: dict[str, list[Any]] = {"unique_id": list(range(len(given)))}
    columns |= {f"a{n}": [f[a.name] for f in given] for n, a in enumerate(ATTRIBUTES[level])}
    columns |= {f"b{n}": keys for n, keys in enumerate(together(level, given))}
    kinds = [arrow.field(name, arrow.int64() if name == "unique_id" else arrow.string()) for name in columns]
    return arrow.table(columns, schema=arrow.schema(kinds))


def _settings(splink: Any, level: Level, number: int) -> Any:
    groups = range(len(together(level, ())))
    return splink.SettingsCreator(
        link_type="dedupe_only",
        comparisons=[_comparison(f"a{n}", a) for n, a in enumerate(ATTRIBUTES[level])],
        blocking_rules_to_generate_predictions=[splink.block_on(f"b{n}") for n in groups],
        probability_two_random_records_match=expected(number),
        retain_intermediate_calculation_columns=True,
    )


def _comparison(name: str, attribute: Attribute) -> Any:
    """An attribute's levels for splink: nothing said, equal, similar, different."""
    library = load("splink.comparison_library", "candidates")
    level = load("splink.comparison_level_library", "candidates")
    equal, alike = attribute.equal, attribute.alike
    levels = [
        level.NullLevel(name),
        _set(level.ExactMatchLevel(name, term_frequency_adjustments=True), *equal),
    ]
    if attribute.similar:
        near = level.JaroWinklerLevel if attribute.similar < 1 else level.DamerauLevenshteinLevel
        levels.append(_set(near(name, attribute.similar), *alike))
    rest = _set(level.ElseLevel(), 1 - equal[0] - alike[0], 1 - equal[1] - alike[1])
    return library.CustomComparison(output_column_name=name, comparison_levels=[*levels, rest])


def _set(level: Any, same: float, other: float) -> Any:
    return level.configure(m_probability=same, u_probability=other)
