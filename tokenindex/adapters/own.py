"""The project's own form: the tables themselves, as CSV or Parquet, without `capture` and `locator`.

*Reads* CSV (UTF-8, header, no comment lines) or Parquet, told apart by the first bytes. *Writes* the rows of one table.
*Never* converts, fills in or repairs a cell: a row with a bad cell is a reject that names its line.

Nullable columns may be left out, except the price: leaving out all prices must not read as withdrawing all models.
An empty price says that the offer was withdrawn. A moment is ``2026-06-01T00:00:00Z`` or a plain date (midnight UTC).
The locator is ``line N`` of a CSV file, where the header is line 1, and ``row N`` of a Parquet file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import polars as pl

from .. import tables
from ..errors import InputDataError
from ..exact import MONEY, SOURCE_MONEY
from ..tables import REJECTS, Column, Table, instant
from ..tables import UTC as UTC_TIME
from ..units import CURRENCIES, ZONES
from . import Adapter, Capture, Parsed
from .parquet import load_parquet
from .reading import exact_decimals, load_csv, shown, unreadable
from .rows import Rows, overlapping, rejected

_ADDED: Final = ("capture", "locator")
_NEEDED: Final = frozenset({"price", "tokens"})
"""Columns that a file must have though a cell may be empty, because empty says something."""
_REASONS: Final = {
    "price": "not_a_price",
    "rate": "not_a_rate",
    "spend": "not_an_amount",
    "time_from": "not_a_time",
    "time_to": "not_a_time",
    "uptime": "not_a_share",
    "discount": "not_a_share",
    "currency": "unknown_currency",
    "base": "unknown_currency",
    "quote": "unknown_currency",
}
_DAY: Final = r"^[12][0-9]{3}-[0-9]{2}-[0-9]{2}"
_CLOCK: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"

_Fault = tuple[pl.Expr, str, str]
"""A condition under which a row is rejected, the reason, and the column to show."""


def _parse(content: bytes, capture: Capture, table: Table) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the typed rows of `table`, and the rejects."""
    rows = Rows(capture)
    cells, locators = (_parquet if content.startswith(b"PAR1") else _lines)(content, rows)
    _refuse_columns(cells, table, capture)
    columns = [column for column in table.columns if column.name in cells.columns]
    absent = [column for column in table.columns if column.name not in (*cells.columns, *_added(table))]
    known_at = instant(capture.known_at)
    given = {"capture": pl.lit(capture.sha256), "known_at": known_at}
    typed = cells.with_columns(
        locators.alias("locator"),
        *(_typed(column, cells[column.name]) for column in columns),
        *(pl.lit(None, dtype=column.dtype).alias(column.name) for column in absent),
        **{name: given[name] for name in _added(table) if name in given},
    )
    faults = [fault for column in columns for fault in _faults(column, cells[column.name], typed[column.name])]
    faults += _ROW_FAULTS.get(table.name, [])
    # a file holds nothing that became known, and nobody decided anything, after it was captured
    when, why = ("decided_at", "decided") if table.name == "JUDGMENTS" else ("known_at", "known")
    faults.append((pl.col(when) > known_at, f"{why}_after_capture", when))
    texts = [*(cells[column.name] for column in columns), *(typed[column.name].cast(pl.String) for column in absent)]
    judged = typed.hstack([text.alias(f"text of {text.name}") for text in texts])
    wrong = judged.select(pl.any_horizontal(bad for bad, _, _ in faults).fill_null(False)).to_series()
    rejects = rows.rejects()
    if wrong.any():
        rejects = pl.concat([rejects, _rejects(judged.filter(wrong), faults)])
        typed = typed.filter(~wrong)
    if cells.is_empty() and rejects.is_empty():
        rows.reject("empty_snapshot", "", locator="")
        rejects = rows.rejects()
    return table.conform(typed), rejects


def _rejects(rows: pl.DataFrame, faults: list[_Fault]) -> pl.DataFrame:
    """Return each row with the first of its faults."""
    reason = pl.coalesce(pl.when(bad).then(pl.lit(why)) for bad, why, _ in faults)
    found = pl.coalesce(pl.when(bad).then(pl.col(f"text of {name}").fill_null("")) for bad, _, name in faults)
    return rows.select("capture", "locator", reason=reason, found=found.str.slice(0, 80)).select(REJECTS.schema.names())


