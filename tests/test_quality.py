"""Quality change: hand-worked tiny cases, a second fit by textbook matrices, and fits that are refused."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenindex.errors import InputDataError
from tokenindex.hedonics import Demands, Hedonic, UnsupportedFit, double_imputation, time_dummy
from tokenindex.quality import carry_forward, class_mean, matched_relatives, overlap_link

NAMES: dict[str, Any] = {"period": "t", "item": "m", "price": "p"}


def table(rows: list[tuple[Any, ...]], *columns: str) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["t", "m", "p", *columns], orient="row")


LIFE = table(
    [
        (1, "a", 2.0),
        (1, "b", 5.0),
        (2, "a", 3.0),
        (2, "b", 5.0),
        (2, "c", 8.0),
        (3, "a", 3.0),
        (3, "b", None),
        (3, "c", 4.0),
    ]
)


def test_matched_relatives_by_hand() -> None:
    found = matched_relatives(LIFE, **NAMES)
    assert found.columns == ["period", "item", "previous", "price_before", "price", "relative", "matched"]
    # of a, b, c two are in both periods, each time
    assert found.select("period", "item", "relative", "matched").rows() == [
        (2, "a", 1.5, 2 / 3),
        (2, "b", 1.0, 2 / 3),
        (3, "a", 1.0, 2 / 3),
        (3, "c", 0.5, 2 / 3),
    ]


def test_an_absent_row_and_a_null_price_are_the_same() -> None:
    absent = LIFE.drop_nulls("p").sample(fraction=1, shuffle=True, seed=2)
    assert matched_relatives(absent, **NAMES).equals(matched_relatives(LIFE, **NAMES))


def test_an_overlap_link_by_hand() -> None:
    rows = [(1, "old", 10.0), (2, "old", 8.0), (2, "new", 12.0), (3, "new", 9.0), (3, "old", 7.0)]
    link = overlap_link(table(rows), **NAMES, old="old", new="new", at=2)
    assert link.factor == 1.5
    assert link.prices.rows() == [(1, 15.0, "old", True), (2, 12.0, "new", False), (3, 9.0, "new", False)]
    assert link.arithmetic == "float64, research only"
    with pytest.raises(InputDataError, match="new has no price in 1"):
        overlap_link(table(rows), **NAMES, old="old", new="new", at=1)


GAPS = table(
    [
        (1, "a", 4.0),
        (1, "b", 1.0),
        (1, "c", 10.0),
        (2, "b", 2.0),
        (3, "b", 2.0),
        (3, "c", 20.0),
        (4, "a", 5.0),
        (4, "b", 4.0),
    ],
).with_columns(k=pl.when(pl.col("m") == "c").then(pl.lit("other")).otherwise(pl.lit("one")))


def test_carried_prices_are_marked() -> None:
    found = carry_forward(GAPS, **NAMES, max_periods=1)
    made = found.filter(pl.col("imputed_by").is_not_null())
    assert made.rows() == [
        (2, "a", 4.0, "carry_forward", 1),
        (2, "c", 10.0, "carry_forward", 1),
        (4, "c", 20.0, "carry_forward", 1),
    ]
    assert len(found) == 8 + 3
    longer = carry_forward(GAPS, **NAMES, max_periods=2)
    assert longer.filter(pl.col("age") == 2).rows() == [(3, "a", 4.0, "carry_forward", 2)]
    with pytest.raises(ValueError, match="max_periods"):
        carry_forward(GAPS, **NAMES, max_periods=0)


def test_class_means_are_marked() -> None:
    found = class_mean(GAPS, **NAMES, item_class="k", min_matched=1)
    made = found.filter(pl.col("imputed_by").is_not_null())
    # a follows b: twice as much in 2, the same in 3; c is alone in its class
    assert made.rows() == [
        (2, "a", 8.0, "class_mean", 1),
        (2, "c", None, "not_imputable", 0),
        (3, "a", 8.0, "class_mean", 1),
        (4, "c", None, "not_imputable", 0),
    ]
    assert (
        found.filter(pl.col("imputed_by").is_null()).select("period", "item", "price").rows()
        == GAPS.select("t", "m", "p").sort("t", "m").rows()
    )


def test_an_imputed_price_is_no_evidence() -> None:
    rows = [(1, "a", 4.0), (1, "b", 1.0), (1, "c", 3.0), (2, "b", 2.0), (2, "c", 24.0), (3, "c", 24.0)]
    found = class_mean(table(rows).with_columns(k=1), **NAMES, item_class="k", min_matched=1)
    made = found.filter(pl.col("imputed_by") == "class_mean").select("period", "item", "price", "matched").rows()
    # in 2 the mean relative is (2 × 8) ** 0.5 = 4; in 3 only c was observed twice
    assert made == [(2, "a", pytest.approx(16.0), 2), (3, "a", pytest.approx(16.0), 1), (3, "b", 2.0, 1)]
    strict = class_mean(table(rows).with_columns(k=1), **NAMES, item_class="k", min_matched=2)
    assert strict.filter(pl.col("imputed_by") == "not_imputable").select("period", "item").rows() == [
        (3, "a"),
        (3, "b"),
    ]


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([(1, "a", 1.0), (1, "a", 2.0)], "a has several rows in 1"),
        ([(1, "a", 0.0)], "not above 0"),
        ([(1, "a", math.inf)], "not above 0"),
        ([(1, None, 1.0)], "no period or no item"),
    ],
)
def test_tables_that_say_nothing_are_refused(rows: list[tuple[Any, ...]], match: str) -> None:
    with pytest.raises(InputDataError, match=match):
        matched_relatives(table(rows), **NAMES)
    with pytest.raises(InputDataError, match="no column 'p'"):
        matched_relatives(table(rows).drop("p"), **NAMES)
    with pytest.raises(InputDataError, match="String"):
        matched_relatives(table(rows).with_columns(p=pl.lit("1")), **NAMES)
    two = table([(1, "a", 1.0), (2, "a", 1.0)]).with_columns(k=pl.col("t"))
    with pytest.raises(InputDataError, match="a has no class, or several"):
        class_mean(two, **NAMES, item_class="k", min_matched=1)


DEMANDS = Demands(margin=1, min_items=2, max_condition=1e6)


def fitted(rows: pl.DataFrame, scores: pl.DataFrame, how: Any = time_dummy, **changes: Any) -> Hedonic:
    asked = {"quantity": None, "features": ["z"], "robust": "HC1", "demands": DEMANDS, **NAMES} | changes
    found = how(rows, scores, **asked)
    assert isinstance(found, Hedonic)
    return found


def logs(rows: list[tuple[int, str, float]]) -> pl.DataFrame:
    return table([(t, m, math.exp(y)) for t, m, y in rows])


BALANCED = logs(
    [(1, m, y) for m, y in zip("abcd", (0.1, -0.1, 2.2, 1.8), strict=True)]
    + [(2, m, y) for m, y in zip("abcd", (0.4, 0.6, 2.3, 2.7), strict=True)]
)
CORNERS = pl.DataFrame({"m": list("abcd"), "z": [-1.0, -1.0, 1.0, 1.0]})


def test_a_time_dummy_with_robust_errors_by_hand() -> None:
    # ln p = 1 + z + 0.5 in the second period, off by ±0.1 at z = -1 and by ±0.2 at z = 1: eight squares that sum to 0.2.
    # Each row has the lever ±1/4 on the dummy and the leverage 3/8. HC1: 8/5 × 0.2 / 16 = 0.02;
    # HC3: 0.2 / (5/8)² / 16 = 0.032
    found = fitted(BALANCED, CORNERS)
    assert found.index.select("period", "items").rows() == [(1, 4), (2, 4)]
    assert found.index["index"].to_list() == pytest.approx([1, math.exp(0.5)], rel=1e-14)
    assert found.index["std_error"].to_list() == pytest.approx([0, math.sqrt(0.02)], rel=1e-12)
    assert found.fits["all"].table["coefficient"].to_list() == pytest.approx([1, 0.5, 1], rel=1e-14)
    third = fitted(BALANCED, CORNERS, robust="HC3")
    assert third.index["std_error"].to_list() == pytest.approx([0, math.sqrt(0.032)], rel=1e-12)
    # R²: residuals 0.2 of 8 × (1 + 0.0625) + 0.2
    assert found.fits["all"].r_squared == pytest.approx(8.5 / 8.7, rel=1e-12)
    assert (found.method, found.robust, found.arithmetic) == ("time_dummy", "HC1", "float64, research only")


def test_scores_tell_quality_from_price() -> None:
    # at equal scores prices fall by 20%; the models on sale get better by more than that
    rows = [(1, "a", 1.0), (1, "b", 2.0), (1, "c", 3.0), (2, "c", 3.0), (2, "d", 4.0), (2, "e", 5.0)]
    scores = pl.DataFrame({"m": list("abcde"), "z": [1.0, 2.0, 3.0, 4.0, 5.0]})
    prices = logs([(t, m, y + math.log(0.8) * (t == 2)) for t, m, y in rows])
    for how in (time_dummy, double_imputation):
        found = fitted(prices, scores, how)
        assert found.index["index"].to_list() == pytest.approx([1, 0.8], rel=1e-12)


def test_double_imputation_by_hand() -> None:
    # first fit ln p = z, second ln p = 0.1 + 1.1 z: b and c moved by 0.2 and 0.3, a would have by 0.1 and d by 0.4.
    # Shares of a third: ln I = (0.2 + 0.3) / 3 + (0.1 + 0.4) / 6 = 0.25
    prices = logs([(1, "a", 0.0), (1, "b", 1.0), (1, "c", 2.0), (2, "b", 1.2), (2, "c", 2.3), (2, "d", 3.4)])
    scores = pl.DataFrame({"m": list("abcd"), "z": [0.0, 1.0, 2.0, 3.0]})
    found = fitted(prices, scores, double_imputation)
    assert found.index["index"].to_list() == pytest.approx([1, math.exp(0.25)], rel=1e-12)
    assert found.index.select("items", "matched", "entered", "left").rows()[1] == (3, 2, 1, 1)
    assert found.index["link_std_error"][1] == pytest.approx(0, abs=1e-12)
    # quantities so that b spends all: only its relative counts
    heavy = prices.with_columns(q=pl.when(pl.col("m") == "b").then(1e6).otherwise(1.0))
    found = fitted(heavy, scores, double_imputation, quantity="q")
    assert found.index["link"][1] == pytest.approx(math.exp(0.2), rel=1e-5)


def market(seed: int, periods: int = 3) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a small market with items that come and go, and the scores."""
    rng = random.Random(seed)
    scores = pl.DataFrame(
        [(f"m{k}", rng.uniform(30, 90), rng.uniform(1, 5)) for k in range(9)], schema=["m", "z", "y"], orient="row"
    )
    rows = [
        (t, f"m{k}", math.exp(0.03 * z - 0.2 * y - 0.1 * t + rng.gauss(0, 0.3)), rng.uniform(1, 100))
        for t in range(periods)
        for k, (z, y) in enumerate(scores.select("z", "y").iter_rows())
        if (k + t) % 5
    ]
    return table(rows, "q"), scores


