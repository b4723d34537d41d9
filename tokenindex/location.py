"""Weighted location: the mean, the median, quantiles, trimmed and winsorised means of groups of rows, exactly.

*Reads* a long table of anybody's: group columns, a value and a weight in whole numbers or decimals. *Writes* one row a
group, or a group and share. *Never* takes a float: a float sum at a tie jumps a whole price, by the order of its rows.

A row without a value or without a weight is no row, and neither is one of weight zero; both are counted in ``left_out``.
Sums are exact of any size, and a result that needs a division has one, rounded half-even in the decimals of the values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

import polars as pl

from .errors import InputDataError
from .exact import MONEY, NANO, WIDE, divide, rescale
from .places import Place, Stretches, located

Tie = Literal["lower", "upper", "midpoint"]
"""Which value is taken where the weight below is exactly the share asked for: the last below, the first above, the mean."""
RESULTS: Final = frozenset({"rows", "left_out", "weight", "share", "mean", "median", "quantile"})

_HALF: Final = 2**32
_INT128: Final = 2**126


def weighted_mean(table: Any, *, by: Sequence[str], value: str, weight: str) -> pl.DataFrame:
    """Return :math:`Σ w_i x_i / Σ w_i` of every group: the volume-weighted mean.

    Parameters
    ----------
    table : DataFrame
        Polars, or anything that exports an Arrow stream (pandas, pyarrow); any row order.
    by : sequence of str
        Columns that name a group; none at all makes the table one group.
    value, weight : str
        Columns of integers or decimals; a weight is at least 0, and both fit 64 bits in units of their last decimal.

    Returns
    -------
    DataFrame
        The group columns, ``rows``, ``left_out``, ``weight`` (the exact sum) and ``mean``, which is null for a group
        without weight and has the decimals of the values; ordered by group.

    Raises
    ------
    InputDataError
        If a column is missing, is a float, or holds a negative weight or too large a number.

    Examples
    --------
    >>> table = pl.DataFrame({"day": [1, 1], "price": [Decimal("1.00"), Decimal("4.00")], "tokens": [2, 1]})
    >>> weighted_mean(table, by=["day"], value="price", weight="tokens")["mean"].to_list()
    [Decimal('2.00')]
    """
    rows = _read(table, by, value, weight)
    each = rows.rows.each
    sums = each.group_by("group").agg(_products(each, "w"), total=pl.col("w").cast(pl.Int128).sum())
    means = [divide(s, int(w)) if w else None for s, w in zip(_whole(sums), sums["total"], strict=True)]
    return rows.told(sums, mean=means)


def weighted_median(table: Any, *, by: Sequence[str], value: str, weight: str, tie: Tie) -> pl.DataFrame:
    """Return the weighted median of every group, in the columns of `weighted_mean` with ``median`` at the end.

    With the values in ascending order and :math:`W` the weight of the group, the lower median is the smallest value at
    which the weight so far is at least :math:`W / 2`, the upper one the smallest at which it is more. The two differ
    only where a value ends exactly at the half; ``tie`` says what is taken then.

    References: Edgeworth 1888 (weighted median); reference rates take the lower one.

    Examples
    --------
    >>> table = pl.DataFrame({"price": [10, 20, 30], "tokens": [2, 1, 1]})
    >>> weighted_median(table, by=[], value="price", weight="tokens", tie="lower")["median"].item()
    10
    """
    rows = _read(table, by, value, weight)
    found = located(rows.rows, _places(NANO // 2, tie))
    return rows.told(found, median=_middle(found))


def weighted_quantile(
    table: Any, *, by: Sequence[str], value: str, weight: str, shares: Sequence[Decimal], tie: Tie
) -> pl.DataFrame:
    """Return weighted quantiles: one row a group and share, with ``share`` and ``quantile`` at the end.

    Parameters
    ----------
    table, by, value, weight
        As in `weighted_mean`.
    shares : sequence of Decimal
        From 0 to 1 with at most nine decimals: the share of the weight at or below the quantile.
    tie : {'lower', 'upper', 'midpoint'}
        As in `weighted_median`, at the share instead of the half. No quantile interpolates between values otherwise.
    """
    rows, tables = _read(table, by, value, weight), []
    for share in shares:
        found = located(rows.rows, _places(_share(share), tie))
        each = rows.told(found, quantile=_middle(found))
        tables.append(each.insert_column(-1, pl.lit(share, MONEY).alias("share")))
    return pl.concat(tables).sort(*by, "share", nulls_last=True)


def trimmed_mean(
    table: Any, *, by: Sequence[str], value: str, weight: str, below: Decimal, above: Decimal
) -> pl.DataFrame:
    """Return the mean of what is left when a share of the weight is cut off at each end, as ``mean`` at the end.

    A row at which the cut falls keeps the part of its weight that lies inside, so that it makes no difference how a
    volume is split into rows: :math:`\\int_{α}^{1-β} Q(u) du / (1 - α - β)` with the quantile function :math:`Q`.

    Parameters
    ----------
    table, by, value, weight
        As in `weighted_mean`.
    below, above : Decimal
        Shares of the weight cut off at the low and at the high end, at least 0 and together below 1.
    """
    low, high = _cuts(below, above)
    rows = _read(table, by, value, weight)

    def mean(least: int, most: int, inner: int, under: int, over: int, total: int) -> int:
        if least == most:
            return least
        ends = least * (NANO * under - low * total) + most * (NANO * over - high * total)
        return divide(NANO * inner + ends, (NANO - low - high) * total)

    return _of_ends(rows, low, high, mean)


def winsorised_mean(
    table: Any, *, by: Sequence[str], value: str, weight: str, below: Decimal, above: Decimal
) -> pl.DataFrame:
    """Return the mean with the outermost weight moved to the values at the cuts, as ``mean`` at the end.

    Values below the upper quantile at ``below`` are taken as that quantile, values above the lower quantile at
    ``1 - above`` as that one. Parameters as in `trimmed_mean`.
    """
    low, high = _cuts(below, above)
    rows = _read(table, by, value, weight)

    def mean(least: int, most: int, inner: int, under: int, over: int, total: int) -> int:
        return least if least == most else divide(inner + least * under + most * over, total)

    return _of_ends(rows, low, high, mean)


@dataclass(frozen=True)
class Rows:
    """The usable rows, and one row a ``group`` with what the public table says of it: keys, ``rows, left_out``."""

    rows: Stretches
    groups: pl.DataFrame
    by: tuple[str, ...]
    scales: tuple[int, int]

    def told(self, found: pl.DataFrame, **results: Sequence[int | None]) -> pl.DataFrame:
        """Return the public table: `results` are in the order of `found`, which says ``group`` and ``total``."""
        of_value, of_weight = self.scales
        numbers = [pl.Series(name, column, pl.Int64) for name, column in results.items()]
        facts = found.select("group", "total").hstack(numbers)
        rows = self.groups.join(facts, on="group", how="left").sort(_keys(self.by), nulls_last=True)
        return rows.select(
            *(pl.col(key).alias(name) for key, name in zip(_keys(self.by), self.by, strict=False)),
            "rows",
            "left_out",
            _decimals(pl.col("total").fill_null(0).cast(WIDE), of_weight).alias("weight"),
            *(_decimals(pl.col(name), of_value) if of_value else pl.col(name) for name in results),
        )


def _read(table: Any, by: Sequence[str], value: str, weight: str) -> Rows:
    """Return the usable rows of a table by group: what follows never looks for a group again."""
    frame = table if isinstance(table, pl.DataFrame) else pl.DataFrame(table)
    if missing := [name for name in (*by, value, weight) if name not in frame.columns]:
        raise InputDataError(
            f"there is no column {', '.join(map(repr, missing))}",
            expected=f"one of {', '.join(map(repr, frame.columns))}",
        )
    if taken := sorted(RESULTS & set(by)):
        raise InputDataError(f"a group column is named {taken[0]!r}", expected="other names than those of the results")
    keys = [pl.col(name).alias(key) for name, key in zip(by, _keys(by), strict=False)] or [pl.lit(0).alias("k0")]
    scales = (_scale(frame, value), _scale(frame, weight))
    v, w = _integers(frame[value], value), _integers(frame[weight], weight)
    least = w.min()
    assert least is None or isinstance(least, int)
    if least is not None and least < 0:
        raise InputDataError(f"a weight is negative: {least}", expected="weights of at least 0", where=weight)
    complete = bool(least) and not v.has_nulls() and not w.has_nulls()
    if v.has_nulls() or w.has_nulls():  # a row of weight zero moves no sum and no place: what is missing gets that
        w, v = w.set(v.is_null(), 0).fill_null(0), v.fill_null(0)
    whole = frame.select(*keys, pl.lit(v).alias("v"), pl.lit(w).alias("w"))
    rows, groups = _grouped(whole, complete=complete)
    return Rows(rows, groups, tuple(by), scales)


def _grouped(whole: pl.DataFrame, *, complete: bool) -> tuple[Stretches, pl.DataFrame]:
    """Return the rows group after group, and how many of each group count. A table in order of one key stays as it is."""
    keys = [name for name in whole.columns if name not in ("v", "w")]
    if len(keys) == 1 and whole[keys[0]].flags["SORTED_ASC"]:
        sizes = whole.group_by(keys, maintain_order=True).len("size")
        v, w = whole["v"], whole["w"]
    else:
        lists = whole.group_by(keys).agg("v", "w")
        sizes = lists.select(*keys, size=pl.col("v").list.len())
        v, w = lists["v"].explode(), lists["w"].explode()
    out = whole.clear() if complete else whole.filter(pl.col("w") == 0)
    none = out.group_by(keys).agg(left_out=pl.len().cast(pl.Int64))
    counts = sizes.join(none, on=keys, how="left", nulls_equal=True, maintain_order="left")
    left_out = pl.col("left_out").fill_null(0)
    groups = counts.with_row_index("group").with_columns(left_out, rows=pl.col("size").cast(pl.Int64) - left_out)
    return Stretches(sizes["size"], v, w), groups.drop("size")


def _keys(by: Sequence[str]) -> list[str]:
    return [f"k{i}" for i in range(max(1, len(by)))]


def _scale(frame: pl.DataFrame, column: str) -> int:
    kind = frame.schema[column]
    if isinstance(kind, pl.Decimal):
        return kind.scale
    if kind.is_integer():
        return 0
    raise InputDataError(
        f"the column is of {kind}", expected="integers or decimals: a float is not exact", where=column
    )


def _integers(column: pl.Series, name: str) -> pl.Series:
    """Return a column in units of its last decimal."""
    try:
        return column.to_physical().cast(pl.Int64)
    except pl.exceptions.InvalidOperationError:
        raise InputDataError(
            "a number is too large for exact sums", expected="64 bits in units of the last decimal", where=name
        ) from None


def _decimals(number: pl.Expr, scale: int) -> pl.Expr:
    """Return integers in units of the last decimal as decimals."""
    if not scale:
        return number
    return (number.cast(WIDE) * pl.lit(Decimal(1).scaleb(-scale), pl.Decimal(38, scale))).cast(pl.Decimal(38, scale))


def _share(share: Decimal) -> int:
    nano = rescale(share, scale=9)
    if not 0 <= nano <= NANO:
        raise ValueError(f"a share must lie between 0 and 1, not {share}")
    return nano


def _cuts(below: Decimal, above: Decimal) -> tuple[int, int]:
    low, high = _share(below), _share(above)
    if low + high >= NANO:
        raise ValueError("the shares below and above must stay under 1 together")
    return low, high


def _places(share: int, tie: Tie) -> list[Place]:
    ends = {"lower": [False], "upper": [True], "midpoint": [False, True]}
    if tie not in ends:
        raise ValueError(f"tie must be one of {', '.join(ends)}, not {tie!r}")
    return [Place(share, passed) for passed in ends[tie]]


def _middle(found: pl.DataFrame) -> list[int | None]:
    """Return the value found, or the mean of the two, rounded half-even."""
    values = found.drop("group", "total")
    if values.width == 1:
        return values.to_series().to_list()
    return [None if a is None else divide(a + b, 2) for a, b in values.iter_rows()]


def _of_ends(rows: Rows, low: int, high: int, mean: Callable[..., int]) -> pl.DataFrame:
    """Return the public table of a mean of the values at two cuts, the sum between, and the weights beyond."""
    ends = located(rows.rows, [Place(low, passed=True)]).rename({"at0": "least"})
    most = located(rows.rows, [Place(NANO - high, passed=False)]).select("group", most="at0")
    found = ends.join(most, on="group").sort("group")
    v, w = pl.col("v"), pl.col("w").cast(pl.Int128)
    each = rows.rows.each.join(found, on="group")
    inner = pl.when((v > pl.col("least")) & (v < pl.col("most"))).then("w").otherwise(0)
    each = each.with_columns(inner=inner)
    sums = each.group_by("group").agg(
        _products(each, "inner"),
        under=w.filter(v <= pl.col("least")).sum(),
        over=w.filter(v >= pl.col("most")).sum(),
    )
    sums = found.join(sums, on="group", maintain_order="left")
    columns = [
        *(sums[name] for name in ("least", "most")),
        _whole(sums),
        *(sums[n] for n in ("under", "over", "total")),
    ]
    facts = zip(*columns, strict=True)
    return rows.told(found, mean=[None if row[0] is None else mean(*map(int, row)) for row in facts])


def _products(each: pl.DataFrame, weight: str) -> list[pl.Expr]:
    """Return the sum of value times weight as sums of one or two parts that stay within 128 bits.

    A sum of decimals in a group wraps in silence as Int128 does, so the size is bounded beforehand: values and weights
    have 64 bits and rows are under 2**32. If they must, the parts of a value above and below 2**32 are summed one by one,
    which stay under 2**(31 + 63 + 32).
    """
    v, w = pl.col("v"), pl.col(weight).cast(pl.Int128)
    ends = each.select(pl.col("v").min(), pl.col("v").max().alias("most"), pl.col(weight).max().alias("top")).row(0)
    if not len(each) or max(abs(ends[0]), abs(ends[1])) * ends[2] * len(each) < _INT128:
        return [(v.cast(pl.Int128) * w).sum().alias("low")]
    high = v.floordiv(_HALF)
    return [(high.cast(pl.Int128) * w).sum().alias("high"), ((v - high * _HALF).cast(pl.Int128) * w).sum().alias("low")]


def _whole(sums: pl.DataFrame) -> list[int]:
    """Return the sums of `_products` as Python integers."""
    high = sums["high"].to_list() if "high" in sums.columns else [0] * len(sums)
    return [low and int(low) + h * _HALF for low, h in zip(sums["low"].to_list(), high, strict=True)]
