"""The partitioned volume-weighted median, and which sources take part: expected numbers by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenindex.errors import InputDataError
from tokenindex.reference_rates import judge_sources, partitioned_median

DAY = date(2026, 6, 1)
WINDOW: dict[str, Any] = {
    "by": [],
    "at": "at",
    "value": "price",
    "weight": "tokens",
    "opens": time(15),
    "length": timedelta(hours=1),
    "partitions": 4,
    "tie": "lower",
    "min_partitions": 3,
}
ROWS = [
    ("15:00", "10", 1),
    ("15:05", "11", 5),
    ("15:14", "90", 1),  # first quarter: 11
    ("15:15", "12", 1),
    ("15:20", "13", 1),  # second: a tie, the lower is 12
    ("15:50", "14", 2),
    ("15:59", "99", 1),  # fourth: 14; the third is empty
    ("14:59", "1", 100),
    ("16:00", "1", 100),  # outside
]


def trades(rows: list[tuple[str, str, int]]) -> pl.DataFrame:
    moments = [datetime.combine(DAY, time.fromisoformat(at), UTC) for at, _, _ in rows]
    prices = [Decimal(price + ".00") for _, price, _ in rows]
    return pl.DataFrame({"at": moments, "price": prices, "tokens": [w for _, _, w in rows]})


def test_the_mean_of_the_medians_of_the_quarters() -> None:
    found = partitioned_median(trades(ROWS), **WINDOW)
    # (11 + 12 + 14) / 3 = 12.333...
    assert found.rows() == [(DAY, 3, 7, 0, Decimal(12), Decimal("12.33"))]
    assert found.columns == ["day", "partitions", "rows", "left_out", "weight", "price"]
    upper = partitioned_median(trades(ROWS), **WINDOW | {"tie": "upper"})
    assert upper["price"].item() == Decimal("12.67")  # 13 in the second


def test_too_few_partitions_give_no_price() -> None:
    found = partitioned_median(trades(ROWS), **WINDOW | {"min_partitions": 4})
    assert found["price"].to_list() == [None]
    one = partitioned_median(trades(ROWS), **WINDOW | {"partitions": 1, "min_partitions": 1})
    assert one["price"].item() == Decimal("11.00")  # half of 12 is reached at 11: the plain median of the window


def test_a_window_may_reach_into_the_next_day() -> None:
    late = [("23:30", "10", 1), ("00:10", "20", 1), ("22:59", "99", 9), ("01:00", "99", 9)]
    night = WINDOW | {"opens": time(23), "length": timedelta(hours=2), "partitions": 2, "min_partitions": 1}
    found = partitioned_median(trades(late), **night)
    assert found["day"].to_list() == [DAY - timedelta(days=1), DAY]
    assert found["price"].to_list() == [Decimal(20), Decimal(10)]


def test_groups_stay_apart() -> None:
    two = pl.concat([trades(ROWS).with_columns(model=pl.lit("b")), trades(ROWS[:1]).with_columns(model=pl.lit("a"))])
    found = partitioned_median(two, **WINDOW | {"by": ["model"], "min_partitions": 1})
    assert found.select("model", "price").rows() == [("a", Decimal("10.00")), ("b", Decimal("12.33"))]
    whole = two.with_columns(pl.col("price").cast(pl.Int64))
    found = partitioned_median(whole, **WINDOW | {"by": ["model"], "min_partitions": 1})
    assert found["price"].to_list() == [10, 12]


@settings(max_examples=25)
@given(st.permutations(ROWS), st.integers(1, 10**9), st.integers(1, 60))
def test_rates_keep_the_axioms(rows: list[tuple[str, str, int]], scale: int, times: int) -> None:
    expected = Decimal("12.33")
    split = [(at, p, part) for at, p, w in rows for part in (w // 3, w - w // 3)]
    for variant in (rows, split, [(at, p, w * scale) for at, p, w in rows], rows * times):
        assert partitioned_median(trades(variant), **WINDOW)["price"].item() == expected


def test_impossible_windows_are_refused() -> None:
    table = trades(ROWS)
    for wrong in ({"partitions": 7}, {"length": timedelta(days=2)}, {"min_partitions": 5}, {"partitions": 0}):
        with pytest.raises(ValueError, match=r"cannot be cut|min_partitions"):
            partitioned_median(table, **WINDOW | wrong)
    for moments in (pl.col("at").dt.convert_time_zone("Asia/Shanghai"), pl.lit("noon").alias("at")):
        with pytest.raises(InputDataError, match="'at' is"):
            partitioned_median(table.with_columns(moments), **WINDOW)
    with pytest.raises(InputDataError, match="1 rows have no moment"):
        blank = pl.DataFrame([None], schema={"at": table.schema["at"]}).with_columns(price=Decimal("1.00"), tokens=1)
        partitioned_median(pl.concat([table, blank], how="vertical_relaxed"), **WINDOW)
    with pytest.raises(InputDataError, match="missing"):
        partitioned_median(table.drop("at"), **WINDOW)
    with pytest.raises(InputDataError, match="named 'day'"):
        partitioned_median(table.with_columns(day=1), **WINDOW | {"by": ["day"]})


RULE: dict[str, Any] = {
    "by": [],
    "day": "day",
    "source": "source",
    "median": "median",
    "tie": "lower",
    "bound": Decimal("0.1"),
    "near": Decimal("0.05"),
    "days": 2,
}


def reports(**prices: list[int | None]) -> pl.DataFrame:
    """Return the medians of sources, one price a day."""
    rows = [(k, name, p) for name, each in prices.items() for k, p in enumerate(each)]
    return pl.DataFrame(rows, schema=["day", "source", "median"], orient="row")


def course(table: pl.DataFrame, **changes: Any) -> list[bool]:
    """Return whether source c takes part, day by day."""
    found = judge_sources(table, **RULE | changes)
    assert found.filter(pl.col("source") != "c")["taken"].all()
    return found.filter(pl.col("source") == "c")["taken"].to_list()


def test_a_source_comes_back_after_days_nearby() -> None:
    steady: list[int | None] = [100] * 8
    # at the bound, off, near, between, near, near: back on the second day in a row, off again
    table = reports(a=steady, b=steady, c=[110, 111, 105, 108, 104, 96, 100, 89])
    assert course(table) == [True, False, False, False, False, True, True, False]
    assert course(table, days=1) == [True, False, True, True, True, True, True, False]
    found = judge_sources(table, **RULE).filter(pl.col("source") == "c")
    assert found["distance"].to_list() == [Decimal(d) for d in "0.1 0.11 0.05 0.08 0.04 0.04 0 0.11".split()]
    assert found["near_days"].to_list() == [0, 0, 1, 0, 1, 0, 0, 0]
    shuffled = judge_sources(table.sample(fraction=1, shuffle=True, seed=1), **RULE)
    assert shuffled.equals(judge_sources(table, **RULE))


def test_a_day_of_silence_starts_the_count_anew() -> None:
    steady: list[int | None] = [100] * 6
    assert course(reports(a=steady, b=steady, c=[120, 100, None, 100, 100, 100])) == [False, False, False, True, True]


def test_the_rule_for_two_sources_is_the_tie_rule() -> None:
    table = reports(a=[100], b=[130])
    taken = {
        tie: judge_sources(table, **RULE | {"tie": tie})["taken"].to_list() for tie in ("lower", "upper", "midpoint")
    }
    assert taken == {"lower": [True, False], "upper": [False, True], "midpoint": [False, False]}


def test_groups_have_their_own_memory() -> None:
    one = reports(a=[100, 100], b=[100, 100], c=[120, 100])
    both = pl.concat(
        [one.with_columns(model=pl.lit("x")), one.filter(pl.col("day") == 1).with_columns(model=pl.lit("y"))]
    )
    found = judge_sources(both, **RULE | {"by": ["model"]}).filter(pl.col("source") == "c")
    assert found.select("model", "day", "taken").rows() == [("x", 0, False), ("x", 1, False), ("y", 1, True)]


def test_medians_that_say_nothing_are_refused() -> None:
    table = reports(a=[100], b=[100])
    for wrong, match in (
        (pl.concat([table, table]), "twice"),
        (table.with_columns(median=0), "not above 0"),
        (table.with_columns(median=1.5), "Float64"),
        (table.drop("median"), "no column 'median'"),
    ):
        with pytest.raises(InputDataError, match=match):
            judge_sources(wrong, **RULE)
    with pytest.raises(ValueError, match="near must lie"):
        judge_sources(table, **RULE | {"near": Decimal("0.2")})
    with pytest.raises(ValueError, match="tie must be"):
        judge_sources(table, **RULE | {"tie": "mean"})
