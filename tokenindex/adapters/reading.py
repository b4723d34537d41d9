"""Reading bytes: JSON and CSV with exact decimals, and the errors for files that are neither.

*Reads* bytes. *Writes* Python objects and frames of text. *Never* lets a decimal pass through a binary float, and never
raises anything but InputDataError for bytes it cannot read.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import polars as pl

from ..errors import InputDataError
from ..exact import SOURCE_MONEY, parse_decimal
from . import Capture

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


def load_json(content: bytes, capture: Capture, *, expected: type[Any]) -> Any:
    """Return the JSON of `content`, numbers with a point or exponent as exact decimals.

    Raises
    ------
    InputDataError
        If the bytes are empty, not UTF-8, not JSON, too deep, or not an `expected` at the top.
    """
    try:
        text = content.decode("utf-8-sig")
        found = json.loads(text, parse_float=number, parse_constant=str)
    except UnicodeDecodeError as wrong:
        raise unreadable(capture, f"byte {wrong.start} is not UTF-8", expected="UTF-8 JSON") from None
    except json.JSONDecodeError as wrong:
        raise unreadable(capture, f"{wrong.msg} at line {wrong.lineno} column {wrong.colno}", expected="JSON") from None
    except RecursionError:
        raise unreadable(capture, "the JSON is nested too deeply", expected="a flat price list") from None
    except ValueError as wrong:  # an integer of more than 4,300 digits
        raise unreadable(capture, str(wrong), expected="JSON with numbers of sensible length") from None
    if not isinstance(found, expected):
        wanted = "an object" if expected is dict else "an array"
        raise unreadable(capture, f"the JSON is a {type(found).__name__}", expected=f"{wanted} at the top")
    if re.search(r"\\u[dD][89a-fA-F]", text) and not _is_unicode(found):
        raise unreadable(capture, "a string holds half a surrogate pair", expected="Unicode text")
    return found


def number(text: str) -> Decimal | str:
    """Return the decimal that `text` writes, or the text itself if no decimal can hold its exponent."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _is_unicode(found: object) -> bool:
    waiting: list[object] = [found]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, str) and re.search("[\ud800-\udfff]", item):
            return False
    return True


def refuse_cut(content: bytes, capture: Capture) -> None:
    """Raise InputDataError if a text file that should end with a line end does not: a price may have lost digits."""
    if content.strip() and not content.endswith(b"\n"):
        expected = "a line end after the last line (without one the file may have been cut short), a text file"
        raise unreadable(capture, "the last line has no end", expected=expected)


def load_csv(content: bytes, capture: Capture, *, separator: str = ",") -> tuple[pl.DataFrame, pl.Series]:
    """Return the cells of a CSV file as text (an empty cell is null), and the line on which each row begins.

    Blank lines are left out.

    Raises
    ------
    InputDataError
        If the bytes are empty, cut short, not UTF-8, or a line has more cells than the header.
    """
    refuse_cut(content, capture)
    try:
        content.decode("utf-8-sig")
        cells = pl.read_csv(content, infer_schema=False, separator=separator)
    except UnicodeDecodeError as wrong:
        raise unreadable(capture, f"byte {wrong.start} is not UTF-8", expected="a UTF-8 CSV file") from None
    except pl.exceptions.PolarsError as wrong:
        raise unreadable(capture, str(wrong).partition("\n")[0][:120], expected="a CSV file with a header") from None
    twice = [name for name in cells.columns if re.fullmatch(r".+_duplicated_\d+", name)]
    if twice:  # so does polars call a name that it meets again
        raise unreadable(capture, f"a column stands twice: {shown(twice[0])}", expected="each column once")
    cells = blank_to_null(cells)
    breaks = pl.sum_horizontal(pl.all().str.count_matches("\n", literal=True).fill_null(0))
    lines = cells.select(pl.int_range(pl.len()) + 2 + breaks.cum_sum().shift(fill_value=0)).to_series()
    written = cells.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    return cells.filter(written), lines.filter(written)


def blank_to_null(texts: pl.DataFrame) -> pl.DataFrame:
    """Return columns of text with null in place of empty text."""
    return texts.select(pl.when(pl.all() != "").then(pl.all()))


def exact_decimals(texts: pl.Series) -> pl.Series:
    """Return the decimals that `texts` write, by the rules of `exact.parse_decimal`; null where one writes none.

    The cast of polars rounds excess digits in silence, so it sees only texts proven to fit.
    """
    stripped = texts.str.strip_chars()
    plain = stripped.str.contains(r"^[+-]?[0-9]{1,14}(\.[0-9]{1,24})?$").fill_null(False)
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
