"""Reading Parquet: a flat table of text, exact numbers, dates and moments, as the texts that a CSV file would hold.

*Reads* bytes. *Writes* a frame of text. *Never* takes the word of a file for how large it is: a page says how much it
unpacks to, a dictionary how often one text stands in a column, and both are added up before anything is unpacked.

The reader of polars 2.1 aborts the interpreter on some damaged files; the one of Arrow, which is used here, raises. To be
asked for the places of the pages it aborts as well, so these are read here: footer and page headers are structs in the
compact protocol of Thrift, whose fields have a number and a kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import polars as pl

from . import Capture
from .reading import COLUMNS_MAX, blank_to_null, shown, unreadable

ROWS_MAX: Final = 1_000_000
"""Most rows of a file."""
UNPACKED_MAX: Final = 2**28
"""Largest size of the unpacked pages, and of the texts of all cells, in bytes."""
FOOTER_MAX: Final = 2**22
"""Largest footer, in bytes."""
_NESTED_MAX: Final = 16
_I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 5, 6, 7, 8, 9, 10, 11, 12
_SCHEMA, _ROWS, _GROUPS = (2, _LIST), (3, _I64), (4, _LIST)
_NAME, _CHILDREN, _REPETITION = (4, _BINARY), (5, _I32), (3, _I32)
_CHUNKS, _GROUP_ROWS, _ELSEWHERE, _CHUNK = (1, _LIST), (3, _I64), (1, _BINARY), (3, _STRUCT)
_CELLS, _PACKED, _DATA_PAGE, _DICTIONARY_PAGE = (5, _I64), (7, _I64), (9, _I64), (11, _I64)
_PAGE_UNPACKED, _PAGE_PACKED = (2, _I32), (3, _I32)

_Fields = dict[tuple[int, int], Any]
"""What a struct says under each number, by number and kind: a reader skips a field of another kind than it expects."""
_SECONDS: Final = {"ms": 10**3, "us": 10**6, "ns": 10**9}
_YEAR_1, _YEAR_10000 = 719_162 * 86_400, 2_932_897 * 86_400
"""Seconds from the first day of the year 1 to 1970-01-01, and from then to the first of the year 10000."""
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
        texts = _measured(content, capture)
        # a text that stands in every row is held once until it is known how long they are together
        found = pq.read_table(pa.BufferReader(content), use_threads=False, read_dictionary=texts)
        found.validate(full=True)
        if sum(map(_length, found.columns)) > UNPACKED_MAX:
            raise _too_large(capture)
        frame = pl.DataFrame(pa.Table.from_arrays(found.columns, names=found.column_names))
        return blank_to_null(frame.select(_as_text(column, capture) for column in frame))
    # a forged footer lacks a field, or has one of another kind, or fails in the parser of Arrow or in polars
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError, RuntimeError, *_FAILURES) as wrong:
        what = f"the Parquet file is broken: {shown(str(wrong))}"
        raise unreadable(capture, what, expected="a Parquet file") from None


def _too_large(capture: Capture) -> Exception:
    return unreadable(capture, f"it unpacks to more than {UNPACKED_MAX} bytes", expected="a smaller Parquet file")


def _measured(content: bytes, capture: Capture) -> list[str]:
    """Return the names of the columns of a file that passes no bound."""
    size = int.from_bytes(content[-8:-4], "little")
    if size > FOOTER_MAX:
        raise unreadable(capture, f"its footer has more than {FOOTER_MAX} bytes", expected="a smaller Parquet file")
    if size + 12 > len(content) or not content.endswith(b"PAR1"):
        raise ValueError("it has no footer")
    footer, _ = _struct(content, len(content) - 8 - size, _NESTED_MAX)
    names = _flat(footer[_SCHEMA], capture)
    rows = [footer[_ROWS], sum(group[_GROUP_ROWS] for group in footer[_GROUPS])]
    chunks = [chunk for group in footer[_GROUPS] for chunk in group[_CHUNKS]]
    if max(rows) > ROWS_MAX or any(chunk[_CHUNK][_CELLS] > ROWS_MAX for chunk in chunks):
        raise unreadable(capture, f"more than {ROWS_MAX} rows", expected="a smaller Parquet file")
    unpacked = 0
    for chunk in chunks:
        if _ELSEWHERE in chunk:
            raise ValueError("a column is in another file")
        for page in _pages(content, chunk[_CHUNK]):
            unpacked += page
            if unpacked > UNPACKED_MAX:
                raise _too_large(capture)
    return names


def _flat(schema: list[_Fields], capture: Capture) -> list[str]:
    """Return the names of the columns, none of which holds others or several values a row."""
    table, *columns = schema
    if len(columns) > COLUMNS_MAX:
        raise unreadable(capture, f"more than {COLUMNS_MAX} columns", expected="a smaller Parquet file")
    for column in columns:
        if column.get(_CHILDREN) or column.get(_REPETITION) not in (0, 1):
            name = column[_NAME].decode("utf-8", "replace")
            raise unreadable(capture, f"the column {shown(name)!r} is nested", expected="a flat table")
    if table[_CHILDREN] != len(columns):
        raise ValueError("the schema has another number of columns than it says")
    return [column[_NAME].decode() for column in columns]


def _pages(content: bytes, chunk: _Fields) -> Iterator[int]:
    """Yield the unpacked size of each page of a column chunk."""
    at = chunk[_DATA_PAGE]
    if 0 < chunk.get(_DICTIONARY_PAGE, 0) < at:
        at = chunk[_DICTIONARY_PAGE]
    end = at + chunk[_PACKED]
    if not 0 <= at <= end <= len(content):
        raise ValueError("a column lies outside of the file")
    while at < end:
        page, at = _struct(content, at, _NESTED_MAX)
        if page[_PAGE_UNPACKED] < 0 or page[_PAGE_PACKED] < 0:
            raise ValueError("a page has no size")
        yield page[_PAGE_UNPACKED]
        at += page[_PAGE_PACKED]


def _struct(content: bytes, at: int, depth: int) -> tuple[_Fields, int]:
    """Return the fields of a struct, and where it ends."""
    if not depth:
        raise ValueError("its structs are nested too deeply")
    fields: _Fields = {}
    name = 0
    while head := _byte(content, at):
        name, at = (name + (head >> 4), at + 1) if head >> 4 else _whole(content, at + 1)
        kind = head & 15
        fields[name, kind], at = (kind == 1, at) if kind in (1, 2) else _value(content, at, kind, depth)
    return fields, at + 1


def _value(content: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    """Return what stands at `at`, of which the kind is known, and where it ends."""
    if kind == _STRUCT:
        return _struct(content, at, depth - 1)
    if kind in (4, _I32, _I64):
        return _whole(content, at)
    if kind == _BINARY:
        length, at = _varint(content, at)
        return content[at : at + length], at + length
    if kind in (_LIST, _SET):
        return _list(content, at, depth)
    if kind in (1, 2, 3, _DOUBLE):
        return None, at + (8 if kind == _DOUBLE else 1)
    raise ValueError("a struct holds what no Parquet file does")


def _list(content: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    head, at = _byte(content, at), at + 1
    size, at = _varint(content, at) if head >> 4 == 15 else (head >> 4, at)
    found = []
    for _ in range(size):  # an item has at least a byte, so a forged size ends with the bytes
        item, at = _value(content, at, head & 15, depth)
        found.append(item)
        if at > len(content):
            raise ValueError("a list is cut short")
    return (found if head & 15 == _STRUCT else []), at  # no other list is looked at


def _whole(content: bytes, at: int) -> tuple[int, int]:
    number, at = _varint(content, at)
    return (number >> 1) ^ -(number & 1), at


def _varint(content: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        byte = _byte(content, at)
        number, at = number | (byte & 127) << shift, at + 1
        if byte < 128:
            return number, at
    raise ValueError("a number of a struct is none")


def _byte(content: bytes, at: int) -> int:
    if at >= len(content):
        raise ValueError("a struct is cut short")
    return content[at]


def _length(column: Any) -> int:
    """Return the bytes of all texts of a column of Arrow."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        return 0
    return sum(pc.sum(pc.binary_length(part.dictionary).take(part.indices)).as_py() or 0 for part in column.chunks)


