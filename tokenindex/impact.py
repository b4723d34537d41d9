"""Impact: what a new version of a methodology would have changed.

*Reads* two documents of one index and the same inputs. *Writes* one row a date, a constituent and a contract. *Never* asks
which version was in force: both are applied to every date, whatever their ``effective_from``.

Differences are exact and are rounded half-even to nine decimals, each once; what is summed up is the rounded one, so that
every summary can be repeated from the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, NamedTuple

import polars as pl

from .determination import Determination, determine
from .errors import DeterminationError
from .exact import MONEY, NANO, divide, money
from .methodology import Methodology, differences
from .rules.formulas import FixedBasket
from .selection import Inputs

FIGURES: Final = ("price", "level")


class Contract(NamedTuple):
    """A contract that settles on the mean of the published figures of its fixing dates from `first` to `last`."""

    name: str
    first: date
    last: date


@dataclass(frozen=True)
class Impact:
    """Two versions over one history.

    Parameters
    ----------
    old, new : Determination
        By either version, over the fixing dates of its own calendar.
    figure : str
        What contracts settle on: ``level``, or ``price`` where one of the versions has no level.
    dates : DataFrame
        One row a date: ``fixing_date``; ``old_status, new_status`` (null: no fixing date of that version);
        ``old_price, new_price, price_change, old_level, new_level, level_change``, a change being the relative one,
        new over old less one, and null unless both have the figure; ``weight_moved``, the share of the weight that stands
        on other constituents (null unless both have weights); and ``differs``: whether status, price or level do.
    constituents : DataFrame
        One row for every constituent with a weight by either version, over the dates of both: ``constituent, vendor,
        old_dates, new_dates`` (on how many it has one), ``largest_move, moved_on``: the largest change of its weight, and
        its first date.
    contracts : DataFrame
        One row a contract: ``contract, first, last, old_dates, new_dates``; ``old_price, new_price``, the settlement
        prices, null where a date has no figure; ``difference``; and ``touched``: whether they differ, null if neither
        settles.
    """

    old: Determination
    new: Determination
    figure: str
    dates: pl.DataFrame
    constituents: pl.DataFrame
    contracts: pl.DataFrame

    @cached_property
    def keys(self) -> list[tuple[str, str, str]]:
        """Every key in which the documents differ, with both entries."""
        return differences(self.old.methodology, self.new.methodology)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """How many dates differ, the sizes of the relative changes, and who is concerned.

        Of each figure: on how many dates it differs; over those with both figures the largest size of the relative change,
        its first date, the mean and the median; None where no date has both.
        """
        found: dict[str, Any] = {"dates": len(self.dates), "differ": int(self.dates["differs"].sum())}
        for figure in FIGURES:
            sizes = self.dates.select("fixing_date", size=pl.col(f"{figure}_change").abs()).drop_nulls()
            differs = self.dates[f"old_{figure}"].ne_missing(self.dates[f"new_{figure}"]).sum()
            found[figure] = {"differ": int(differs), **_sizes(sizes)}
        changed = {way: self.constituents.filter(pl.col(f"{way}_dates") == 0) for way in ("old", "new")}
        found["entering"] = changed["old"]["constituent"].to_list()
        found["leaving"] = changed["new"]["constituent"].to_list()
        found["weight_moved"] = self.dates["weight_moved"].max()
        found["touched"] = self.contracts.filter("touched")["contract"].to_list()
        return found


def impact(
    old: Methodology,
    new: Methodology,
    inputs: Inputs,
    *,
    dates: Sequence[date],
    known_at: datetime | None,
    contracts: Sequence[Contract] = (),
) -> Impact:
    """Return what `new` would have published instead of `old`, from the same inputs.

    Parameters
    ----------
    old, new : Methodology
        Two versions of one index. A version that begins its level anew differs from its base date on.
    inputs : Inputs
        The input tables.
    dates : sequence of date
        Fixing dates of either version.
    known_at : datetime or None
        As in `determine`, for both.
    contracts : sequence of Contract
        Whose settlement prices are compared; their dates are among `dates`.

    Raises
    ------
    DeterminationError
        If the documents are of two indices or currencies, a date is a fixing date of neither, or a contract settles on a
        date that is not asked for, or on none.
    """
    pairs = [(m.index, m.measures.currency) for m in (old, new)]
    if pairs[0] != pairs[1]:
        found = " and ".join(f"{index} in {currency}" for index, currency in pairs)
        raise DeterminationError(f"the documents are of {found}", expected="two versions of one index in one currency")
    asked = sorted(set(dates))
    for day in asked:
        if day not in new.calendar.dates:
            old.calendar.number(day)  # a fixing date of neither is refused
    found_old, found_new = (
        determine(m, inputs, dates=[day for day in asked if day in m.calendar.dates], known_at=known_at)
        for m in (old, new)
    )
    figure = "level" if all(isinstance(m.formula, FixedBasket) for m in (old, new)) else "price"
    weights = _weights(found_old, found_new)
    return Impact(
        found_old,
        found_new,
        figure,
        _dates(found_old, found_new, weights),
        _constituents(weights),
        _contracts(contracts, found_old, found_new, figure=figure),
    )


def _dates(old: Determination, new: Determination, weights: pl.DataFrame) -> pl.DataFrame:
    """Return one row a date: both figures, how they differ, and the weight that stands elsewhere."""
    sides = [
        found.fixings.select("fixing_date", *(pl.col(name).alias(f"{side}_{name}") for name in ("status", *FIGURES)))
        for side, found in (("old", old), ("new", new))
    ]
    both = sides[0].join(sides[1], on="fixing_date", how="full", coalesce=True).sort("fixing_date")
    moved = weights.group_by("fixing_date").agg(pl.col("old", "new").sum(), moved=pl.col("move").abs().sum())
    whole = moved.filter((pl.col("old") > 0) & (pl.col("new") > 0))
    halves = pl.Series("weight_moved", [divide(twice, 2) for twice in whole["moved"]], dtype=pl.Int64)
    weight = whole.select("fixing_date").with_columns(halves).select("fixing_date", money("weight_moved"))
    changes = [
        pl.Series(
            f"{name}_change", [_relative(*pair) for pair in both.select(f"old_{name}", f"new_{name}").rows()], MONEY
        )
        for name in FIGURES
    ]
    differs = pl.any_horizontal(
        pl.col(f"old_{name}").ne_missing(pl.col(f"new_{name}")) for name in ("status", *FIGURES)
    )
    found = both.with_columns(changes).join(weight, on="fixing_date", how="left", maintain_order="left")
    columns = [f"{side}_{name}" for name in FIGURES for side in ("old", "new")]
    shown = [*columns[:2], "price_change", *columns[2:], "level_change", "weight_moved"]
    return found.select("fixing_date", "old_status", "new_status", *shown, differs=differs)


def _relative(old: Decimal | None, new: Decimal | None) -> Decimal | None:
    """Return ``new / old - 1`` to nine decimals; None unless there are both, or the old figure rounds to zero."""
    if old is None or new is None or not old:
        return None
    before, after = int(old * NANO), int(new * NANO)
    return _decimal(divide((after - before) * NANO, before))


def _decimal(nano: int) -> Decimal:
    return Decimal(nano).scaleb(-9)


def _sizes(sizes: pl.DataFrame) -> dict[str, Any]:
    """Return the largest of the sizes and its first date (None: all are zero), their mean and their median."""
    nano = sorted(int(size * NANO) for size in sizes["size"])
    if not nano:
        return dict.fromkeys(("largest", "largest_on", "mean", "median"))
    middle = nano[(len(nano) - 1) // 2] + nano[len(nano) // 2]
    largest = _decimal(nano[-1])
    return {
        "largest": largest,
        "largest_on": sizes.filter(pl.col("size") == largest)["fixing_date"][0] if largest else None,
        "mean": _decimal(divide(sum(nano), len(nano))),
        "median": _decimal(divide(middle, 2)),
    }


def _weights(old: Determination, new: Determination) -> pl.DataFrame:
    """Return ``fixing_date, constituent, vendor, old, new, move`` in nano of the dates that both determined."""
    shared = sorted(set(old.dates) & set(new.dates))
    sides = [
        found.constituents.filter(pl.col("weight").is_not_null() & pl.col("fixing_date").is_in(shared)).select(
            "fixing_date", "constituent", "vendor", (pl.col("weight") * NANO).cast(pl.Int64).alias(side)
        )
        for side, found in (("old", old), ("new", new))
    ]
    both = sides[0].join(sides[1], on=["fixing_date", "constituent", "vendor"], how="full", coalesce=True)
    either = both.with_columns(pl.col("old", "new").fill_null(0)).with_columns(move=pl.col("new") - pl.col("old"))
    return either.sort("fixing_date", "constituent")


def _constituents(weights: pl.DataFrame) -> pl.DataFrame:
    """Return one row a constituent: on how many dates it has a weight, and by how much that moved at most."""
    size = pl.col("move").abs()
    found = weights.group_by("constituent", "vendor").agg(
        *((pl.col(side) > 0).sum().cast(pl.Int64).alias(f"{side}_dates") for side in ("old", "new")),
        largest_move=pl.col("move").get(size.arg_max()),
        moved_on=pl.when(size.max() > 0).then(pl.col("fixing_date").get(size.arg_max())),
    )
    order = found.sort(pl.col("largest_move").abs(), "constituent", descending=[True, False])
    return order.with_columns(money("largest_move"))


_CONTRACTS: Final[dict[str, Any]] = {
    "contract": pl.String,
    "first": pl.Date,
    "last": pl.Date,
    "old_dates": pl.Int64,
    "new_dates": pl.Int64,
    "old_price": MONEY,
    "new_price": MONEY,
    "difference": MONEY,
    "touched": pl.Boolean,
}


def _contracts(contracts: Sequence[Contract], old: Determination, new: Determination, *, figure: str) -> pl.DataFrame:
    """Return one row a contract with both settlement prices."""
    rows = []
    for contract in contracts:
        (old_dates, before), (new_dates, after) = (_settlement(contract, found, figure=figure) for found in (old, new))
        difference = after - before if before is not None and after is not None else None
        touched = None if before is None and after is None else before != after
        rows.append((*contract, old_dates, new_dates, before, after, difference, touched))
    return pl.DataFrame(rows, schema=_CONTRACTS, orient="row")


def _settlement(contract: Contract, found: Determination, *, figure: str) -> tuple[int, Decimal | None]:
    """Return the number of fixing dates, and the mean of their figures to nine decimals; None if one has no figure."""
    days = found.methodology.calendar.between(contract.first, contract.last)
    missing = [day for day in days if day not in found.dates]
    if missing or not days:
        raise DeterminationError(
            f"{contract.name} settles on {missing[0] if missing else 'no fixing date'}",
            expected="fixing dates that the study covers",
            remedy="widen the dates of the study",
        )
    figures = found.fixings.filter(pl.col("fixing_date").is_in(days))[figure].to_list()
    if None in figures:
        return len(days), None
    return len(days), _decimal(divide(sum(int(f * NANO) for f in figures), len(days)))
