"""Bands: what a draw does by hand, the same band for the same seed in any row order, and never an official figure."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenindex.bands import Band, Dirichlet, Range, Table, band, band_of, table_of
from tokenindex.determination import Determination, determine
from tokenindex.errors import DeterminationError, InputDataError
from tokenindex.home import Home
from tokenindex.inputs import Inputs

DAY = date(2026, 6, 25)
NOTHING: dict[str, Any] = {"sources": False, "volumes": None, "blend": None, "draws": 4_000, "shares": [0.5], "seed": 7}


def table(**changes: Any) -> Table:
    """Return a basket of two: a is blended from input and output, b has a price and nothing to redraw."""
    members = [("a", 2.0, 30, 1.0), ("b", 5.0, 10, 5.0)]
    elementary = [("a", "input", 3, 1.0), ("a", "output", 1, 5.0)]
    quotes = [("a", "input", "s1", 1, 1.0), ("a", "input", "s2", 1, 2.0)]
    frames = {
        "members": pl.DataFrame(members, schema=["constituent", "price", "quantity", "base_price"], orient="row"),
        "elementary": pl.DataFrame(elementary, schema=["constituent", "component", "parts", "price"], orient="row"),
        "quotes": pl.DataFrame(
            quotes, schema=["constituent", "component", "source", "source_tier", "price"], orient="row"
        ),
    }
    # cost 30 × 2 + 10 × 5 = 110 over 40 tokens; it was 30 × 1 + 50 = 80 at the announcement
    return Table(**{**frames, "price": 2.75, "level": 137.5, **changes})


def bounds(found: Band, figure: str = "price") -> list[float]:
    return found.table.filter(pl.col("figure") == figure)["bound"].to_list()


def test_nothing_drawn_is_the_official_figure() -> None:
    found = band_of(table(), **NOTHING | {"shares": [0.0, 0.5, 1.0]})
    assert bounds(found) == [2.75] * 3
    assert bounds(found, "level") == [137.5] * 3
    assert found.table.columns == ["figure", "official", "share", "bound"]


def test_a_band_says_that_it_is_not_official() -> None:
    found = band_of(table(), **NOTHING)
    assert found.is_official is False
    assert "no part of the official figure" in found.standing
    assert (found.draws, found.seed, found.generator[:11]) == (4_000, 7, "numpy PCG64")


def test_two_sources_drawn_by_hand() -> None:
    # of two sources the lower median is the upper price only if s2 is drawn twice: one draw in four. Then input costs 2,
    # a (3 × 2 + 5) / 4 = 2.75 instead of 2, the basket 30 × 2.75 + 50 = 132.5 over 40 tokens, 132.5 / 80 of the base
    found = band_of(table(), **NOTHING | {"sources": True, "shares": [0.0, 0.72, 0.78, 1.0]})
    assert bounds(found) == pytest.approx([2.75, 2.75, 3.3125, 3.3125], rel=1e-14)
    assert bounds(found, "level") == pytest.approx([137.5, 137.5, 165.625, 165.625], rel=1e-14)


def test_the_next_tier_is_taken_where_the_best_was_not_drawn() -> None:
    lower = pl.DataFrame(
        [("a", "input", "s1", 1, 1.0), ("a", "input", "s2", 2, 3.0)],
        schema=["constituent", "component", "source", "source_tier", "price"],
        orient="row",
    )
    # s1 alone makes the official price; with s2 drawn twice input costs 3, a (9 + 5) / 4 = 3.5, the basket 155 / 40
    found = band_of(table(quotes=lower), **NOTHING | {"sources": True, "shares": [0.72, 0.78]})
    assert bounds(found) == pytest.approx([2.75, 3.875], rel=1e-14)


def test_a_price_that_no_drawn_source_reports_stays() -> None:
    other = pl.DataFrame(
        [("a", "input", "s1", 1, 1.0), ("z", "input", "s2", 1, 9.0)],
        schema=["constituent", "component", "source", "source_tier", "price"],
        orient="row",
    )
    found = band_of(table(quotes=other), **NOTHING | {"sources": True, "shares": [0.0, 1.0]})
    assert bounds(found) == [2.75, 2.75]


def test_volumes_move_the_weights_only() -> None:
    found = band_of(table(), **NOTHING | {"volumes": 0.5, "shares": [0.0, 0.5, 1.0]})
    low, middle, high = bounds(found)
    assert 2 < low < middle < high < 5  # a mean of the prices
    assert middle == pytest.approx(2.75, rel=0.02)
    low, _, high = bounds(found, "level")
    assert 100 < low < high < 200  # a mean of the relatives
    # one error of log standard deviation 0.5 in each of two quantities: the log odds of their weights has 0.5 × √2, and
    # at the share 0.975 the odds are 3 × exp(-1.96 × 0.7071)
    top = bounds(band_of(table(), **NOTHING | {"volumes": 0.5, "shares": [0.975], "draws": 100_000}))[0]
    odds = 3 * math.exp(-1.959964 * 0.5 * math.sqrt(2))
    assert top == pytest.approx((2 * odds + 5) / (odds + 1), rel=0.01)


def test_a_blend_within_a_range() -> None:
    # the parts 3 : 1 go at most to 3 × 0.5 : 1.5, where a costs (1.5 + 7.5) / 3 = 3, and back to 4.5 : 0.5, where it
    # costs (4.5 + 2.5) / 5 = 1.4
    found = band_of(table(), **NOTHING | {"blend": Range(width=0.5), "shares": [0.0, 1.0], "draws": 50_000})
    least, most = bounds(found)
    assert least == pytest.approx((30 * 1.4 + 50) / 40, rel=0.01)
    assert most == pytest.approx((30 * 3 + 50) / 40, rel=0.01)
    assert least >= (30 * 1.4 + 50) / 40
    assert most <= (30 * 3 + 50) / 40
    assert found.table["figure"].unique().to_list() == ["price"]  # the base prices would be blended anew too
    still = band_of(table(), **NOTHING | {"blend": Range(width=0.0)})
    assert bounds(still) == pytest.approx([2.75], rel=1e-14)


def test_a_dirichlet_has_its_standard_deviation() -> None:
    # the share of output is 1/4 with variance 3/16 / (concentration + 1): a costs 1 + 4 × share
    found = band_of(
        table(), **NOTHING | {"blend": Dirichlet(concentration=299.0), "shares": [0.16, 0.84], "draws": 50_000}
    )
    low, high = bounds(found)
    deviation = math.sqrt(3 / 16 / 300) * 4 * 30 / 40
    assert (high - low) / 2 == pytest.approx(deviation, rel=0.03)


def test_members_without_a_price_move_as_the_others() -> None:
    gap = table().members.with_columns(price=pl.when(pl.col("constituent") == "a").then("price"))
    found = band_of(table(members=gap), **NOTHING)
    assert bounds(found) == [2.75]


@settings(max_examples=15)
@given(st.integers(0, 2**40), st.integers(0, 5), st.integers(2, 10**6))
def test_bands_keep_the_axioms(seed: int, order: int, scale: int) -> None:
    asked: dict[str, Any] = NOTHING | {"sources": True, "volumes": 0.2, "blend": Range(width=0.3), "shares": [0.1, 0.9]}
    asked |= {"seed": seed, "draws": 50}
    mean = table(members=table().members.with_columns(base_price=pl.lit(None, pl.Float64)))
    for each in (table(), mean):
        found = band_of(each, **asked).table
        frames = {name: getattr(each, name) for name in ("members", "elementary", "quotes")}
        shuffled = {name: f.sample(fraction=1, shuffle=True, seed=order) for name, f in frames.items()}
        assert band_of(replace(each, **shuffled), **asked).table.equals(found)
        scaled = replace(each, members=each.members.with_columns(pl.col("quantity") * scale))
        assert band_of(scaled, **asked).table["bound"].to_list() == pytest.approx(found["bound"].to_list(), rel=1e-12)


def test_asking_one_more_question_does_not_redraw_the_others() -> None:
    alone = band_of(table(), **NOTHING | {"sources": True, "shares": [0.7, 0.8]})
    other = band_of(table(), **NOTHING | {"sources": True, "shares": [0.7, 0.8], "blend": Range(width=0.0)})
    assert bounds(alone) == pytest.approx(bounds(other), rel=1e-14)
    assert bounds(band_of(table(), **NOTHING | {"volumes": 0.5})) != bounds(
        band_of(table(), **NOTHING | {"volumes": 0.5, "seed": 8})
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"draws": 0},
        {"draws": 10**7},
        {"seed": -1},
        {"shares": []},
        {"shares": [1.5]},
        {"volumes": 0.0},
        {"blend": Dirichlet(concentration=0.0)},
        {"blend": Range(width=1.0)},
    ],
)
def test_questions_without_an_answer_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        band_of(table(), **NOTHING | wrong)


def test_a_constituent_twice_is_refused() -> None:
    twice = pl.concat([table().members, table().members])
    with pytest.raises(InputDataError, match="twice"):
        band_of(table(members=twice), **NOTHING)


@pytest.fixture(scope="module")
def found() -> dict[str, Determination]:
    home = Home.sample()
    inputs, names = home.inputs(), ("tix", "tix-level")
    return {n: determine(home.methodology(n, DAY), inputs, dates=[DAY], known_at=home.known_at) for n in names}


ALL: dict[str, Any] = {"sources": True, "volumes": 0.2, "draws": 500, "shares": [0.05, 0.5, 0.95], "seed": 1}


def test_a_fixing_lies_inside_its_band(found: dict[str, Determination]) -> None:
    for index, figures in (("tix", {"price", "level"}), ("tix-level", {"price"})):
        asked = band(found[index], DAY, **ALL, blend=None)
        assert set(asked.table["figure"]) == figures
        fixing = found[index].fixing(DAY)
        for figure in figures:
            low, _, high = bounds(asked, figure)
            assert low < float(fixing[figure]) < high
        still = band(found[index], DAY, **NOTHING)
        assert bounds(still) == [float(fixing["price"])]
        mixed = band(found[index], DAY, **ALL, blend=Dirichlet(concentration=200.0))
        assert bounds(mixed)[0] < bounds(asked)[0]


def test_the_table_of_a_fixing_gives_its_price(found: dict[str, Determination]) -> None:
    of = table_of(found["tix-level"], DAY)
    total = of.members.with_columns(pl.col("price", "quantity").cast(pl.Float64))
    mean = total.select((pl.col("price") * pl.col("quantity")).sum() / pl.col("quantity").sum()).item()
    assert mean == pytest.approx(of.price, abs=1e-6)  # published with six decimals


def test_the_order_of_the_inputs_changes_no_band(found: dict[str, Determination], inputs: Inputs) -> None:
    shuffled = replace(inputs, observations=inputs.observations.sample(fraction=1, shuffle=True, seed=4))
    home = Home.sample()
    again = determine(home.methodology("tix", DAY), shuffled, dates=[DAY], known_at=home.known_at)
    before = band(found["tix"], DAY, **ALL, blend=Range(width=0.1))
    assert band(again, DAY, **ALL, blend=Range(width=0.1)).table.equals(before.table)


def test_a_date_without_a_figure_has_no_band(sample: Home, inputs: Inputs) -> None:
    early = date(2026, 5, 31)
    none = determine(sample.methodology("tix", DAY), inputs, dates=[early], known_at=sample.known_at)
    with pytest.raises(DeterminationError, match="2026-05-31"):
        band(none, early, **NOTHING)