def _lines(content: bytes, rows: Rows) -> tuple[pl.DataFrame, pl.Series]:
    table = load_csv(content, rows.capture)
    rows.ragged(table)
    return table.cells, table.lines.to_frame("n").select(pl.format("line {}", "n")).to_series()


def _parquet(content: bytes, rows: Rows) -> tuple[pl.DataFrame, pl.Series]:
    cells = load_parquet(content, rows.capture)
    return cells, cells.select(pl.format("row {}", pl.int_range(1, pl.len() + 1))).to_series()


def _added(table: Table) -> tuple[str, ...]:
    """Return the columns that a file does not hold. A judgment is known from when its file was captured, not before."""
    return (*_ADDED, "known_at") if table.name == "JUDGMENTS" else _ADDED


def _refuse_columns(cells: pl.DataFrame, table: Table, capture: Capture) -> None:
    """Refuse a file with an unknown column or without a needed one; a nullable column may be left out."""
    known = [column for column in table.columns if column.name not in _added(table)]
    names = {column.name for column in known}
    unknown = [name for name in cells.columns if name not in names]
    needed = [column.name for column in known if not column.nullable or column.name in _NEEDED]
    missing = [name for name in needed if name not in cells.columns]
    if unknown or missing:
        parts = ["unknown column " + ", ".join(map(shown, unknown[:5]))] * bool(unknown)
        parts += ["missing column " + ", ".join(missing)] * bool(missing)
        optional = ", ".join(column.name for column in known if column.name not in needed)
        expected = f"the columns {', '.join(needed)}" + (f" and, optionally, {optional}" if optional else "")
        raise unreadable(capture, "; ".join(parts), expected=expected)


def _typed(column: Column, texts: pl.Series) -> pl.Expr:
    """Return the cells `texts` in the type of `column`; null where a text does not write one."""
    cell = pl.col(column.name)
    if column.name in ("time_from", "time_to"):
        return pl.when(cell.str.contains(f"^{_CLOCK}$")).then(cell)
    if column.name == "region":
        return cell.fill_null("")
    if column.dtype == pl.String:
        return cell
    if isinstance(column.dtype, pl.Decimal):
        return pl.lit(_money(texts) if column.dtype == MONEY else exact_decimals(texts)).alias(column.name)
    return _TYPED[column.dtype](cell.str.strip_chars())


def _money(texts: pl.Series) -> pl.Series:
    exact = exact_decimals(texts)
    rounded = exact.cast(MONEY)
    return rounded.set((rounded.cast(SOURCE_MONEY) != exact).fill_null(True), None)


def _whole(text: pl.Expr) -> pl.Expr:
    return pl.when(text.str.contains(r"^[0-9]{1,18}$")).then(text).cast(pl.Int64)


def _flag(text: pl.Expr) -> pl.Expr:
    lower = text.str.to_lowercase()
    return pl.when(lower.is_in(["true", "false"])).then(lower == "true")


def _day(text: pl.Expr) -> pl.Expr:
    return pl.when(text.str.contains(f"{_DAY}$")).then(text).str.to_date("%Y-%m-%d", strict=False)


def _moment(text: pl.Expr) -> pl.Expr:
    full = pl.when(text.str.len_bytes() == 10).then(text + "T00:00:00Z").otherwise(text)
    moment = pl.when(full.str.contains(rf"{_DAY}T{_CLOCK}(\.[0-9]{{1,6}})?Z$")).then(full)
    return moment.str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", strict=False, time_unit="us", time_zone="UTC")


_TYPED: Final[dict[pl.DataType, Callable[[pl.Expr], pl.Expr]]] = {
    pl.Int64(): _whole,
    pl.Boolean(): _flag,
    pl.Date(): _day,
    UTC_TIME: _moment,
}


def _faults(column: Column, texts: pl.Series, cells: pl.Series) -> list[_Fault]:
    """Return what may be wrong with a cell of a column, of which `texts` stand in the file and `cells` could be read."""
    name, typed, text = column.name, pl.col(column.name), pl.col(f"text of {column.name}")
    by_type = {pl.Int64: "not_a_count", pl.Boolean: "not_a_flag"}
    why = _REASONS.get(name) or by_type.get(column.dtype.base_type(), "not_a_date")
    faults: list[_Fault] = []
    if texts.null_count() and not column.nullable and name != "region":
        faults.append((text.is_null(), "missing_field", name))
    if cells.null_count() > texts.null_count():
        faults.append((typed.is_null() & text.is_not_null(), why, name))
    allowed = sorted(CURRENCIES) if why == "unknown_currency" else column.allowed
    if allowed:
        faults.append((~typed.is_in(allowed), why if why == "unknown_currency" else f"unknown_{name}", name))
    if column.lowest is not None:
        faults.append((typed < column.lowest, why, name))
    if column.highest is not None:
        faults.append((typed > column.highest, why, name))
    return faults


