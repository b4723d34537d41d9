"""Releasing paid prices: what several buyers paid, as one average that shows none of them.

*Reads* volumes of several contributors; a contributor is the `source` of its captures. *Writes* one volume and one paid
price a cell, and the cells that are withheld. *Never* lets a name, a number or a model of fewer contributors than the
minimum into what is written, and never counts a day that was not over.

A cell is a provider, model, component, service tier, UTC day and currency. Within it a contributor counts if its latest
rows known at `known_at` state both tokens, more than none, and spend: on one row, or on a row of each (a usage report and
a cost report). A row with both beside a newer row with one of them leaves a contributor out, and rows count only if they
are a buyer's own, of one whole day, and not contained in another source.

The paid price is :math:`p = 10^6 Σ s_i / Σ q_i`, spend over tokens of all contributors, rounded half-even to nine decimals.
It is an average over the transactions of one day and no quote: it holds from the day's start to the next day's start and
not a moment longer, its date is declared by the reports it comes from, and since it can be known only after the day was
over, no fixing of that day can have used it. A fixing recomputed from what is known later can.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import polars as pl

from .errors import MethodologyError
from .exact import PRICE_MAX, TOKENS_MAX, divide, rescale
from .tables import OBSERVATIONS, VOLUMES, Table
from .units import COMPONENTS

CELL: Final = ("provider", "model", "component", "service_tier", "day", "currency")
"""What the contributors of one price have in common."""
_SERIES: Final = ("source", *CELL[:-1])
_OWN_ADDS: Final = frozenset({"capture", "locator"})
_WITHHELD: Final = {
    "provider": pl.String,
    "model": pl.String,
    "component": pl.String,
    "service_tier": pl.String,
    "day": pl.Date,
    "currency": pl.String,
    "reason": pl.String,
}


@dataclass(frozen=True)
class Released:
    """What a release holds.

    `prices` and `volumes` are rows of OBSERVATIONS and VOLUMES as the project's own form gives them back: their capture
    is the digest of the bytes below. `withheld` names every other cell and why. It is for whoever makes the release and
    stands in none of the bytes, since the name of a model may tell whose it is.
    """

    prices: pl.DataFrame
    volumes: pl.DataFrame
    withheld: pl.DataFrame

    def prices_csv(self) -> bytes:
        """Return the prices in the project's own form."""
        return own_form(OBSERVATIONS, self.prices)

    def volumes_csv(self) -> bytes:
        """Return the volumes in the project's own form."""
        return own_form(VOLUMES, self.volumes)


@dataclass(frozen=True)
class _Share:
    """What one contributor bought in one cell: tokens, and spend in nano."""

    tokens: int
    spend: int


def release(
    volumes: pl.DataFrame,
    *,
    contributors_min: int,
    tokens_min: int,
    share_max: Fraction | Decimal,
    source: str,
    known_at: datetime,
) -> Released:
    """Return the paid prices and volumes of the cells that show no contributor.

    Parameters
    ----------
    volumes : DataFrame
        Rows of VOLUMES of several contributors.
    contributors_min : int
        Fewest contributors of a released cell, at least 2. With two, each can subtract itself and read the other.
    tokens_min : int
        Fewest tokens of a released cell, at least 1.
    share_max : Fraction or Decimal
        Largest share of a cell's tokens that one contributor may hold, more than 0 and at most 1.
    source : str
        The name under which the released rows are known.
    known_at : datetime
        When the release could be known, with a zone. Rows known later are not looked at.

    Returns
    -------
    Released
        A cell is withheld for `too_few_contributors`, `too_few_tokens`, `dominated`, `no_component` (a component that
        has no price) or `out_of_range`, whichever holds first.

    Raises
    ------
    MethodologyError
        If a parameter is outside its range.
    """
    _check(contributors_min=contributors_min, tokens_min=tokens_min, share_max=share_max, known_at=known_at)
    largest = Fraction(share_max)
    prices, sold, withheld = [], [], []
    for cell, shares in _cells(volumes, known_at=known_at):
        reason = _reason(cell, shares, fewest=contributors_min, tokens_min=tokens_min, largest=largest)
        if reason is not None:
            withheld.append({**cell, "reason": reason})
            continue
        tokens, spend = sum(share.tokens for share in shares), sum(share.spend for share in shares)
        common = _common(cell, source=source, known_at=known_at, fewest=contributors_min)
        prices.append({**common, **_price(cell, tokens, spend)})
        sold.append({**common, **_volume(cell, tokens, spend)})
    return Released(
        prices=_as_read(OBSERVATIONS, prices),
        volumes=_as_read(VOLUMES, sold),
        withheld=pl.DataFrame(withheld, schema=_WITHHELD, orient="row"),
    )


def _check(*, contributors_min: int, tokens_min: int, share_max: Fraction | Decimal, known_at: datetime) -> None:
    ranges = {
        "contributors_min": (contributors_min, contributors_min >= 2, "2 or more"),
        "tokens_min": (tokens_min, tokens_min >= 1, "1 or more"),
        "share_max": (share_max, 0 < share_max <= 1, "more than 0 and at most 1"),
        "known_at": (known_at, known_at.tzinfo is not None, "a moment with a zone"),
    }
    for name, (found, right, expected) in ranges.items():
        if not right:
            raise MethodologyError(
                f"{name} is {found}", where="release", expected=expected, remedy="correct the parameters of the release"
            )


