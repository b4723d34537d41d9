"""Reference rates: the partitioned volume-weighted median of a day, and which sources take part in it.

*Reads* trades, quotes or usage with a moment, a price and a volume, by group and source. *Writes* one row a group and day.
*Never* lets one large volume, or one source that is off the others, make the price of a day.

The day is cut into partitions of equal length, each gives its volume-weighted median, and the price is their equal
mean: moving it takes volume in most of the partitions, and what happened in one weighs no more than one share. A source
that is away from the others is left out beforehand, and comes back only after it has been near them for some days.

References: CF Benchmarks, Bitcoin Reference Rate methodology (partitions and equal mean; exclusion of a source whose
median is off the median of the sources' medians by a bound).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from typing import Any, Final

import polars as pl

from .errors import InputDataError
from .exact import NANO, divide, money, rescale
from .location import Tie, weighted_median

_DAY: Final = timedelta(days=1)


def partitioned_median(
    table: Any,
    *,
    by: Sequence[str],
    at: str,
    value: str,
    weight: str,
    opens: time,
    length: timedelta,
    partitions: int,
    tie: Tie,
    min_partitions: int,
) -> pl.DataFrame:
    """Return the equal mean of the volume-weighted medians of the partitions of every group and day.

    Parameters
    ----------
    table : DataFrame
        Polars, or anything that exports an Arrow stream; any row order.
    by : sequence of str
        Columns that name a group; none for one group.
    at : str
        Moment of the row, in UTC or without a zone. A window holds its first moment and not its last.
    value, weight : str
        Columns of integers or decimals, as in `tokenindex.location.weighted_mean`.
    opens : time
        Start of the window on each day, in the zone of `at`.
    length : timedelta
        Of the window, up to a day; it may reach into the next day.
    partitions : int
        Number of parts of equal length, which must be whole microseconds.
    tie : {'lower', 'upper', 'midpoint'}
        Rule of each median.
    min_partitions : int
        Partitions that must have volume; with fewer there is no price.

    Returns
    -------
    DataFrame
        The group columns, ``day`` (on which the window opens), ``partitions`` (with volume), ``rows``, ``left_out``,
        ``weight`` and ``price``, null with too few partitions; ordered by group and day. An empty partition has no share.

    Raises
    ------
    InputDataError
        If a column is missing or not of its kind.
    ValueError
        If the window or the partitions are impossible.
    """
    micros = length // timedelta(microseconds=1)
    if not timedelta(0) < length <= _DAY or partitions < 1 or micros % partitions:
        raise ValueError(f"a window of {length} cannot be cut into {partitions} equal parts")
    if not 1 <= min_partitions <= partitions:
        raise ValueError(f"min_partitions must be 1 to {partitions}, not {min_partitions}")
    frame = table if isinstance(table, pl.DataFrame) else pl.DataFrame(table)
    _refuse_moments(frame, at)
    if taken := {"day", "partitions", "price"} & set(by):
        raise InputDataError(
            f"a group column is named {min(taken)!r}", expected="other names than those of the results"
        )
    start = timedelta(hours=opens.hour, minutes=opens.minute, seconds=opens.second, microseconds=opens.microsecond)
    since = pl.col(at).dt.replace_time_zone(None).cast(pl.Datetime("us")) - start
    into = since - since.dt.truncate("1d")
    part = into.dt.total_microseconds() // (micros // partitions)
    dated = frame.with_columns(_day=since.dt.date(), _part=part).filter(pl.col("_part") < partitions)
    keys = [*by, "_day"]
    medians = weighted_median(dated, by=[*keys, "_part"], value=value, weight=weight, tie=tie)
    there = pl.col("median").is_not_null()
    days = medians.group_by(keys).agg(
        there.sum().cast(pl.Int64).alias("partitions"),
        pl.col("rows", "left_out", "weight").sum(),
        pl.col("median").drop_nulls(),
    )
    kind = medians.schema["median"]
    prices = [_mean(each, kind) if len(each) >= min_partitions else None for each in days["median"].to_list()]
    found = days.drop("median").with_columns(pl.Series("price", prices, kind)).sort(*keys, nulls_last=True)
    return found.rename({"_day": "day"})


def _refuse_moments(frame: pl.DataFrame, at: str) -> None:
    kind = frame.schema.get(at)
    if not isinstance(kind, pl.Datetime) or kind.time_zone not in (None, "UTC"):
        raise InputDataError(
            f"{at!r} is {kind or 'missing'}", expected="moments in UTC or without a zone", remedy="convert them first"
        )
    if frame[at].has_nulls():
        raise InputDataError(
            f"{frame[at].null_count()} rows have no moment", expected="a moment in every row", where=at
        )


def _mean(medians: list[Any], kind: pl.DataType) -> Any:
    """Return the equal mean, rounded half-even to the decimals of the medians."""
    if not isinstance(kind, pl.Decimal):
        return divide(sum(medians), len(medians))
    whole = [int(Decimal(m).scaleb(kind.scale)) for m in medians]
    return Decimal(divide(sum(whole), len(whole))).scaleb(-kind.scale)


def judge_sources(
    medians: Any,
    *,
    by: Sequence[str],
    day: str,
    source: str,
    median: str,
    tie: Tie,
    bound: Decimal,
    near: Decimal,
    days: int,
) -> pl.DataFrame:
    """Return which sources take part on which day: one that was off the others stays out until it was near for days.

    The distance of a source is :math:`|m_s - M| / M` with :math:`M` the median of the medians :math:`m_s` of all sources
    of the day, those left out included: so what is left out never decides what is left out next.

    - A source whose distance is above ``bound`` is out on that day.
    - It comes back on the day on which its distance has been at most ``near`` for ``days`` days in a row, that day
      included. A distance between ``near`` and ``bound`` neither excludes a source nor lets it back: it starts the count
      anew, and so does a day on which others reported and the source did not.

    Parameters
    ----------
    medians : DataFrame
        One row a group, day and source with its median of the day, which is above 0; null is no row.
    by, day, source, median : str
        Names of the columns; the median is an integer or a decimal.
    tie : {'lower', 'upper', 'midpoint'}
        What the median of an even number of sources is. Of two sources the lower rule believes the lower one.
    bound, near : Decimal
        Relative distances, ``near`` at most ``bound``, with at most nine decimals.
    days : int
        At least 1.

    Returns
    -------
    DataFrame
        The columns asked for, ``distance`` (rounded half-even to nine decimals; the decision is taken on the exact one),
        ``near_days`` (in a row, of a source that is out) and ``taken``, ordered by group, day and source.

    Raises
    ------
    InputDataError
        If a column is missing, a source appears twice on a day, or a median is not above 0 or a float.
    """
    far, close = Fraction(rescale(bound, scale=9), NANO), Fraction(rescale(near, scale=9), NANO)
    if not 0 <= close <= far or days < 1:
        raise ValueError("near must lie between 0 and bound, and days be at least 1")
    rows = _medians(medians, [*by, day, source], median)
    states: dict[Any, _State] = {}
    facts: list[tuple[int, int, bool]] = []
    group, number = None, 0
    for (*key, _), members in groupby(rows.iter_rows(), key=lambda row: row[:-2]):
        if key != group:
            group, number, states = key, 0, {}
        number += 1
        there = [(row[-2], Fraction(row[-1])) for row in members]
        centre = _centre([m for _, m in there], tie)
        for name, each in there:
            distance = abs(each - centre) / centre
            state = states.setdefault(name, _State())
            state.move(distance, number, far=far, close=close, days=days)
            facts.append((divide(distance.numerator * NANO, distance.denominator), state.near, not state.out))
    columns = {"distance": pl.Int64, "near_days": pl.Int64, "taken": pl.Boolean}
    found = pl.DataFrame(facts, schema=columns, orient="row").with_columns(money("distance"))
    return rows.hstack(found)


@dataclass
class _State:
    """Whether a source is out, on how many days in a row it was near since, and the number of its last day."""

    out: bool = False
    near: int = 0
    last: int = 0

    def move(self, distance: Fraction, number: int, *, far: Fraction, close: Fraction, days: int) -> None:
        """Take the next day of the source into account."""
        if distance > far:
            self.out, self.near = True, 0
        elif self.out:
            self.near = (self.near if number == self.last + 1 else 0) + 1 if distance <= close else 0
            if self.near >= days:
                self.out, self.near = False, 0
        self.last = number


def _medians(medians: Any, keys: list[str], median: str) -> pl.DataFrame:
    """Return the rows that have a median, in canonical order."""
    frame = medians if isinstance(medians, pl.DataFrame) else pl.DataFrame(medians)
    if missing := [name for name in (*keys, median) if name not in frame.columns]:
        raise InputDataError(f"there is no column {missing[0]!r}", expected=f"one of {', '.join(frame.columns)}")
    rows = frame.select(*keys, median).drop_nulls(median).sort(keys, nulls_last=True)
    if not (rows.schema[median].is_integer() or isinstance(rows.schema[median], pl.Decimal)):
        raise InputDataError(f"the column is of {rows.schema[median]}", expected="integers or decimals", where=median)
    if (twice := rows.filter(pl.struct(keys).is_duplicated())).height:
        raise InputDataError(f"a source appears twice: {twice.row(0)}", expected="one median a group, day and source")
    if (wrong := rows.filter(pl.col(median) <= 0)).height:
        raise InputDataError(f"a median is not above 0: {wrong.row(0)}", expected="prices above 0", where=median)
    return rows


def _centre(medians: list[Fraction], tie: Tie) -> Fraction:
    """Return the median of the medians."""
    ordered, n = sorted(medians), len(medians)
    lower, upper = ordered[(n - 1) // 2], ordered[n // 2]
    centres = {"lower": lower, "upper": upper, "midpoint": (lower + upper) / 2}
    if tie not in centres:
        raise ValueError(f"tie must be one of {', '.join(centres)}, not {tie!r}")
    return centres[tie]
