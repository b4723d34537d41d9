"""Digests of rows: what a table holds, whichever file or library it stands in.

*Reads* frames. *Writes* SHA-256 digests of their rows. *Never* hashes the bytes of a Parquet or Arrow file, which carry the
build of their writer.

The canonical form of some rows of a table is a header and then each column in the order of its definition. The header is
the canonical JSON of the table's name, the names and kinds of its columns and the number of rows, ended by a zero byte. A
column is one byte a row, 1 where it holds something and 0 where it is null; then its cells, null as zero or empty text:

    text              length in bytes of each cell, then all cells in UTF-8
    integer, date, moment, boolean
                      the integer; days and microseconds since 1970-01-01 UTC; 1 or 0
    decimal           the integer of its last decimal place

Integers and lengths are signed, little-endian, of 8 bytes; those of decimals of 16. Nothing of it depends on how a library
lays out its memory, formats a number, orders its threads or names its types, so any version of any library that reads
the same rows gives the same digest. The order of the rows counts: it is the one in which an adapter gave them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import polars as pl

if TYPE_CHECKING:
    from .tables import Table

_HALF: Final = pl.lit(2**64, dtype=pl.Int128)


def row_digests(table: Table, frame: pl.DataFrame, sizes: Sequence[int]) -> list[str]:
    """Return the digest of each run of rows: of the first ``sizes[0]`` rows, of the next ``sizes[1]``, and so on.

    Parameters
    ----------
    table : Table
        The definition: columns of the frame that it does not name do not count.
    frame : DataFrame
        As many rows as `sizes` have in sum.
    sizes : sequence of int
        Number of rows of each run.
    """
    bounds = [0, *accumulate(sizes)]
    if bounds[-1] != len(frame):
        raise ValueError(f"{len(frame)} rows are not {bounds[-1]}")
    head, tail = _header(table)
    runs = [hashlib.sha256(b"%b%d%b" % (head, size, tail)) for size in sizes]
    for cells, ends in _columns(table, frame, bounds):
        for run, start, end in zip(runs, ends[:-1], ends[1:], strict=True):
            run.update(cells[start:end])
    return [run.hexdigest() for run in runs]


def row_digest(table: Table, frame: pl.DataFrame) -> str:
    """Return the digest of all rows of a frame."""
    return row_digests(table, frame, [len(frame)])[0]


def schema_digest(tables: Sequence[Table]) -> str:
    """Return the digest of the names and kinds of the columns of some tables."""
    return hashlib.sha256(b"".join(b"".join(_header(table)) for table in tables)).hexdigest()


@cache
def _header(table: Table) -> tuple[bytes, bytes]:
    """Return the header of some rows before their number, and after it."""
    kinds = json.dumps([[column.name, _kind(column.dtype)] for column in table.columns], separators=(",", ":"))
    return f'{{"columns":{kinds},"rows":'.encode(), f',"table":"{table.name}"}}'.encode() + b"\0"


def _kind(dtype: Any) -> str:
    """Return the kind of a column in words of ours: those of a library change with it."""
    if isinstance(dtype, pl.Decimal):
        return f"decimal {dtype.scale}"
    kinds = {pl.String: "text", pl.Int64: "integer", pl.Boolean: "boolean", pl.Date: "date"}
    return kinds.get(dtype) or {pl.Datetime("us", "UTC"): "moment"}[dtype]


def _columns(table: Table, frame: pl.DataFrame, bounds: Sequence[int]) -> Iterator[tuple[memoryview, list[int]]]:
    """Yield the canonical form of each column as one or two buffers, and where each run begins and ends in it."""
    import numpy as np

    kinds = {column.name: _kind(column.dtype) for column in table.columns}
    parts = frame.select(part for name, kind in kinds.items() for part in _parts(name, kind))
    texts = [name for name, kind in kinds.items() if kind == "text"]
    joined = frame.select(pl.col(name).fill_null("").str.join("") for name in texts)
    by = {width: [bound * width for bound in bounds] for width in (1, 8, 16)}
    for name, kind in kinds.items():
        yield _buffer(parts[f"{name} there"].to_numpy(), "u1"), by[1]
        if kind == "text":
            lengths = parts[name].to_numpy()
            yield _buffer(lengths, "<i8"), by[8]
            ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])[np.asarray(bounds)]
            yield memoryview((joined[name][0] or "").encode() if len(frame) else b""), ends.tolist()
        elif kind.startswith("decimal"):
            pair = [parts[name].to_numpy().view("u8"), parts[f"{name} high"].to_numpy().view("u8")]
            yield _buffer(np.column_stack(pair), "<u8"), by[16]
        else:
            yield _buffer(parts[name].to_numpy(), "<i8"), by[8]


def _parts(name: str, kind: str) -> Iterator[pl.Expr]:
    """Yield what the canonical form of a column is made of, as columns that numpy can hold."""
    cell = pl.col(name)
    yield cell.is_not_null().cast(pl.UInt8).alias(f"{name} there")
    if kind == "text":
        yield cell.fill_null("").str.len_bytes().cast(pl.Int64)
    elif kind.startswith("decimal"):
        whole = cell.to_physical().cast(pl.Int128).fill_null(0)
        yield (whole % _HALF).cast(pl.UInt64).alias(name)
        yield (whole // _HALF).cast(pl.Int64).alias(f"{name} high")
    else:
        yield cell.to_physical().cast(pl.Int64).fill_null(0)


def _buffer(cells: Any, layout: str) -> memoryview:
    """Return the cells of an array one after another, in the named layout of numpy."""
    import numpy as np

    flat = np.ascontiguousarray(cells, dtype=layout)
    return flat.data.cast("B") if flat.size else memoryview(b"")
