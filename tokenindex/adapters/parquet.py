"""Reading Parquet: a flat table of text, exact numbers, dates and moments, as the texts that a CSV file would hold.

*Reads* bytes. *Writes* a frame of text. *Never* takes the word of a file for how large it is: a page says how much it
unpacks to, a dictionary how often one text stands in a column, and both are added up before anything is unpacked.

The reader of polars 2.1 aborts the interpreter on some damaged files; the one of Arrow, which is used here, raises.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from . import Capture
from .reading import COLUMNS_MAX, blank_to_null, shown, unreadable

ROWS_MAX: Final = 1_000_000
"""Most rows of a file."""
UNPACKED_MAX: Final = 2**28
"""Largest size of the unpacked pages, and of the texts of all cells, in bytes."""
_NESTED_MAX: Final = 16
_FIXED: Final = {1: 0, 2: 0, 3: 1, 7: 8}
"""Bytes of the kinds of fields in a page header that have always as many."""
_FAILURES: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException)


def load_parquet(content: bytes, capture: Capture) -> pl.DataFrame:
    """Return the cells of a Parquet file as text; an empty cell is null.

    Raises
    ------
    InputDataError
        If the file is broken, passes a bound of this module, or holds nested columns, binary floats or moments without a
        zone.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(pa.BufferReader(content))
        _refuse_large(content, metadata, capture)
        texts = [metadata.schema.column(at).path for at in range(metadata.num_columns)]
        # a text that stands in every row is held once until it is known how long they are together
        found = pq.read_table(pa.BufferReader(content), use_threads=False, read_dictionary=texts)
        found.validate(full=True)
        if sum(map(_length, found.columns)) > UNPACKED_MAX:
            raise _too_large(capture)
        frame = pl.DataFrame(pa.Table.from_arrays(found.columns, names=found.column_names))
        return blank_to_null(frame.select(_as_text(column, capture) for column in frame))
    except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError, *_FAILURES) as wrong:
        what = f"the Parquet file is broken: {shown(str(wrong))}"
        raise unreadable(capture, what, expected="a Parquet file") from None


def _too_large(capture: Capture) -> Exception:
    return unreadable(capture, f"it unpacks to more than {UNPACKED_MAX} bytes", expected="a smaller Parquet file")


def _refuse_large(content: bytes, metadata: Any, capture: Capture) -> None:
    if metadata.num_rows > ROWS_MAX:
        raise unreadable(capture, f"more than {ROWS_MAX} rows", expected="a smaller Parquet file")
    if metadata.num_columns > COLUMNS_MAX:
        raise unreadable(capture, f"more than {COLUMNS_MAX} columns", expected="a smaller Parquet file")
    for at in range(metadata.num_columns):
        column = metadata.schema.column(at)
        if column.max_repetition_level or "." in column.path:
            raise unreadable(capture, f"the column {shown(column.path)!r} is nested", expected="a flat table")
    unpacked = 0
    for group in range(metadata.num_row_groups):
        for at in range(metadata.num_columns):
            for size in _pages(content, metadata.row_group(group).column(at)):
                unpacked += size
                if unpacked > UNPACKED_MAX:
                    raise _too_large(capture)


def _pages(content: bytes, chunk: Any) -> Iterator[int]:
    """Yield the unpacked size of each page of a column chunk."""
    at = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < at:
        at = chunk.dictionary_page_offset
    end = at + chunk.total_compressed_size
    if not 0 <= at <= end <= len(content):
        raise ValueError("a column lies outside of the file")
    while at < end:
        fields, at = _struct(content, at, _NESTED_MAX)
        unpacked, packed = fields.get(2, -1), fields.get(3, -1)
        if unpacked < 0 or packed < 0:
            raise ValueError("a page has no size")
        yield unpacked
        at += packed


def _struct(content: bytes, at: int, depth: int) -> tuple[dict[int, int], int]:
    """Return the whole numbers of a struct in Thrift's compact protocol by field, and where it ends."""
    numbers: dict[int, int] = {}
    name = 0
    while kind := _byte(content, at):
        name, at = (name + (kind >> 4), at + 1) if kind >> 4 else _number(content, at + 1)
        if kind & 15 in (4, 5, 6):
            numbers[name], at = _number(content, at)
        else:
            at = _skipped(content, at, kind & 15, depth)
    return numbers, at + 1


def _skipped(content: bytes, at: int, kind: int, depth: int) -> int:
    """Return where the field of a `kind` ends that begins at `at`."""
    if kind in _FIXED:
        return at + _FIXED[kind]
    if kind == 8:
        length, at = _varint(content, at)
        return at + length
    if kind == 12 and depth:
        return _struct(content, at, depth - 1)[1]
    if kind in (4, 5, 6):
        return _varint(content, at)[1]
    raise ValueError("a page header is none")  # it holds no lists and no maps


def _number(content: bytes, at: int) -> tuple[int, int]:
    number, at = _varint(content, at)
    return (number >> 1) ^ -(number & 1), at


def _varint(content: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        byte = _byte(content, at)
        number, at = number | (byte & 127) << shift, at + 1
        if byte < 128:
            return number, at
    raise ValueError("a number of a page header is none")


def _byte(content: bytes, at: int) -> int:
    if at >= len(content):
        raise ValueError("a page header is cut short")
    return content[at]


def _length(column: Any) -> int:
    """Return the bytes of all texts of a column of Arrow."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        return 0
    return sum(pc.sum(pc.binary_length(part.dictionary).take(part.indices)).as_py() or 0 for part in column.chunks)


def _as_text(column: pl.Series, capture: Capture) -> pl.Series:
    """Return a typed column as the text that a CSV file would hold; binary floats and naive moments are refused."""
    kind = column.dtype
    if isinstance(kind, pl.Datetime) and kind.time_zone is not None:
        return column.dt.convert_time_zone("UTC").dt.cast_time_unit("us").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    if isinstance(kind, pl.Time):
        return column.dt.strftime("%H:%M:%S")
    exact = kind.is_integer() or kind.is_decimal() or kind in (pl.String, pl.Boolean, pl.Date, pl.Null)
    if exact or isinstance(kind, pl.Categorical | pl.Enum):
        return column.cast(pl.String)
    expected = "text, integers, decimals, dates and moments with a zone"
    raise unreadable(capture, f"the column {shown(column.name)!r} is {kind}", expected=expected)
