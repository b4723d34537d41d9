"""Weighted location: known answers of tie cases, sums beyond 64 bits, and a second implementation in fractions."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenindex import places
from tokenindex.errors import InputDataError
from tokenindex.location import Tie, trimmed_mean, weighted_mean, weighted_median, weighted_quantile, winsorised_mean

TENTHS = [Decimal("0.1")] * 10
CASES: dict[str, tuple[list[int], list[Any], str, str, str]] = {
    "dominant": ([1, 2, 3], [100, 1, 1], "1", "1", "1"),
    "odd_equal": ([1, 2, 3], [1, 1, 1], "2", "2", "2"),
    "even_equal_tie": ([1, 2, 3, 4], [1, 1, 1, 1], "2", "3", "2.5"),
    "exact_half_tie": ([1, 2, 3, 4], [1, 2, 1, 2], "2", "3", "2.5"),
    "exact_half_first": ([10, 20, 30], [2, 1, 1], "10", "20", "15"),
    "zero_weight_mid": ([1, 2, 3], [1, 0, 1], "1", "3", "2"),
    "zero_weight_ends": ([1, 2, 3, 4], [0, 1, 1, 0], "2", "3", "2.5"),
    "dup_values": ([1, 2, 2, 3], [1, 1, 1, 5], "3", "3", "3"),
    "single": ([7], [3], "7", "7", "7"),
    "two": ([1, 2], [1, 3], "2", "2", "2"),
    "float_tenths_tie": ([1, 2, 3, 4], [Decimal(w) for w in ("0.1", "0.2", "0.1", "0.2")], "2", "3", "2.5"),
    "float_tenths_10": ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], TENTHS, "5", "6", "5.5"),
    "ws_issue2": ([1, 2, 3, 4, 5], [10, 1, 1, 1, 10], "3", "3", "3"),
    "so_26102867": (
        [180000, 384000, 342000, 1154000, 421300, 1210000, 1062500, 1878000, 876000, 925000],
        [Decimal(w) for w in "34.2 37.8 39.715 44.375 44.375 45.295 45.295 46.653 46.653 53.476".split()],
        "925000",
        "925000",
        "925000",
    ),
}
"""The tie cases of the shared known answers (weighted_median_expected.csv, rows made by `fractions`): values, weights,
and the lower, upper and midpoint median."""
ONE = pl.Decimal(18, 1)


def frame(values: list[Any], weights: list[Any], **columns: list[Any]) -> pl.DataFrame:
    return pl.DataFrame({**columns, "x": values, "w": weights})


def tenths(values: list[int], weights: list[Any]) -> pl.DataFrame:
    """Return the case with one decimal, so that a midpoint needs no rounding."""
    whole = frame([Decimal(v) for v in values], [Decimal(w) for w in weights])
    return whole.with_columns(pl.col("x").cast(ONE), pl.col("w").cast(pl.Decimal(18, 3)))


def median(table: pl.DataFrame, tie: Tie, **names: Any) -> Any:
    return weighted_median(table, by=[], value="x", weight="w", tie=tie)["median"].item()


@pytest.mark.parametrize("name", CASES)
def test_medians_at_ties(name: str) -> None:
    values, weights, *expected = CASES[name]
    table = tenths(values, weights)
    ties: tuple[Tie, ...] = ("lower", "upper", "midpoint")
    assert [median(table, tie) for tie in ties] == [Decimal(e) for e in expected]
    many = pl.concat([table] * 800)  # replication: the same of a group that is not sorted as a whole
    assert [median(many.sample(fraction=1, shuffle=True, seed=3), tie) for tie in ties] == [
        Decimal(e) for e in expected
    ]


def test_a_table_of_groups_by_hand() -> None:
    day = ["b", "a", "a", "a", "b", "c", "c", "d"]
    price: list[int | None] = [9, 1, 2, 6, 4, None, 5, 7]
    tokens: list[int | None] = [1, 1, 2, 1, 3, 4, None, 0]
    table = frame(price, tokens, day=day)
    means = weighted_mean(table, by=["day"], value="x", weight="w")
    # a: (1 + 4 + 6) / 4 = 2.75, b: (9 + 12) / 4 = 5.25, both to whole numbers
    assert means.rows() == [
        ("a", 3, 0, Decimal(4), 3),
        ("b", 2, 0, Decimal(4), 5),
        ("c", 0, 2, Decimal(0), None),
        ("d", 0, 1, Decimal(0), None),
    ]
    medians = weighted_median(table, by=["day"], value="x", weight="w", tie="lower")
    assert medians.columns == ["day", "rows", "left_out", "weight", "median"]
    assert medians["median"].to_list() == [2, 4, None, None]
    upper = weighted_median(table, by=["day"], value="x", weight="w", tie="upper")
    assert upper["median"].to_list() == [2, 4, None, None]


def test_quantiles_by_hand() -> None:
    table = frame([10, 20, 30, 40], [1, 1, 1, 1])
    shares = [Decimal(s) for s in ("0", "0.25", "0.3", "1")]
    found = {
        tie: weighted_quantile(table, by=[], value="x", weight="w", shares=shares, tie=tie)["quantile"].to_list()
        for tie in ("lower", "upper", "midpoint")
    }
    assert found == {"lower": [10, 10, 20, 40], "upper": [10, 20, 20, 40], "midpoint": [10, 15, 20, 40]}


def test_trimmed_and_winsorised_means_by_hand() -> None:
    table = frame([Decimal("0.00"), Decimal("1.00"), Decimal("2.00"), Decimal("9.00")], [1, 1, 1, 1])
    facts: dict[str, Any] = {"by": [], "value": "x", "weight": "w"}
    # a cut at 0.25 takes the first and the last row: (1 + 2) / 2, and (1 + 1 + 2 + 2) / 4
    quarter = Decimal("0.25")
    assert trimmed_mean(table, **facts, below=quarter, above=quarter)["mean"].item() == Decimal("1.50")
    assert winsorised_mean(table, **facts, below=quarter, above=quarter)["mean"].item() == Decimal("1.50")
    # a cut at 0.1 leaves 0.6 of those rows: (0.6 × 0 + 1 + 2 + 0.6 × 9) / 3.2 = 8.4 / 3.2 = 2.625
    tenth = Decimal("0.1")
    assert trimmed_mean(table, **facts, below=tenth, above=tenth)["mean"].item() == Decimal("2.62")  # half to even
    assert winsorised_mean(table, **facts, below=tenth, above=tenth)["mean"].item() == Decimal("3.00")
    # one end only: (0 + 1 + 2) / 3 and (0 + 1 + 2 + 2) / 4
    assert trimmed_mean(table, **facts, below=Decimal(0), above=quarter)["mean"].item() == Decimal("1.00")
    assert winsorised_mean(table, **facts, below=Decimal(0), above=quarter)["mean"].item() == Decimal("1.25")
    # nothing cut is the mean
    assert trimmed_mean(table, **facts, below=Decimal(0), above=Decimal(0))["mean"].item() == Decimal("3.00")


def test_sums_beyond_64_bits_do_not_wrap() -> None:
    big = 2**61
    for times in (1, 300):  # few rows are sorted together, many one group at a time
        table = frame([1, 2, 3] * times, [big, big, big] * times)
        found = weighted_mean(table, by=[], value="x", weight="w")
        assert (found["weight"].item(), found["mean"].item()) == (3 * big * times, 2)
        assert median(table, "lower") == 2


def test_products_beyond_128_bits_do_not_wrap() -> None:
    big = 2**61
    found = weighted_mean(frame([big, -big, big - 1] * 40, [big] * 120), by=[], value="x", weight="w")
    assert found["mean"].item() == round(Fraction(big - 1, 3))
    cut = Decimal("0.1")
    found = trimmed_mean(frame([big, big - 6, 0] * 40, [big] * 120), by=[], value="x", weight="w", below=cut, above=cut)
    # of 120 rows 12 go at each end: 28 at 0, 40 at big - 6, 28 at big
    assert found["mean"].item() == round(Fraction(40 * (big - 6) + 28 * big, 96))


def test_the_ends_of_64_bits_are_values_too() -> None:
    least, most = -(2**63), 2**63 - 1
    values, weights = [least] * 900 + [0] * 200 + [most] * 900, [most] * 2_000
    table = frame(values, weights)
    assert [median(table, tie) for tie in ("lower", "upper", "midpoint")] == [0, 0, 0]
    found = weighted_mean(table, by=[], value="x", weight="w")
    assert (found["weight"].item(), found["mean"].item()) == (2_000 * most, round(Fraction(-900, 2_000)))
    light = frame(values, [1] * 2_000)
    assert median(light, "lower") == 0


def test_far_values_and_outliers_are_found() -> None:
    rng = random.Random(7)
    values = [rng.randrange(1_000) for _ in range(3_000)] + [2**61, -(2**61)] * 40
    weights = [rng.randrange(1, 10**6) for _ in values]
    assert median(frame(values, weights), "lower") == reference(values, weights, Fraction(1, 2))[0]
    weights = [1] * 3_000 + [10**9] * 80  # the half lies beyond the buckets
    assert median(frame(values, weights), "lower") == reference(values, weights, Fraction(1, 2))[0]
    weights = [1] * 3_000 + [10**9, 0] * 40
    assert median(frame(values, weights), "upper") == 2**61


def reference(values: list[int], weights: list[int], share: Fraction) -> tuple[int, int]:
    """Return the lower and the upper quantile as the definition says."""
    rows = sorted((v, w) for v, w in zip(values, weights, strict=True) if w)
    total, lower, upper, so_far = sum(w for _, w in rows), None, None, 0
    for v, w in rows:
        so_far += w
        lower = v if lower is None and so_far >= share * total else lower
        upper = v if upper is None and so_far > share * total else upper
    assert lower is not None
    return lower, rows[-1][0] if upper is None else upper


def trimmed(values: list[int], weights: list[int], below: Fraction, above: Fraction) -> Fraction:
    """Return the trimmed mean by walking over the rows."""
    rows, total = sorted(zip(values, weights, strict=True)), sum(weights)
    kept, so_far = Fraction(0), Fraction(0)
    for v, w in rows:
        inside: Fraction = min(so_far + w, (1 - above) * total) - max(so_far, below * total)
        kept += v * max(Fraction(0), inside)
        so_far += w
    return kept / ((1 - below - above) * total)


GROUP = st.lists(st.tuples(st.integers(-20, 20), st.integers(0, 5)), min_size=1, max_size=12).filter(
    lambda rows: any(w for _, w in rows)
)
SHARES = st.sampled_from(["0", "0.1", "0.25", "0.5", "0.6", "0.9", "1"])


@settings(max_examples=40)
@given(GROUP, SHARES, st.randoms(use_true_random=False), st.integers(1, 70), st.integers(2, 9))
def test_quantiles_keep_the_axioms(
    rows: list[tuple[int, int]], share: str, rng: random.Random, times: int, scale: int
) -> None:
    values, weights = [v for v, _ in rows], [w for _, w in rows]
    lower, upper = reference(values, weights, Fraction(share))
    split = [(v, part) for v, w in rows for part in (w // 2, w - w // 2)]
    scaled = [(v, w * scale) for v, w in rows]
    shuffled = rng.sample(rows, len(rows))
    for variant in (rows, split, scaled, shuffled, rows * times):
        table = frame([v for v, _ in variant], [w for _, w in variant])
        for tie, expected in (("lower", lower), ("upper", upper)):
            found = weighted_quantile(table, by=[], value="x", weight="w", shares=[Decimal(share)], tie=tie)  # type: ignore[arg-type]
            assert found["quantile"].item() == expected


@settings(max_examples=40)
@given(GROUP, st.sampled_from(["0", "0.1", "0.25", "0.4"]), st.sampled_from(["0", "0.1", "0.5"]), st.integers(1, 3))
def test_means_agree_with_their_definition(rows: list[tuple[int, int]], below: str, above: str, times: int) -> None:
    nano = 10**9
    values, weights = [v * nano for v, _ in rows], [w for _, w in rows]
    low, high = Fraction(below), Fraction(above)
    least, most = reference(values, weights, low)[1], reference(values, weights, 1 - high)[0]
    table = frame(values * times, weights * times)
    facts: dict[str, Any] = {"by": [], "value": "x", "weight": "w"}
    cuts: dict[str, Any] = {"below": Decimal(below), "above": Decimal(above)}
    clipped = [min(max(v, least), most) for v in values]
    mean = Fraction(sum(v * w for v, w in zip(clipped, weights, strict=True)), sum(weights))
    assert winsorised_mean(table, **facts, **cuts)["mean"].item() == round(mean)
    assert trimmed_mean(table, **facts, **cuts)["mean"].item() == round(trimmed(values, weights, low, high))
    plain = Fraction(sum(v * w for v, w in zip(values, weights, strict=True)), sum(weights))
    assert weighted_mean(table, **facts)["mean"].item() == round(plain)


@pytest.mark.parametrize("size", [5, 64, 600, 5_000])
def test_groups_of_all_sizes_agree_with_the_definition(size: int) -> None:
    rng = random.Random(size)
    rows = [(g, rng.randrange(50) ** 4, rng.randrange(4) ** 9) for g in range(3) for _ in range(size)]
    rng.shuffle(rows)
    table = pl.DataFrame(rows, schema=["g", "x", "w"], orient="row")
    found = weighted_median(table, by=["g"], value="x", weight="w", tie="midpoint")
    for g, middle in found.select("g", "median").iter_rows():
        part = [(x, w) for k, x, w in rows if k == g]
        lower, upper = reference([x for x, _ in part], [w for _, w in part], Fraction(1, 2))
        assert middle == round(Fraction(lower + upper, 2))


def test_what_buckets_hold_does_not_depend_on_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(2)
    values, weights = (
        [rng.randrange(10**9) for _ in range(2_000)],
        [rng.randrange(10**12, 10**13) for _ in range(2_000)],
    )
    table = frame(values, weights)  # more than 2**53 together: sorted
    assert sum(weights) > 2**53
    expected = reference(values, weights, Fraction(1, 2))[0]
    assert median(table, "lower") == expected
    monkeypatch.setattr(places, "_SMALL", 10**6)  # all groups sorted together
    assert median(table, "lower") == expected


SHAPES: dict[str, list[int]] = {
    "one value": [7] * 3_000,
    "two values": [7] * 1_600 + [10**12] * 1_400,
    "two values and outliers": [0] * 150 + [7] * 1_400 + [10**12] * 1_400 + [10**13] * 150,
    "one value and a tail": [5] * 2_000 + [k**4 for k in range(1_000)],
    "close together": [10**15 + k % 40 for k in range(3_000)],
    "below zero": [-(k**3) for k in range(3_000)],
    "around zero": [(-2) ** (k % 61) for k in range(3_000)],
    "as far apart as can be": [2**63 - 1 - k % 5 if k % 2 else -(2**63) + k % 7 for k in range(3_000)],
    "half as far apart": [2**61 - k % 5 if k % 2 else -(2**61) + k % 7 for k in range(3_000)],
}


@pytest.mark.parametrize("of", ["ones", "some zero", "heavy ends"])
@pytest.mark.parametrize("shape", SHAPES)
def test_places_of_any_shape_agree_with_the_definition(shape: str, of: str) -> None:
    values = list(SHAPES[shape])
    random.Random(3).shuffle(values)
    weights = {
        "ones": [1] * len(values),
        "some zero": [k % 3 for k in range(len(values))],
        "heavy ends": [10**9 if v in (min(values), max(values)) else 1 for v in values],
    }[of]
    table = frame(values, weights)
    lower, upper = reference(values, weights, Fraction(1, 2))
    assert median(table, "lower") == lower and median(table, "upper") == upper
    assert median(table, "midpoint") == round(Fraction(lower + upper, 2))
    for share in ("0.001", "0.25", "0.999"):
        found = weighted_quantile(table, by=[], value="x", weight="w", shares=[Decimal(share)], tie="lower")
        assert found["quantile"].item() == reference(values, weights, Fraction(share))[0]


def test_rows_in_a_hostile_order_are_sorted_once() -> None:
    # the few rows that set the ends of the buckets are always the largest
    values = [10**9 - k if k % 7 == 0 else k for k in range(7 * 300)]
    weights = [1] * len(values)
    assert median(frame(values, weights), "lower") == reference(values, weights, Fraction(1, 2))[0]
    # one weight so large that the bound on the sum is passed, and not the sum
    weights[5] = 2**52
    assert median(frame(values, weights), "lower") == 5
    weights = [2**52, *[0] * 2_100, 2**52]
    assert median(frame(list(range(2_102)), weights), "upper") == 2_101


def test_arrow_and_pandas_are_read() -> None:
    table = frame([10, 20, 30], [2, 1, 1])
    for other in (table.to_arrow(), table.to_pandas()):
        found = weighted_median(other, by=[], value="x", weight="w", tie="upper")
        assert found["median"].item() == 20


def test_tables_that_cannot_be_exact_are_refused() -> None:
    good = frame([1, 2], [1, 1])
    facts: dict[str, Any] = {"by": [], "value": "x", "weight": "w"}
    for wrong, match in (
        (good.with_columns(x=pl.lit(1.5)), "Float64.*a float is not exact"),
        (good.with_columns(w=pl.lit(-1)), "negative: -1"),
        (good.with_columns(x=pl.lit(Decimal(2**63)).cast(pl.Decimal(38, 0))), "too large"),
        (good.drop("w"), "no column 'w'"),
        (good.with_columns(w=pl.lit("many")), "String"),
    ):
        with pytest.raises(InputDataError, match=match):
            weighted_mean(wrong, **facts)
    with pytest.raises(InputDataError, match="named 'weight'"):
        weighted_mean(good.with_columns(weight=pl.lit(1)), by=["weight"], value="x", weight="w")
    with pytest.raises(ValueError, match="tie must be one of lower, upper, midpoint"):
        weighted_median(good, **facts, tie="linear")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="between 0 and 1"):
        weighted_quantile(good, **facts, shares=[Decimal(2)], tie="lower")
    with pytest.raises(ValueError, match="under 1"):
        trimmed_mean(good, **facts, below=Decimal("0.5"), above=Decimal("0.5"))
    empty = weighted_median(good.head(0), **facts, tie="lower")
    assert empty.is_empty()
