"""Reading bytes: JSON and CSV with exact decimals, and the errors for files that are neither.

*Reads* bytes. *Writes* Python objects and frames of text. *Never* lets a decimal pass through a binary float, never
raises anything but InputDataError for bytes it cannot read, and never lets one of two statements win in silence.

What is read depends on the bytes alone: the limits below stand in for those of the interpreter, which a caller may change
or use up. One bad line or field is for the adapter to reject; a file of which it cannot be told where one row ends and the
next begins is refused whole.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

import polars as pl

from ..errors import InputDataError
from ..exact import SOURCE_MONEY, parse_decimal
from . import Capture

DEPTH_MAX: Final = 64
"""Most objects and arrays inside each other."""
DOTS_MAX: Final = 64
"""Most dots of a line of TOML."""
DIGITS_MAX: Final = 640
"""Longest whole number that becomes an integer, in digits, the least that Python can be told; a longer one is a decimal."""
COLUMNS_MAX: Final = 1_000
"""Most columns of a CSV file."""
CELL_MAX: Final = 2**16
"""Longest cell of a CSV file, in characters."""
RAGGED_MAX: Final = 1_000
"""Most rows with another number of cells than the header: with more the file is no table."""
_BRACKETS: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:u(?P<code>[0-9a-fA-F]{4})|.)", re.DOTALL)
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_CHUNK: Final = 2**17
"""Cells that are held as Python objects at a time."""

_MOMENT: Final = re.compile(r"[12]\d{3}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d))?", re.ASCII)


def shown(found: object) -> str:
    """Return `found` as text of at most 80 characters that any table can hold."""
    if isinstance(found, dict | list):
        return f"{type(found).__name__} of {len(found)}"
    if isinstance(found, int) and found.bit_length() > 256:
        return f"an integer of {found.bit_length()} bits"
    return str(found)[:80].encode("utf-8", "replace").decode()


def pointer(*parts: str | int) -> str:
    """Return the JSON pointer of `parts` (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


@dataclass(frozen=True)
class Repeated:
    """Stands for what an object says twice under one key, and not the same: no adapter takes it for anything it reads."""

    times: int

    def __str__(self) -> str:
        return f"{self.times} contradicting fields of one name"


def load_json(content: bytes, capture: Capture, *, expected: type[Any]) -> Any:
    """Return the JSON of `content`, numbers with a point or exponent as exact decimals.

    A key that stands twice in one object, with contradicting contents, holds a `Repeated`.

    Raises
    ------
    InputDataError
        If the bytes are empty, not UTF-8, not JSON, too deep, or not an `expected` at the top.
    """
    text = decoded(content, capture)
    try:
        found = loads(text)
    except json.JSONDecodeError as wrong:
        raise unreadable(capture, f"{wrong.msg} at line {wrong.lineno} column {wrong.colno}", expected="JSON") from None
    if not isinstance(found, expected):
        wanted = "an object" if expected is dict else "an array"
        raise unreadable(capture, f"the JSON is a {type(found).__name__}", expected=f"{wanted} at the top")
    return found


def loads(text: str) -> Any:
    """Return the JSON of `text` as `load_json` does.

    Raises
    ------
    json.JSONDecodeError
        If it is none, is nested more than `DEPTH_MAX` deep, or holds half a character.
    """
    try:
        found = json.loads(text, parse_float=number, parse_int=_integer, parse_constant=str, object_pairs_hook=_object)
        if _is_deep(found):
            raise RecursionError
    except RecursionError:
        raise json.JSONDecodeError("the JSON is nested too deeply", text, _deep_place(text)) from None
    half = _half(text)
    if half is not None:
        raise json.JSONDecodeError("a string holds half a surrogate pair", text, half)
    return found


def _deep_place(text: str) -> int:
    """Return where `text` opens one object or array too many inside each other."""
    depth = 0
    for token in _BRACKETS.finditer(text):
        depth += (token[0] in "[{") - (token[0] in "]}")
        if depth > DEPTH_MAX:
            return token.start()
    return 0


def _half(text: str) -> int | None:
    """Return where JSON writes half a surrogate pair; null if all of its text is Unicode."""
    first: re.Match[str] | None = None
    for escape in _ESCAPE.finditer(text) if _SURROGATE.search(text) else ():
        code = int(escape["code"] or "0", 16)
        follows = first is not None and first.end() == escape.start() and 0xDC00 <= code < 0xE000
        if (first is not None and not follows) or (0xDC00 <= code < 0xE000 and not follows):
            return (first or escape).start()
        first = escape if 0xD800 <= code < 0xDC00 else None
    return first.start() if first is not None else None


def load_toml(content: bytes) -> dict[str, Any]:
    """Return the tables of a TOML file, numbers with a point or exponent as exact decimals.

    Raises
    ------
    ValueError
        If it is not UTF-8, not TOML, nested too deeply, or has a line with more than `DOTS_MAX` dots: the time and the
        memory to read a dotted key grow with the square of its parts.
    """
    if max(line.count(b".") for line in content.split(b"\n")) > DOTS_MAX:
        raise ValueError(f"a line has more than {DOTS_MAX} dots")
    try:
        found = tomllib.loads(content.decode("utf-8-sig"), parse_float=number)
        if _is_deep(found):
            raise RecursionError
    except RecursionError:
        raise ValueError("the TOML is nested too deeply") from None
    return found


def _is_deep(found: object) -> bool:
    level: list[Any] = [found]
    for _ in range(DEPTH_MAX):
        level = [item for holder in level for item in _items(holder) if isinstance(item, dict | list)]
        if not level:
            return False
    return True


def _items(holder: object) -> Iterable[Any]:
    return holder.values() if isinstance(holder, dict) else holder if isinstance(holder, list) else ()


def _integer(text: str) -> int | Decimal | str:
    return int(text) if len(text) <= DIGITS_MAX else number(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    named: dict[str, list[Any]] = {}
    for key, item in pairs:
        named.setdefault(key, []).append(item)
    return {key: items[0] if _agree(items) else Repeated(len(items)) for key, items in named.items()}


def _agree(items: list[Any]) -> bool:
    return all(type(item) is type(items[0]) and item == items[0] for item in items[1:])


def number(text: str) -> Decimal | str:
    """Return the decimal that `text` writes, or the text itself if no decimal can hold its exponent."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def refuse_cut(content: bytes, capture: Capture) -> None:
    """Raise InputDataError if a text file that should end with a line end does not: a price may have lost digits."""
    if content.strip() and not content.endswith(b"\n"):
        expected = "a line end after the last line (without one the file may have been cut short), a text file"
        raise unreadable(capture, "the last line has no end", expected=expected)


def decoded(content: bytes, capture: Capture) -> str:
    """Return the text of a file, or raise InputDataError if the bytes are not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise unreadable(capture, f"byte {wrong.start} is not UTF-8", expected="a text file in UTF-8") from None


class Csv(NamedTuple):
    """The rows of a CSV file that have as many cells as the header, and those that have not.

    Parameters
    ----------
    cells : DataFrame
        Texts by column; an empty cell is null. Blank rows are left out.
    lines : Series
        The line on which each row begins.
    ragged : sequence of (line, found)
        Where each other row begins, and how many cells it has: it must be rejected as ``ragged_row``.
    """

    cells: pl.DataFrame
    lines: pl.Series
    ragged: list[tuple[int, str]]


def load_csv(content: bytes, capture: Capture, *, separator: str = ",") -> Csv:
    """Return the rows of a CSV file.

    Raises
    ------
    InputDataError
        If the bytes are empty, cut short, not UTF-8, have no header, a column twice or quotes that do not match, or pass a
        bound of this module.
    """
    refuse_cut(content, capture)
    text = decoded(content, capture)
    plain = _plain_csv(text, capture) if separator == "," else None
    if plain is not None:
        return plain
    rows = _csv_rows(text, capture, separator)
    _, header = next(rows, (1, []))
    _refuse_header(header, capture)
    schema = dict.fromkeys(header, pl.String())
    ragged: list[tuple[int, str]] = []
    whole = _unragged(rows, len(header), ragged, capture)
    frames, lines = [pl.DataFrame(schema=schema)], [pl.Series(dtype=pl.Int64)]
    while chunk := list(itertools.islice(whole, max(1, _CHUNK // len(header)))):
        columns = zip(*(row for _, row in chunk), strict=True)
        frames.append(blank_to_null(pl.DataFrame(dict(zip(header, columns, strict=True)), schema=schema)))
        lines.append(pl.Series([line for line, _ in chunk], dtype=pl.Int64))
    return Csv(pl.concat(frames), pl.concat(lines), ragged)


def _plain_csv(text: str, capture: Capture) -> Csv | None:
    """Return the rows of a file in which every line is a row of simple cells; None of another file.

    A simple cell holds neither quote nor line end: every reader finds the same in it. polars is the fastest, but would
    also find something in a file that must be refused.
    """
    first = text.partition("\n")[0]
    header = first.split(",")
    if not first.strip() or '"' in first or len(header) > COLUMNS_MAX:
        return None
    lines = pl.Series(text.split("\n")[:-1], dtype=pl.String)
    cell = r'(?:[^",\r]*|"[^"\r]*")'
    simple = lines.str.contains(f"^{cell}(?:,{cell}){{{len(header) - 1}}}$") & lines.str.contains(r'[^",]')
    if not simple.all() or (lines.str.len_bytes() > CELL_MAX).any():
        return None
    _refuse_header(header, capture)
    schema = dict.fromkeys(header, pl.String())
    cells = pl.read_csv(text.encode(), has_header=False, skip_lines=1, schema=schema, null_values="").rechunk()
    return Csv(cells, pl.int_range(2, len(lines) + 1, eager=True), [])


def _csv_rows(text: str, capture: Capture, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, and the line on which each begins."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    try:
        for row in rows:
            if any(row):
                if max(map(len, row)) > CELL_MAX:
                    raise csv.Error(f"a cell has more than {CELL_MAX} characters")
                yield line, row
            line = rows.line_num + 1
    except csv.Error as wrong:
        raise unreadable(capture, f"line {line}: {wrong}", expected="CSV with quotes that match") from None


def _refuse_header(header: list[str], capture: Capture) -> None:
    if not header:
        raise unreadable(capture, "there is no header", expected="a CSV file with a header")
    if len(header) > COLUMNS_MAX:
        raise unreadable(capture, f"there are more than {COLUMNS_MAX} columns", expected="a CSV file")
    twice = [name for name, times in Counter(header).items() if times > 1]
    if twice:
        raise unreadable(capture, f"a column stands twice: {shown(twice[0])}", expected="each column once")


def _unragged(
    rows: Iterable[tuple[int, list[str]]], width: int, ragged: list[tuple[int, str]], capture: Capture
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of `width` cells, and add the others to `ragged`."""
    for line, row in rows:
        if len(row) == width:
            yield line, row
            continue
        ragged.append((line, f"{len(row)} cells under a header of {width}"))
        if len(ragged) > RAGGED_MAX:
            found = f"line {line}: more than {RAGGED_MAX} rows have another number of cells than the header"
            raise unreadable(capture, found, expected="a CSV file")


def blank_to_null(texts: pl.DataFrame) -> pl.DataFrame:
    """Return columns of text with null in place of empty text."""
    return texts.select(pl.when(pl.all() != "").then(pl.all()))


def exact_decimals(texts: pl.Series) -> pl.Series:
    """Return the decimals that `texts` write, by the rules of `exact.parse_decimal`; null where one writes none.

    The cast of polars rounds excess digits in silence, so it sees only texts proven to fit.
    """
    stripped = texts.str.strip_chars()
    plain = stripped.str.contains(r"^[+-]?[0-9]{1,14}(\.[0-9]{1,24})?$")
    if plain.all():
        return stripped.cast(SOURCE_MONEY)
    plain = plain.fill_null(False)
    rest = {text: _decimal_or_none(text) for text in stripped.filter(~plain).drop_nulls().unique()}
    quick = stripped.set(~plain, None).cast(SOURCE_MONEY)
    if not rest:
        return quick
    table = pl.DataFrame({"text": list(rest), "number": pl.Series(list(rest.values()), dtype=SOURCE_MONEY)})
    slow = pl.DataFrame({"text": stripped}).join(table, on="text", how="left", maintain_order="left")["number"]
    return quick.zip_with(plain, slow).alias(texts.name)


def _decimal_or_none(text: str) -> Decimal | None:
    try:
        return parse_decimal(text)
    except ValueError:
        return None


def unreadable(capture: Capture, found: str, *, expected: str) -> InputDataError:
    """Return the error for a file that is not what the adapter reads."""
    return InputDataError(
        found,
        where=capture.name,
        expected=f"{expected} as read by the adapter {capture.adapter!r}",
        remedy="capture the file again, or name the adapter that reads it; nothing was stored",
    )


def moment(found: object) -> datetime | None:
    """Return the moment that `found` writes, in UTC; a plain date is its midnight. Null if it writes neither.

    The years 1000 to 2999 are read: no price was seen before or after.
    """
    if not isinstance(found, str) or not _MOMENT.fullmatch(found):
        return None
    try:
        return in_utc(datetime.fromisoformat(found if len(found) > 10 else f"{found}T00:00:00Z"))
    except (ValueError, OverflowError):  # no such day or time, or no zone
        return None


def in_utc(moment: datetime) -> datetime:
    """Return `moment` in UTC; a moment without a zone is refused."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs a zone")
    return moment.astimezone(UTC)


def written(moment: datetime) -> str:
    """Return a moment as ISO text in UTC; not by strftime, which writes the year 999 with three digits."""
    return in_utc(moment).isoformat().replace("+00:00", "Z")