_ROW_FAULTS: Final[dict[str, list[_Fault]]] = {
    "OBSERVATIONS": [
        (pl.col("time_from").is_null() != pl.col("time_to").is_null(), "not_a_time_window", "time_from"),
        (pl.col("time_zone").is_not_null() & pl.col("time_from").is_null(), "not_a_time_window", "time_zone"),
        (~pl.col("time_zone").is_in(sorted(ZONES)), "unknown_zone", "time_zone"),
        (pl.col("context_to") <= pl.col("context_from"), "empty_bracket", "context_to"),
        (pl.col("valid_to") <= pl.col("valid_from"), "ends_before_it_starts", "valid_to"),
    ],
    "VOLUMES": [
        (pl.col("tokens").is_null() & pl.col("spend").is_null(), "missing_field", "tokens"),
        (pl.col("period_end") < pl.col("period_start"), "ends_before_it_starts", "period_end"),
        (pl.col("spend").is_not_null() & pl.col("currency").is_null(), "missing_field", "currency"),
    ],
    "RATES": [(pl.col("rate") <= 0, "not_a_rate", "rate")],
}


def parse_prices(content: bytes, capture: Capture) -> Parsed:
    """Return observations; brackets by prompt length that overlap are rejected, all of one entry.

    Raises
    ------
    InputDataError
        If the bytes are neither CSV nor Parquet, or a column is unknown or missing. So do the other three.
    """
    rows, rejects = _parse(content, capture, tables.OBSERVATIONS)
    clash = overlapping(rows)
    if not clash.any():
        return Parsed(observations=rows, rejects=rejects)
    clashing = rejected(rows.filter(clash), "overlapping_brackets", found="price")
    return Parsed(observations=rows.filter(~clash), rejects=pl.concat([rejects, clashing]))


def parse_volumes(content: bytes, capture: Capture) -> Parsed:
    """Return volumes."""
    rows, rejects = _parse(content, capture, tables.VOLUMES)
    return Parsed(volumes=rows, rejects=rejects)


def parse_sightings(content: bytes, capture: Capture) -> Parsed:
    """Return sightings."""
    rows, rejects = _parse(content, capture, tables.SIGHTINGS)
    return Parsed(sightings=rows, rejects=rejects)


def parse_rates(content: bytes, capture: Capture) -> Parsed:
    """Return rates."""
    rows, rejects = _parse(content, capture, tables.RATES)
    return Parsed(rates=rows, rejects=rejects)


def parse_judgments(content: bytes, capture: Capture) -> Parsed:
    """Return judgments, known from when their file was captured: all of it or none.

    Raises
    ------
    InputDataError
        Also if a cell of any row is empty or wrong: a judgment without a reason is none, and one that is left out in
        silence would change a fixing.
    """
    rows, rejects = _parse(content, capture, tables.JUDGMENTS)
    for wrong in rejects.filter(pl.col("reason") != "empty_snapshot").head(1).iter_rows(named=True):
        raise InputDataError(
            f"{wrong['reason']}, found {wrong['found']!r}",
            where=f"{capture.name} {wrong['locator']}",
            expected="every column but the reference filled in: who decided what about which price, when and why",
            remedy="correct the judgment",
        )
    alone = rows.filter(_person("decided_by") == _person("approved_by"))
    for wrong in alone.head(1).iter_rows(named=True):
        raise InputDataError(
            f"decided and approved by {wrong['decided_by']!r}",
            where=f"{capture.name} {wrong['locator']}",
            expected="two different people",
            remedy="have somebody else approve the judgment",
        )
    return Parsed(judgments=rows, rejects=rejects)


def _person(column: str) -> pl.Expr:
    return pl.col(column).str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()


PRICES: Final = Adapter("prices", "2", parse_prices, ("OBSERVATIONS",))
VOLUMES: Final = Adapter("volumes", "2", parse_volumes, ("VOLUMES",))
SIGHTINGS: Final = Adapter("sightings", "2", parse_sightings, ("SIGHTINGS",))
RATES: Final = Adapter("rates", "2", parse_rates, ("RATES",))
JUDGMENTS: Final = Adapter("judgments", "2", parse_judgments, ("JUDGMENTS",))
