"""Registers: the tables that people keep by hand, a CSV file each.

*Reads* bytes. *Writes* typed frames. *Never* skips a row: a file with a wrong cell is refused with the line and the column.
"""

from __future__ import annotations

import io

import polars as pl

from .errors import InputDataError
from .tables import REGISTRY, Table


def read_registry(content: bytes, *, where: str) -> pl.DataFrame:
    """Return the REGISTRY of a CSV file.

    Raises
    ------
    InputDataError
        If a column is missing or unknown, or a cell is empty or not a date where it must be.
    """
    return read_table(content, REGISTRY, where=where)


def read_table(content: bytes, table: Table, *, where: str) -> pl.DataFrame:
    """Return a table of the home that people write, from its CSV file."""
    try:
        text = pl.read_csv(io.BytesIO(content), infer_schema=False).rechunk()
    except pl.exceptions.PolarsError as wrong:
        raise InputDataError(
            str(wrong).split("\n")[0], where=where, expected=f"the {table.name.lower()} as CSV"
        ) from None
    names = [c.name for c in table.columns]
    if set(text.columns) != set(names):
        raise InputDataError(f"the columns are {', '.join(text.columns)}", where=where, expected=", ".join(names))
    for column in table.columns:
        bad = text[column.name].is_null() if not column.nullable else pl.Series([False] * len(text), dtype=pl.Boolean)
        if column.dtype == pl.Date:
            bad |= text[column.name].is_not_null() & text[column.name].str.to_date("%Y-%m-%d", strict=False).is_null()
        if column.allowed:
            bad |= ~text[column.name].is_in(list(column.allowed))
        if bad.any():
            row = int(bad.arg_true()[0])
            expected = " or ".join(column.allowed) or ("a date" if column.dtype == pl.Date else "some text")
            found = f"column {column.name} holds {text[column.name][row]!r}"
            raise InputDataError(found, where=f"{where} line {row + 2}", expected=expected)
    dates = [pl.col(c.name).str.to_date("%Y-%m-%d") for c in table.columns if c.dtype == pl.Date]
    return table.conform(text.with_columns(dates))