def design(rows: pl.DataFrame, scores: pl.DataFrame, *, weighted: bool) -> tuple[Any, Any, Any]:
    """Return the matrix, the logarithms of price and the weights of a market of three periods, written out."""
    joined = rows.join(scores, on="m").sort("t", "m")
    t, p, q = (joined[name].to_numpy() for name in "tpq")
    x = np.column_stack([np.ones(len(joined)), t == 1, t == 2, joined["z"], joined["y"]]).astype(float)
    w = np.ones(len(joined))
    if weighted:
        for when in (0, 1, 2):
            w[t == when] = (p * q)[t == when] / (p * q)[t == when].sum()
    return x, np.log(p), w


@pytest.mark.parametrize("robust", ["HC1", "HC3"])
@pytest.mark.parametrize("quantity", [None, "q"])
def test_a_fit_agrees_with_textbook_matrices(robust: str, quantity: str | None) -> None:
    rows, scores = market(1)
    found = fitted(rows, scores, features=["z", "y"], robust=robust, quantity=quantity)
    x, y, w = design(rows, scores, weighted=quantity is not None)
    bread = np.linalg.inv(x.T @ (w[:, None] * x))
    beta = bread @ x.T @ (w * y)
    e, h = y - x @ beta, w * np.einsum("ij,jk,ik->i", x, bread, x)
    omega = e**2 * len(y) / (len(y) - 5) if robust == "HC1" else e**2 / (1 - h) ** 2
    cov = bread @ (x.T @ ((w**2 * omega)[:, None] * x)) @ bread
    fit = found.fits["all"]
    assert fit.coefficients == pytest.approx(beta, rel=1e-9)
    assert np.sqrt(np.diag(fit.covariance)) == pytest.approx(np.sqrt(np.diag(cov)), rel=1e-9)
    assert found.index["index"].to_list() == pytest.approx([1, *np.exp(beta[1:3])], rel=1e-9)


