"""An answer as a data frame: of pandas, polars or Arrow, each loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from broker.answering.columns import (
    ARCHIVES,
    DATE,
    INTEGER,
    NUMBER,
    TEXT,
    UNTYPED,
    Cell,
    column,
    typed,
)
from broker.answering.export import flat_columns, joined
from broker.extras import load

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

    from broker.answering.found import Found

Table = dict[str, list[Cell]]


def types(columns: Sequence[str]) -> dict[str, str]:
    """The type of each column of a typed table, and of `untyped`."""
    return {name: column(name).type for name in (*columns, UNTYPED)}


def table(answer: Found) -> tuple[dict[str, str], Table]:
    """Columns with their types, and their values, one an entity, as `broker.answering.columns` says."""
    kinds = types(flat_columns(answer))
    made: Table = {name: [] for name in kinds}
    numbers = {name: kind for name, kind in kinds.items() if kind != TEXT}
    for e in answer.entities:
        shown = e.values
        lost = []
        for name in kinds:
            said = shown.get(name)
            if name in numbers:
                cell = typed(numbers[name], said)
                lost += [name] if cell is None and said else []
                made[name].append(cell)
            elif name == ARCHIVES:
                made[name].append("\\".join(e.archives))
            elif name != UNTYPED:
                made[name].append(joined(said))
        made[UNTYPED].append("\\".join(lost) or None)
    return kinds, made


def to_arrow(answer: Found) -> pyarrow.Table:
    """An Arrow table; each field's metadata holds its unit and its DICOM source."""
    pa = load("pyarrow", "arrow")
    kinds, made = table(answer)
    forms = {TEXT: pa.string(), INTEGER: pa.int64(), NUMBER: pa.float64(), DATE: pa.date32()}
    fields = []
    for name, kind in kinds.items():
        about = column(name)
        fields.append(pa.field(name, forms[kind], metadata={"unit": about.unit, "source": about.source}))
    found: pyarrow.Table = pa.table(made, schema=pa.schema(fields))
    return found


def to_pandas(answer: Found) -> pandas.DataFrame:
    """A pandas frame: `string`, `Int64`, `Float64` and `datetime64[s]`, all of which can be missing."""
    pd = load("pandas", "pandas")
    kinds, made = table(answer)
    forms = {TEXT: "string", INTEGER: "Int64", NUMBER: "Float64", DATE: "datetime64[s]"}
    series = {name: pd.Series(made[name], dtype=forms[kind]) for name, kind in kinds.items()}
    found: pandas.DataFrame = pd.DataFrame(series, columns=list(kinds))
    return found


def to_polars(answer: Found) -> polars.DataFrame:
    """A polars frame: `String`, `Int64`, `Float64` and `Date`."""
    pl = load("polars", "polars")
    kinds, made = table(answer)
    forms = {TEXT: pl.String, INTEGER: pl.Int64, NUMBER: pl.Float64, DATE: pl.Date}
    found: polars.DataFrame = pl.DataFrame(made, schema={name: forms[kind] for name, kind in kinds.items()})
    return found