def _as_text(column: pl.Series, capture: Capture) -> pl.Series:
    """Return a typed column as the text that a CSV file would hold; binary floats and naive moments are refused.

    A date, moment or time of day that no calendar has stays the number that it is.
    """
    kind = column.dtype
    if isinstance(kind, pl.Datetime) and kind.time_zone is not None:
        second = _SECONDS[kind.time_unit]
        return _in_range(column, (-_YEAR_1 * second, _YEAR_10000 * second - 1), _moment_text)
    if isinstance(kind, pl.Time):
        return _in_range(column, (0, 86_400 * 10**9 - 1), lambda times: times.dt.strftime("%H:%M:%S"))
    if isinstance(kind, pl.Date):
        return _in_range(column, (-_YEAR_1 // 86_400, _YEAR_10000 // 86_400 - 1), lambda days: days.cast(pl.String))
    exact = kind.is_integer() or kind.is_decimal() or kind in (pl.String, pl.Boolean, pl.Null)
    if exact or isinstance(kind, pl.Categorical | pl.Enum):
        return column.cast(pl.String)
    expected = "text, integers, decimals, dates and moments with a zone"
    raise unreadable(capture, f"the column {shown(column.name)!r} is {kind}", expected=expected)


def _in_range(column: pl.Series, bounds: tuple[int, int], text: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """Return the texts of a column, and the numbers of the cells outside of `bounds`: polars panics over those."""
    numbers = column.to_physical()
    fits = numbers.is_between(max(bounds[0], -(2**63)), min(bounds[1], 2**63 - 1)).fill_null(True)
    whole = text(column.zip_with(fits, pl.Series([None], dtype=column.dtype)))
    return whole.zip_with(fits, numbers.cast(pl.String)).alias(column.name)


def _moment_text(moments: pl.Series) -> pl.Series:
    return moments.dt.convert_time_zone("UTC").dt.cast_time_unit("us").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
