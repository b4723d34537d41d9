"""Exact arithmetic against the standard library's fractions and decimals."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenindex.exact import apportion, divide, divide_columns, money, parse_decimal, rescale, step_of


@given(st.integers(-(10**40), 10**40), st.integers(1, 10**30))
def test_divide_rounds_half_even(numerator: int, denominator: int) -> None:
    assert divide(numerator, denominator) == round(Fraction(numerator, denominator))


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"), [(1, 2, 0), (3, 2, 2), (5, 2, 2), (-1, 2, 0), (-3, 2, -2)]
)
def test_ties_go_to_the_even_number(numerator: int, denominator: int, expected: int) -> None:
    assert divide(numerator, denominator) == expected


def test_a_denominator_must_be_positive() -> None:
    with pytest.raises(ZeroDivisionError):
        divide(1, 0)


@given(st.lists(st.tuples(st.integers(0, 10**36), st.integers(1, 10**18)), min_size=1))
def test_columns_are_divided_as_single_numbers_are(pairs: list[tuple[int, int]]) -> None:
    frame = pl.DataFrame(pairs, schema={"a": pl.Int128, "b": pl.Int128}, orient="row")
    assert frame.select(divide_columns(pl.col("a"), pl.col("b"))).to_series().to_list() == [
        divide(a, b) for a, b in pairs
    ]


@given(st.integers(-(10**15), 10**15))
def test_money_is_exact(nano: int) -> None:
    shown = pl.DataFrame({"n": [nano]}).select(money("n")).item()
    assert shown == Decimal(nano).scaleb(-9)
    assert rescale(shown, scale=9) == nano


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.0000006000000000000000000001", None),
        ("0.0000006000000000000001", "0.0000006000000000000001"),
        ("6e-7", "0.0000006"),
        ("1E+3", "1000"),
        ("-1", "-1"),
        ("123456789012345", None),
        ("NaN", None),
        ("inf", None),
        ("1,5", None),
        ("1_000", None),
        ("", None),
        (" 1", None),
        ("١", None),
        ("1e999999999", None),
        ("0e-999", "0"),
    ],
)
def test_decimal_text_is_read_exactly_or_refused(text: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(ValueError):
            parse_decimal(text)
    else:
        assert parse_decimal(text) == Decimal(expected)


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=30), st.integers(1, 10**9))
def test_apportion_hands_out_the_whole_total(parts: list[int], total: int) -> None:
    shares = [Fraction(part, sum(parts)) for part in parts]
    given_out = apportion(parts, total=total)
    assert sum(given_out) == total
    assert all(abs(n - share * total) < 1 for n, share in zip(given_out, shares, strict=True))


def test_apportion_gives_what_is_left_to_the_largest_remainder() -> None:
    assert apportion([6, 3, 1], total=7) == [4, 2, 1]  # of 4.2, 2.1 and 0.7


def test_apportion_keeps_within_the_room() -> None:
    thirds = [7, 7, 7]
    assert apportion(thirds, total=10) == [4, 3, 3]
    assert apportion(thirds, total=10, room=[3, 4, 4]) == [3, 4, 3]
    with pytest.raises(ValueError, match="room"):
        apportion(thirds, total=10, room=[3, 3, 3])
    with pytest.raises(ValueError, match="zero"):
        apportion([0], total=10)


@given(st.integers(0, 10**15), st.integers(0, 9))
def test_figures_are_rounded_once_to_their_decimals(amount: int, decimals: int) -> None:
    step = step_of(decimals)
    expected = Decimal(amount).scaleb(-9).quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_EVEN)
    assert Decimal(divide(amount, step) * step).scaleb(-9) == expected


def test_rescale_rounds_nothing() -> None:
    assert rescale(Decimal("0.15"), scale=9) == 150_000_000
    with pytest.raises(ValueError):
        rescale(Decimal("0.0000000001"), scale=9)


def test_rounding_agrees_with_the_decimal_module() -> None:
    assert divide(25, 10) == int(Decimal("2.5").quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