@pytest.mark.parametrize("robust", ["HC1", "HC3"])
@pytest.mark.parametrize("quantity", [None, "q"])
def test_a_fit_agrees_with_another_package(robust: str, quantity: str | None) -> None:
    peer = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed")
    rows, scores = market(1)
    fit = fitted(rows, scores, features=["z", "y"], robust=robust, quantity=quantity).fits["all"]
    x, y, w = design(rows, scores, weighted=quantity is not None)
    theirs = peer.WLS(y, x, weights=w).fit(cov_type=robust)
    assert fit.coefficients == pytest.approx(theirs.params, rel=1e-9)
    assert np.sqrt(np.diag(fit.covariance)) == pytest.approx(theirs.bse, rel=1e-9)
    assert fit.r_squared == pytest.approx(theirs.rsquared, rel=1e-9)


@settings(max_examples=10)
@given(st.integers(0, 999), st.floats(0.01, 100), st.floats(0.01, 100), st.integers(0, 9))
def test_indices_keep_the_axioms(seed: int, money: float, unit: float, order: int) -> None:
    rows, scores = market(seed)
    facts: dict[str, Any] = {"features": ["z", "y"], "quantity": "q", "demands": DEMANDS}
    for how in (time_dummy, double_imputation):
        found = fitted(rows, scores, how, **facts).index
        shuffled = rows.sample(fraction=1, shuffle=True, seed=order)
        assert fitted(shuffled, scores.reverse(), how, **facts).index.equals(found)
        expected = pytest.approx(found["index"].to_list(), rel=1e-8)
        dearer = rows.with_columns(pl.col("p") * money)
        rescored = scores.with_columns(pl.col("z") * unit + 3)
        more = rows.with_columns(pl.col("q") * unit)
        for r, s in ((dearer, scores), (rows, rescored), (more, scores)):
            assert fitted(r, s, how, **facts).index["index"].to_list() == expected
        doubled = rows.with_columns(p=pl.when(pl.col("t") > 0).then(pl.col("p") * 2).otherwise("p"))
        twice = fitted(doubled, scores, how, **facts).index["index"].to_list()
        assert twice[1:] == pytest.approx([2 * i for i in found["index"].to_list()[1:]], rel=1e-8)


