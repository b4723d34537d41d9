"""Hedonics: prices explained by capability scores, so that things which were never on sale together can be compared.

*Reads* a long table of period, item, price and perhaps quantity, and a table of scores an item. *Writes* an index with
robust standard errors, the fit behind it, and the settings. *Never* returns a fit that the figures cannot support: too
few rows, scores that are missing or say the same, or a period with hardly an item are named errors.

Results are float64, for research only: a least-squares fit differs in its last digits between machines. Rows are taken in
canonical order, so on one machine the order of the table changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import linalg

from .errors import InputDataError
from .quality import ARITHMETIC, prices_of

Robust = Literal["HC1", "HC3"]
Floats = npt.NDArray[np.float64]


class UnsupportedFit(InputDataError):
    """The figures cannot support the fit that was asked for; `reason` is one of a closed set of words.

    ``missing_scores, few_items, few_observations, rank_deficient, ill_conditioned, full_leverage``
    """

    def __init__(self, reason: str, found: str, *, expected: str, remedy: str = "") -> None:
        self.reason = reason
        super().__init__(found, expected=expected, remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class Demands:
    """What a fit must meet.

    Parameters
    ----------
    margin : int
        Observations beyond the number of parameters, at least 1.
    min_items : int
        Items in each period, at least 1.
    max_condition : float
        Largest condition number of the design with its columns scaled to one length, above 1.
    """

    margin: int
    min_items: int
    max_condition: float

    def __post_init__(self) -> None:
        if self.margin < 1 or self.min_items < 1 or self.max_condition <= 1:
            raise ValueError("margin and min_items must be at least 1, max_condition above 1")


@dataclass(frozen=True)
class Fit:
    """A weighted least-squares fit of the logarithm of price; standard errors are robust to heteroscedasticity."""

    names: tuple[str, ...]
    coefficients: Floats = field(repr=False)
    covariance: Floats = field(repr=False)
    residuals: Floats = field(repr=False)
    condition: float
    r_squared: float

    @property
    def table(self) -> pl.DataFrame:
        """One row a parameter: ``parameter, coefficient, std_error``."""
        errors = np.sqrt(np.diag(self.covariance))
        return pl.DataFrame({"parameter": self.names, "coefficient": self.coefficients, "std_error": errors})


@dataclass(frozen=True)
class Hedonic:
    """A hedonic index, the fits behind it (one, or one a period), and how it was made."""

    index: pl.DataFrame
    fits: dict[Any, Fit] = field(repr=False)
    method: str
    robust: Robust
    demands: Demands
    arithmetic: str = ARITHMETIC


def time_dummy(
    table: Any,
    scores: Any,
    *,
    period: str,
    item: str,
    price: str,
    quantity: str | None,
    features: Sequence[str],
    robust: Robust,
    demands: Demands,
) -> Hedonic:
    """Return the time-dummy index: what a period adds to the price at equal scores.

    One fit over all periods, :math:`\\ln p_{it} = α + Σ_t δ_t + Σ_k β_k z_{ik} + ε_{it}`, and the index is
    :math:`\\exp δ_t` with the first period at 1. With quantities a row weighs its expenditure share in its period, so that
    every period weighs the same; without, a row weighs one.

    References: Consumer Price Index Manual (ILO and others, 2020), hedonic time dummy method; MacKinnon and White 1985
    (HC1, HC3).

    Parameters
    ----------
    table : DataFrame
        Polars, or anything that exports an Arrow stream; any row order.
    scores : DataFrame
        One row an item: the item column and the features. Items without a price are not looked at.
    period, item, price : str
        Names of the columns.
    quantity : str or None
        Column of quantities, at least 0; rows without one, or with none, are left out. None: unweighted.
    features : sequence of str
        Columns of scores that explain the logarithm of price.
    robust : {'HC1', 'HC3'}
        Kind of standard error.
    demands : Demands
        What the fit must meet.

    Returns
    -------
    Hedonic
        Its ``index`` has ``period, index, std_error`` (of the logarithm; 0 in the first period) and ``items``.

    Raises
    ------
    UnsupportedFit
        If the figures cannot support the fit.
    InputDataError
        If a table is not what it must be.
    """
    rows = _rows(table, scores, period=period, item=item, price=price, quantity=quantity, features=features)
    counts = _counts(rows, demands)
    periods = counts["period"].to_list()
    codes = rows.join(counts.with_row_index("code"), on="period", maintain_order="left")["code"].to_numpy()
    dummies = (codes[:, None] == np.arange(1, len(periods))).astype(np.float64)
    design = np.column_stack([np.ones(len(rows)), dummies, rows.select(features).to_numpy()])
    names = ("constant", *(f"period {p}" for p in periods[1:]), *features)
    fit = _fit(design, rows, names, robust, demands)
    k = len(periods)
    delta = np.concatenate([[0.0], fit.coefficients[1:k]])
    errors = np.concatenate([[0.0], np.sqrt(np.diag(fit.covariance)[1:k])])
    index = counts.select("period", pl.Series("index", np.exp(delta)), pl.Series("std_error", errors), "items")
    return Hedonic(index, {"all": fit}, "time_dummy", robust, demands)


def double_imputation(
    table: Any,
    scores: Any,
    *,
    period: str,
    item: str,
    price: str,
    quantity: str | None,
    features: Sequence[str],
    robust: Robust,
    demands: Demands,
) -> Hedonic:
    """Return the chained index of matched prices, and of predicted ones on both sides where an item is in one period only.

    Each period has its own fit :math:`\\ln p_i = α_t + Σ_k β_{kt} z_{ik} + ε_i`. From one period :math:`s` to the next
    :math:`t`, :math:`\\ln I = Σ_i w_i \\ln r_i` with :math:`r_i = p_{it} / p_{is}` for an item in both and
    :math:`r_i = \\hat p_{it} / \\hat p_{is}` for one that came or went: both its prices are predicted, so that what the fit
    leaves unexplained cancels. :math:`w_i` is the mean of the item's expenditure shares in the two periods (Törnqvist), or
    the same with equal shares in a period if there are no quantities.

    References: Consumer Price Index Manual (ILO and others, 2020), hedonic imputation methods. Parameters and errors as in
    `time_dummy`; each period must support its own fit.

    Returns
    -------
    Hedonic
        Its ``index`` has ``period, index, link`` (over the period before), ``link_std_error`` (of the logarithm of
        the link, from the coefficients alone), ``items``, ``matched``, ``entered`` and ``left``.
    """
    rows = _rows(table, scores, period=period, item=item, price=price, quantity=quantity, features=features)
    counts = _counts(rows, demands)
    parts = rows.partition_by("period", maintain_order=True)
    fits = []
    for part in parts:
        design = np.column_stack([np.ones(len(part)), part.select(features).to_numpy()])
        fits.append(_fit(design, part, ("constant", *features), robust, demands))
    links = [(1.0, 0.0, 0, 0, 0)]
    for k in range(1, len(parts)):
        links.append(_link(parts[k - 1], parts[k], fits[k - 1], fits[k], features))
    facts = pl.DataFrame(links, schema=["link", "link_std_error", "matched", "entered", "left"], orient="row")
    index = counts.hstack(facts).with_columns(index=pl.col("link").cum_prod())
    columns = ("period", "index", "link", "link_std_error", "items", "matched", "entered", "left")
    by_period = dict(zip(counts["period"], fits, strict=True))
    return Hedonic(index.select(columns), by_period, "double_imputation", robust, demands)


def _link(
    before: pl.DataFrame, after: pl.DataFrame, old: Fit, new: Fit, features: Sequence[str]
) -> tuple[float, float, int, int, int]:
    """Return the link from one period to the next, its standard error, and how many items matched, entered and left."""
    both = before.join(after, on="item", how="full", suffix="_after").with_columns(
        pl.coalesce("item", "item_after"), *(pl.coalesce(name, f"{name}_after") for name in features)
    )
    both = both.sort("item")
    weight = (both["share"].fill_null(0) + both["share_after"].fill_null(0)).to_numpy() / 2
    design = np.column_stack([np.ones(len(both)), both.select(features).to_numpy()])
    predicted = design @ (new.coefficients - old.coefficients)
    observed = (both["log"].is_not_null() & both["log_after"].is_not_null()).to_numpy()
    actual = (both["log_after"] - both["log"]).fill_null(0).to_numpy()
    change = float(weight @ np.where(observed, actual, predicted))
    lever = weight[~observed] @ design[~observed]
    error = float(np.sqrt(lever @ (old.covariance + new.covariance) @ lever))
    counts = (int(observed.sum()), both["log"].null_count(), both["log_after"].null_count())
    return float(np.exp(change)), error, *counts


def _rows(
    table: Any, scores: Any, *, period: str, item: str, price: str, quantity: str | None, features: Sequence[str]
) -> pl.DataFrame:
    """Return ``period, item, log, share, weight`` and the features, in canonical order."""
    names = {"period", "item", "price", "log", "share", "spent", "weight"}
    if not features or len(set(features)) < len(features) or names & set(features):
        raise ValueError(f"features must be different names, at least one, and none of {', '.join(sorted(names))}")
    rows = prices_of(table, period=period, item=item, price=price, others=[quantity] if quantity else [])
    amount = pl.col(quantity).cast(pl.Float64) if quantity else pl.lit(1.0) / pl.col("price")
    if quantity and rows.filter((amount < 0) | ~amount.is_finite()).height:
        raise InputDataError("a quantity is negative or no number", expected="quantities of at least 0", where=quantity)
    rows = rows.select("period", "item", log=pl.col("price").log(), spent=pl.col("price") * amount)
    rows = rows.filter(pl.col("spent") > 0)
    known = _scores(scores, item, features, rows)
    share = pl.col("spent") / pl.col("spent").sum().over("period")
    rows = rows.with_columns(share=share, weight=share if quantity else pl.lit(1.0))
    return rows.drop("spent").join(known, on="item", maintain_order="left")


def _scores(scores: Any, item: str, features: Sequence[str], rows: pl.DataFrame) -> pl.DataFrame:
    frame = scores if isinstance(scores, pl.DataFrame) else pl.DataFrame(scores)
    if missing := [name for name in (item, *features) if name not in frame.columns]:
        raise InputDataError(f"the scores have no column {missing[0]!r}", expected=f"one of {', '.join(frame.columns)}")
    known = frame.select(pl.col(item).alias("item"), *(pl.col(name).cast(pl.Float64) for name in features))
    known = known.join(rows.select("item").unique(), on="item", how="semi")
    if (twice := known.filter(pl.col("item").is_duplicated()).sort("item")).height:
        raise InputDataError(f"the scores have {twice['item'][0]} twice", expected="one row an item")
    whole = known.filter(pl.all_horizontal(pl.col(list(features)).is_finite()))
    absent = rows.select("item").unique().join(whole, on="item", how="anti")["item"].sort().to_list()
    if absent:
        raise UnsupportedFit(
            "missing_scores",
            f"{len(absent)} items have no scores: {', '.join(map(str, absent[:5]))}",
            expected=f"{', '.join(features)} of every item with a price",
            remedy="score them or leave them out; a score is never guessed",
        )
    return whole


def _counts(rows: pl.DataFrame, demands: Demands) -> pl.DataFrame:
    counts = rows.group_by("period", maintain_order=True).agg(items=pl.len().cast(pl.Int64))
    if (few := counts.filter(pl.col("items") < demands.min_items)).height:
        raise UnsupportedFit(
            "few_items", f"{few['period'][0]} has {few['items'][0]} items", expected=f"at least {demands.min_items}"
        )
    if len(counts) < 2:
        raise UnsupportedFit("few_items", f"there are {len(counts)} periods", expected="at least two")
    return counts


def _fit(x: Floats, rows: pl.DataFrame, names: tuple[str, ...], robust: Robust, demands: Demands) -> Fit:
    """Return the least-squares fit of the logarithm of price, each row by its weight.

    With :math:`X` and :math:`e` multiplied by the roots of the weights, the covariance is
    :math:`(X'X)^{-1} X' Ω X (X'X)^{-1}`; Ω holds :math:`e_i^2 n / (n - k)` (HC1) or :math:`e_i^2 / (1 - h_i)^2` (HC3).
    """
    y, weight = rows["log"].to_numpy(), rows["weight"].to_numpy()
    n, k = x.shape
    if n < k + demands.margin:
        raise UnsupportedFit(
            "few_observations", f"{n} observations for {k} parameters", expected=f"at least {k + demands.margin}"
        )
    root = np.sqrt(weight / weight.mean())
    length = np.sqrt(((x * root[:, None]) ** 2).sum(axis=0))
    if not length.all():
        raise UnsupportedFit(
            "rank_deficient", f"{names[int(length.argmin())]} is 0 everywhere", expected="a score that differs"
        )
    scaled, target = x * root[:, None] / length, y * root
    u, singular, vt = linalg.svd(scaled, full_matrices=False)
    rank = int((singular > singular[0] * max(n, k) * np.finfo(float).eps).sum())
    if rank < k:
        raise UnsupportedFit(
            "rank_deficient",
            f"rank {rank} of {k} parameters",
            expected="scores that are no sum of others or of periods",
        )
    condition = float(singular[0] / singular[-1])
    if condition > demands.max_condition:
        raise UnsupportedFit(
            "ill_conditioned", f"condition number {condition:.3g}", expected=f"at most {demands.max_condition:g}"
        )
    half = vt.T / singular / length[:, None]
    coefficients = half @ (u.T @ target)
    residuals = target - x * root[:, None] @ coefficients
    omega = _omega(residuals, (u**2).sum(axis=1), n, k, robust)
    covariance = half @ ((u * omega[:, None]).T @ u) @ half.T
    centred = target - root * (root @ target) / (root @ root)
    spread = float(centred @ centred)
    r_squared = 1 - float(residuals @ residuals) / spread if spread else 0.0
    return Fit(names, coefficients, covariance, residuals / root, condition, r_squared)


def _omega(residuals: Floats, leverage: Floats, n: int, k: int, robust: Robust) -> Floats:
    if robust == "HC1":
        return np.asarray(residuals**2 * (n / (n - k)))
    if robust != "HC3":
        raise ValueError(f"robust must be HC1 or HC3, not {robust!r}")
    if leverage.max() > 1 - 1e-9:
        raise UnsupportedFit(
            "full_leverage", "one row alone decides a parameter", expected="HC1, or rows that share every parameter"
        )
    return np.asarray((residuals / (1 - leverage)) ** 2)
