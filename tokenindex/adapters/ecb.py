"""ECB euro foreign exchange reference rates: units of each currency per euro.

*Reads* ``eurofxref-hist.zip``, the CSV inside it, or the one-day ``eurofxref.csv``. *Writes* one rate per day and
currency of `units.CURRENCIES`. *Never* fills a day or a currency without a rate (``N/A``, TARGET holidays).

The ECB publishes at about 16:00 CET. Every rate is known from 15:00 UTC of its own day, which is 16:00 CET and, in
summer, one hour after publication.

References
----------
European Central Bank, "Euro foreign exchange reference rates", reuse permitted with attribution.
"""

from __future__ import annotations

from datetime import time
from typing import Final

import polars as pl

from ..exact import MONEY, RATE_MAX, SOURCE_MONEY
from ..tables import RATES, UTC
from ..units import CURRENCIES
from . import Adapter, Capture, Parsed
from .archives import unzipped
from .reading import Csv, exact_decimals, load_csv, unreadable
from .rows import Rows, rejected

UNPACKED_MAX: Final = 32 * 2**20
"""Largest size of the unpacked CSV file, in bytes."""
PUBLISHED: Final = time(15, 0)
"""When a day's rates are known, UTC."""


def parse(content: bytes, capture: Capture) -> Parsed:
    """Return the reference rates, units of the quote currency per euro.

    Raises
    ------
    InputDataError
        If the bytes are not such a file.
    """
    rows, table = Rows(capture), load_csv(_csv(content, capture), capture)
    rows.ragged(table)
    wide = _wide(table, capture)
    day = pl.coalesce(
        pl.col("Date").str.to_date("%Y-%m-%d", strict=False), pl.col("Date").str.to_date("%d %B %Y", strict=False)
    )
    known = [name for name in wide.columns if name in CURRENCIES]
    long = wide.with_columns(rate_date=day).unpivot(
        known, index=["Date", "line", "rate_date"], variable_name="quote", value_name="text"
    )
    long = long.filter(pl.col("text").ne_missing("N/A")).with_columns(
        capture=pl.lit(capture.sha256), locator=pl.format("line {}, {}", "line", "quote")
    )
    return _sorted_out(_rated(long), rows, empty=wide.is_empty())


def _csv(content: bytes, capture: Capture) -> bytes:
    """Return the CSV bytes: the single member of a zip file, or the bytes themselves."""
    if not content.startswith(b"PK"):
        return content
    return next(iter(unzipped(content, capture, largest=UNPACKED_MAX).values()))


def _wide(table: Csv, capture: Capture) -> pl.DataFrame:
    """Return one row per day: its line, the text of its date, and one text column per currency."""
    cells = table.cells
    names = [name.strip() for name in cells.columns]
    named = {name: cells.columns[at] for at, name in enumerate(names) if name}
    if "Date" not in named or not CURRENCIES & named.keys() or len(named) != sum(map(bool, names)):
        found = f"the header is {','.join(names)[:80]!r}"
        raise unreadable(capture, found, expected="the columns Date, USD, …")
    stripped = cells.select(cells[raw].str.strip_chars().alias(name) for name, raw in named.items())
    return stripped.with_columns(line=table.lines)


def _rated(long: pl.DataFrame) -> pl.DataFrame:
    """Add the rate, null where the text is no positive number of at most nine decimals and 1e9."""
    wide_rate = exact_decimals(long["text"])
    rate = wide_rate.cast(MONEY)
    fits = (rate.cast(SOURCE_MONEY) == wide_rate) & (rate > 0) & (rate <= RATE_MAX)
    return long.with_columns(rate=rate.zip_with(fits.fill_null(False), pl.Series([None], dtype=MONEY)))


def _sorted_out(long: pl.DataFrame, rows: Rows, *, empty: bool) -> Parsed:
    dated, numeric = pl.col("rate_date").is_not_null(), pl.col("rate").is_not_null()
    unique = pl.struct("rate_date", "quote").is_unique()
    good = long.filter(dated & numeric).with_columns(unique=unique)
    rejects = [
        rejected(long.filter(~dated), "not_a_date", found="Date"),
        rejected(long.filter(dated & ~numeric), "not_a_rate", found="text"),
        rejected(good.filter(~pl.col("unique")), "repeats_another_row", found="text"),
    ]
    if empty and rows.rejects().is_empty():
        rows.reject("empty_snapshot", "", locator="")
    capture = rows.capture
    rates = good.filter("unique").with_columns(
        source=pl.lit(capture.source),
        base=pl.lit("EUR"),
        known_at=pl.col("rate_date").dt.combine(PUBLISHED).dt.replace_time_zone("UTC").cast(UTC),
        reference=pl.lit(capture.reference, dtype=pl.String),
        licence=pl.lit(capture.licence, dtype=pl.String),
    )
    return Parsed(rates=RATES.conform(rates), rejects=pl.concat([rows.rejects(), *rejects]))


ADAPTER: Final = Adapter("ecb", "2", parse, ("RATES",))