def refused(reason: str, rows: pl.DataFrame, scores: pl.DataFrame, **changes: Any) -> str:
    with pytest.raises(UnsupportedFit) as caught:
        fitted(rows, scores, **changes)
    assert caught.value.reason == reason
    return str(caught.value)


def test_fits_that_the_figures_cannot_support_are_refused() -> None:
    missing = CORNERS.with_columns(z=pl.when(pl.col("m") != "b").then("z"))
    assert "1 items have no scores: b" in refused("missing_scores", BALANCED, missing)
    refused("missing_scores", BALANCED, CORNERS.filter(pl.col("m") != "d"))
    refused("missing_scores", BALANCED, CORNERS.with_columns(z=pl.lit(math.nan)))
    wide = Demands(margin=6, min_items=2, max_condition=1e6)
    assert "8 observations for 3 parameters; expected at least 9" in refused(
        "few_observations", BALANCED, CORNERS, demands=wide
    )
    many = Demands(margin=1, min_items=5, max_condition=1e6)
    assert "1 has 4 items" in refused("few_items", BALANCED, CORNERS, demands=many)
    refused("few_items", BALANCED.filter(pl.col("t") == 1), CORNERS)
    refused("rank_deficient", BALANCED, CORNERS.with_columns(z=pl.lit(5.0)))
    refused("rank_deficient", BALANCED, CORNERS.with_columns(z=pl.lit(0.0)))
    twin = CORNERS.with_columns(y=pl.col("z") * 2 + 1)
    refused("rank_deficient", BALANCED, twin, features=["z", "y"])
    close = CORNERS.with_columns(y=pl.col("z") + pl.Series([1e-7, -1e-7, 0.0, 0.0]))
    refused("ill_conditioned", BALANCED, close, features=["z", "y"])
    lone = pl.concat([BALANCED, logs([(3, "a", 0.0)])])
    alone = Demands(margin=1, min_items=1, max_condition=1e6)
    refused("full_leverage", lone, CORNERS, demands=alone, robust="HC3")
    refused("few_observations", lone, CORNERS, demands=alone, how=double_imputation)


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"margin": 0}, {"min_items": 0}, {"max_condition": 1.0}):
        with pytest.raises(ValueError, match="margin and min_items"):
            Demands(**({"margin": 1, "min_items": 1, "max_condition": 1e6} | wrong))
    with pytest.raises(ValueError, match="HC1 or HC3"):
        fitted(BALANCED, CORNERS, robust="HC0")
    with pytest.raises(ValueError, match="features"):
        fitted(BALANCED, CORNERS, features=[])
    with pytest.raises(InputDataError, match="a twice"):
        fitted(BALANCED, pl.concat([CORNERS, CORNERS]))
    with pytest.raises(InputDataError, match="no column 'y'"):
        fitted(BALANCED, CORNERS, features=["y"])
    with pytest.raises(InputDataError, match="quantity is negative"):
        fitted(BALANCED.with_columns(q=-1), CORNERS, quantity="q")