def _cells(volumes: pl.DataFrame, *, known_at: datetime) -> Iterator[tuple[dict[str, Any], list[_Share]]]:
    """Yield every cell in canonical order with what each contributor that counts bought in it."""
    known = pl.lit(known_at.astimezone(UTC)).cast(pl.Datetime("us", "UTC"))
    stated = pl.col("tokens").is_not_null() | pl.col("spend").is_not_null()
    rows = volumes.filter(stated & (pl.col("known_at") <= known)).with_columns(day=pl.col("period_start"))
    order = [*_SERIES, "known_at", "tokens", "spend", "currency", "capture", "locator"]
    cells: dict[tuple[Any, ...], list[_Share]] = {}
    for key, series in rows.sort(order, nulls_last=True).group_by(_SERIES, maintain_order=True):
        currency, share = _contribution(list(series.iter_rows(named=True)))
        shares = cells.setdefault((*key[1:], currency), [])
        shares += [share] if share is not None else []
    for cell in sorted(cells, key=lambda cell: tuple((part is not None, str(part)) for part in cell)):
        yield dict(zip(CELL, cell, strict=True)), cells[cell]


def _contribution(rows: list[dict[str, Any]]) -> tuple[str | None, _Share | None]:
    """Return the currency of one contributor's series, and what it bought; null if it does not count.

    The rows are of one series, the latest last.
    """
    bought = [row for row in rows if row["scope"] == "own" and row["contained_in"] is None]
    usable = [row for row in bought if row["period_start"] == row["period_end"] and not row["partial"]]
    tokens = next((row for row in reversed(usable) if row["tokens"] is not None), None)
    spend = next((row for row in reversed(usable) if row["spend"] is not None), None)
    currency = next((row["currency"] for row in reversed(rows) if row["spend"] is not None), None)
    if tokens is None or spend is None or not tokens["tokens"]:
        return currency, None
    both = [row for row in usable if row["tokens"] is not None and row["spend"] is not None]
    if both and tokens is not spend:
        return currency, None
    return spend["currency"], _Share(tokens["tokens"], rescale(spend["spend"], scale=9))


def _reason(
    cell: dict[str, Any], shares: list[_Share], *, fewest: int, tokens_min: int, largest: Fraction
) -> str | None:
    tokens = sum(share.tokens for share in shares)
    if len(shares) < fewest:
        return "too_few_contributors"
    if tokens < tokens_min:
        return "too_few_tokens"
    if Fraction(max(share.tokens for share in shares), tokens) > largest:
        return "dominated"
    if cell["component"] not in COMPONENTS:
        return "no_component"
    if tokens > TOKENS_MAX or _paid(tokens, sum(share.spend for share in shares)) > PRICE_MAX:
        return "out_of_range"
    return None


def _paid(tokens: int, spend: int) -> int:
    """Return the average price in nano per million tokens."""
    return divide(spend * 10**6, tokens)


def _common(cell: dict[str, Any], *, source: str, known_at: datetime, fewest: int) -> dict[str, Any]:
    """Return the columns that a price and a volume share."""
    shared = {name: cell[name] for name in ("provider", "model", "component", "service_tier", "currency")}
    reference = f"average of at least {fewest} contributors"
    return {**shared, "source": source, "known_at": known_at.astimezone(UTC), "reference": reference}


def _price(cell: dict[str, Any], tokens: int, spend: int) -> dict[str, Any]:
    start: date = cell["day"]
    return {
        "region": "",
        "context_from": 0,
        "price": Decimal(f"{_paid(tokens, spend)}E-9"),
        "unit": "per_1m_tokens",
        "tax": "unknown",
        "valid_from": datetime.combine(start, time(), UTC),
        "valid_to": datetime.combine(start + timedelta(days=1), time(), UTC),
        "date_kind": "declared",
    }


def _volume(cell: dict[str, Any], tokens: int, spend: int) -> dict[str, Any]:
    return {
        "scope": "own",
        "period_start": cell["day"],
        "period_end": cell["day"],
        "tokens": tokens,
        "spend": Decimal(f"{spend}E-9"),
        "partial": False,
    }


def _as_read(table: Table, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Return `rows` with the capture and the locators that reading their bytes gives."""
    placed, line = [], 2
    for row in rows:
        placed.append({**row, "capture": "", "locator": f"line {line}"})
        line += 1 + sum(cell.count("\n") for cell in row.values() if isinstance(cell, str))
    frame = table.frame(placed)
    return frame.with_columns(capture=pl.lit(hashlib.sha256(own_form(table, frame)).hexdigest()))


def own_form(table: Table, frame: pl.DataFrame) -> bytes:
    """Return `frame` as CSV in the project's own form: the same rows always give the same bytes."""
    columns = [column for column in table.columns if column.name not in _OWN_ADDS]
    texts = frame.select(_text(frame[column.name]) for column in columns)
    return texts.write_csv(line_terminator="\n").encode()


def _text(column: pl.Series) -> pl.Series:
    """Return the cells of `column` as text; decimals without trailing zeros, moments to the microsecond."""
    if isinstance(column.dtype, pl.Datetime):
        return column.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    if isinstance(column.dtype, pl.Decimal):
        plain = [None if number is None else f"{number:f}" for number in column.to_list()]
        cut = [text.rstrip("0").rstrip(".") if text and "." in text else text for text in plain]
        return pl.Series(column.name, cut, dtype=pl.String)
    return column.cast(pl.String)
