"""Bands: how far a figure moves if other sources had reported, volumes were otherwise, or the blend were another one.

*Reads* the constituents, elementary prices and quotes of one date of a determination, and a seed. *Writes* quantiles of the
redrawn figure. *Never* enters the official figure: a band is research, in float64, and its type says so.

A band asks what a figure depends on; it is no forecast, and no statement about a price that none of the sources has seen.
All chance comes from numpy's PCG64 under the seed of the caller, with a stream of its own for each of the three questions
(so that asking one more does not redraw the others), and rows are taken in canonical order: the same seed gives the same
band, whatever the order of the inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from .determination import Determination
from .errors import DeterminationError, InputDataError
from .exact import NANO

Floats = npt.NDArray[np.float64]
STANDING: Final = "research band, float64: no part of the official figure"
GENERATOR: Final = "numpy PCG64, one spawned stream each for sources, volumes and blend"
_DRAWS_MAX: Final = 10**6


@dataclass(frozen=True, kw_only=True)
class Dirichlet:
    """Shares of the blend are drawn from a Dirichlet distribution around the declared ones.

    With the declared share :math:`s` of a component a drawn one has the mean :math:`s` and the standard deviation
    :math:`\\sqrt{s (1 - s) / (concentration + 1)}`.
    """

    concentration: float


@dataclass(frozen=True, kw_only=True)
class Range:
    """The parts of each component are multiplied by a number drawn evenly from ``1 - width`` to ``1 + width``."""

    width: float


@dataclass(frozen=True)
class Band:
    """Quantiles of the redrawn figures beside the official ones, and what they were drawn from."""

    table: pl.DataFrame
    """One row a figure and share: ``figure`` (price, level), ``official``, ``share``, ``bound``."""
    draws: int
    seed: int
    sources: bool
    volumes: float | None
    blend: Dirichlet | Range | None
    generator: str = GENERATOR
    standing: str = STANDING

    @property
    def is_official(self) -> bool:
        """Always False."""
        return False


@dataclass(frozen=True)
class Table:
    """What a figure of one date is made of; each frame may be in any order.

    Parameters
    ----------
    members : DataFrame
        ``constituent, price`` (in use; null if it has none), ``quantity`` and ``base_price`` (null for a mean).
    elementary : DataFrame
        ``constituent, component, parts, price``: what the price of a constituent is blended from.
    quotes : DataFrame
        ``constituent, component, source, source_tier, price``: what the elementary price was consolidated from.
    price, level : float or None
        The official figures.
    """

    members: pl.DataFrame = field(repr=False)
    elementary: pl.DataFrame = field(repr=False)
    quotes: pl.DataFrame = field(repr=False)
    price: float
    level: float | None


def band(
    determination: Determination,
    day: date,
    *,
    sources: bool,
    volumes: float | None,
    blend: Dirichlet | Range | None,
    draws: int,
    shares: Sequence[float],
    seed: int,
) -> Band:
    """Return the band of the figures of one date that was determined.

    Parameters
    ----------
    determination, day
        A date with a calculated figure.
    sources : bool
        Whether to draw which sources report: as many as there are, with replacement, for the whole date at once. A quote
        counts as often as its source was drawn; of the best tier that is left the lower median is taken; where nothing is
        left the price stays, as it would be carried. The rule that sources must agree is not applied again.
    volumes : float or None
        Standard deviation of the logarithm of the error of a volume, above 0: each quantity is multiplied by a drawn
        number with mean 1.
    blend : Dirichlet, Range or None
        How the shares of the components are drawn, for all constituents at once.
    draws : int
        1 to a million.
    shares : sequence of float
        From 0 to 1: the shares of the draws at or below the bounds (a draw itself, never between two).
    seed : int
        At least 0.

    Returns
    -------
    Band
        For a mean with the price. For a basket with the level too, by what the basket costs against its announcement; not
        if the blend is drawn, because the prices of the announcement were blended alike.

    Raises
    ------
    DeterminationError
        If the date has no calculated figure.
    """
    table = table_of(determination, day)
    return band_of(table, sources=sources, volumes=volumes, blend=blend, draws=draws, shares=shares, seed=seed)


def table_of(determination: Determination, day: date) -> Table:
    """Return what the figures of one date are made of.

    Raises
    ------
    DeterminationError
        If the date has no calculated figure.
    """
    fixing = determination.fixing(day)
    if fixing["price"] is None or fixing["dates_stale"] != 0:
        raise DeterminationError(f"no price was calculated for {day}", expected="a date with a calculated figure")
    rows = determination.constituents_on(day).filter(pl.col("quantity").is_not_null())
    members = rows.select("constituent", price="used_price", quantity="quantity")
    if determination.baskets:
        basket = determination.baskets[determination.basket_number(day)]
        bases = [(m.constituent, m.base_price / NANO, m.quantity) for m in basket.members]
        schema: dict[str, Any] = {"constituent": pl.String, "base_price": pl.Float64, "quantity": pl.Int64}
        members = pl.DataFrame(bases, schema=schema, orient="row").join(
            rows.select("constituent", price="used_price"), on="constituent", how="left"
        )
    else:
        members = members.drop_nulls("price").with_columns(base_price=pl.lit(None, pl.Float64))
    fresh = rows.filter(pl.col("used_date") == day).select("constituent")
    elementary = determination.elementary_on(day).join(fresh, on="constituent", how="semi")
    asked = elementary.select("constituent", "component", quoted=pl.coalesce("imputed_from", "component"))
    quotes = determination.observations_on(day).filter(
        pl.col("excluded_by").is_null() & pl.col("standard_price").is_not_null()
    )
    quotes = quotes.rename({"component": "quoted"}).join(asked, on=["constituent", "quoted"])
    return Table(
        members.select("constituent", "price", "quantity", "base_price"),
        elementary.select("constituent", "component", "parts", "price"),
        quotes.select("constituent", "component", "source", "source_tier", price="standard_price"),
        float(fixing["price"]),
        None if fixing["level"] is None else float(fixing["level"]),
    )


def band_of(
    table: Table,
    *,
    sources: bool,
    volumes: float | None,
    blend: Dirichlet | Range | None,
    draws: int,
    shares: Sequence[float],
    seed: int,
) -> Band:
    """Return the band of the figures of anybody's tables; parameters as in `band`.

    A drawn figure is the official one times the ratio of the formula at the drawn and at the official inputs, so that
    what the tables leave out (rounding, prices by length of prompt) cancels.
    """
    _refuse(volumes, blend, draws, shares, seed)
    streams = [np.random.Generator(np.random.PCG64(s)) for s in np.random.SeedSequence(seed).spawn(3)]
    members = table.members.sort("constituent").with_columns(pl.col("price", "quantity", "base_price").cast(pl.Float64))
    if members["constituent"].is_duplicated().any():
        raise InputDataError("a constituent appears twice", expected="one row a constituent")
    elementary = table.elementary.drop_nulls("price").filter(pl.col("parts") > 0).sort("component", "constituent")
    quotes = table.quotes.sort("constituent", "component", "source_tier", "price", "source")
    ratios = _price_ratios(
        elementary,
        _source_ratios(quotes, draws, streams[0]) if sources else {},
        _factors(elementary, blend, draws, streams[2]),
        draws,
    )
    price = members["price"].to_numpy()
    drawn = np.tile(price, (draws, 1))
    for k, name in enumerate(members["constituent"]):
        if name in ratios:
            drawn[:, k] *= ratios[name]
    quantity = members["quantity"].to_numpy()
    volume = np.tile(quantity, (draws, 1))
    if volumes:
        volume *= np.exp(volumes * streams[1].standard_normal(volume.shape) - volumes**2 / 2)
    bases = None if members["base_price"].has_nulls() else members["base_price"].to_numpy()
    official = {"price": table.price}
    if table.level is not None and bases is not None and blend is None:
        official["level"] = table.level
    now, then = _formulas(drawn, volume, bases), _formulas(price[None], quantity[None], bases)
    found = [
        (figure, at, share, float(bound))
        for figure, at in official.items()
        for share, bound in zip(shares, _quantiles(at * now[figure] / then[figure], shares), strict=True)
    ]
    rows = pl.DataFrame(found, schema=["figure", "official", "share", "bound"], orient="row")
    return Band(rows, draws, seed, sources, volumes, blend)


def _refuse(
    volumes: float | None, blend: Dirichlet | Range | None, draws: int, shares: Sequence[float], seed: int
) -> None:
    if not 1 <= draws <= _DRAWS_MAX or seed < 0:
        raise ValueError(f"draws must be 1 to {_DRAWS_MAX}, seed at least 0")
    if not shares or not all(0 <= share <= 1 for share in shares):
        raise ValueError("shares must lie between 0 and 1, and there must be some")
    if volumes is not None and not 0 < volumes < 10:
        raise ValueError("volumes must be above 0 and below 10")
    if isinstance(blend, Dirichlet) and not 1 <= blend.concentration < np.inf:
        raise ValueError("concentration must be at least 1")
    if isinstance(blend, Range) and not 0 <= blend.width < 1:
        raise ValueError("width must be at least 0 and below 1")


def _quantiles(drawn: Floats, shares: Sequence[float]) -> Floats:
    return np.asarray(np.quantile(drawn, list(shares), method="inverted_cdf"))


def _formulas(price: Floats, quantity: Floats, bases: Floats | None) -> dict[str, Floats]:
    """Return price and level of each row of draws, up to a constant factor.

    Members of a basket without a price move as the others do, as in `tokenindex.basket.Basket.cost`.
    """
    there = ~np.isnan(price)
    cost = np.where(there, price, 0.0)
    total = (quantity * cost).sum(axis=1)
    if bases is None:
        return {"price": total / (quantity * there).sum(axis=1)}
    moved = total / (quantity * there * bases).sum(axis=1)
    return {"price": moved * (quantity * bases).sum(axis=1) / quantity.sum(axis=1), "level": moved}


def _source_ratios(quotes: pl.DataFrame, draws: int, stream: np.random.Generator) -> dict[tuple[str, str], Floats]:
    """Return, for every elementary price, the drawn over the official lower median of its best tier."""
    names = quotes["source"].unique().sort().to_list()
    if not names:
        return {}
    counts = stream.multinomial(len(names), [1 / len(names)] * len(names), size=draws)
    position = {name: k for k, name in enumerate(names)}
    found = {}
    for key, rows in quotes.group_by("constituent", "component", maintain_order=True):
        drawn = counts[:, [position[name] for name in rows["source"]]]
        price = rows["price"].cast(pl.Float64).to_numpy()
        tier = rows["source_tier"].to_numpy()
        official = _best_median(price, tier, np.ones((1, len(rows)), np.int64))[0]
        median = _best_median(price, tier, drawn)
        found[str(key[0]), str(key[1])] = np.where(np.isnan(median), 1.0, median / official)
    return found


def _best_median(price: Floats, tier: npt.NDArray[Any], counts: npt.NDArray[Any]) -> Floats:
    """Return the lower median of the best tier with a quote, for each row of counts; nan without any. Rows ascend."""
    result = np.full(len(counts), np.nan)
    for best in np.unique(tier)[::-1]:
        inside = tier == best
        so_far = counts[:, inside].cumsum(axis=1)
        total = so_far[:, -1:]
        first = (2 * so_far >= total).argmax(axis=1)
        result = np.where(total[:, 0] > 0, price[inside][first], result)
    return result


def _factors(
    elementary: pl.DataFrame, blend: Dirichlet | Range | None, draws: int, stream: np.random.Generator
) -> dict[str, Floats]:
    """Return what the parts of each component are multiplied by in each draw, for all constituents at once."""
    totals = elementary.group_by("component", maintain_order=True).agg(pl.col("parts").cast(pl.Float64).mean())
    names, parts = totals["component"].to_list(), totals["parts"].to_numpy()
    if blend is None or not names:
        return {}
    if isinstance(blend, Range):
        factors = stream.uniform(1 - blend.width, 1 + blend.width, size=(draws, len(names)))
    else:
        declared = parts / parts.sum()
        factors = stream.dirichlet(blend.concentration * declared, size=draws) / declared
    return {name: factors[:, k] for k, name in enumerate(names)}


def _price_ratios(
    elementary: pl.DataFrame, sources: dict[tuple[str, str], Floats], factors: dict[str, Floats], draws: int
) -> dict[str, Floats]:
    """Return, for every constituent with elementary prices, the drawn over the official blended price."""
    one, found = np.ones(draws), {}
    rows = elementary.with_columns(pl.col("parts", "price").cast(pl.Float64))
    for (name,), blended in rows.group_by("constituent", maintain_order=True):
        cost, parts, plain, whole = np.zeros(draws), np.zeros(draws), 0.0, 0.0
        for component, share, price in blended.select("component", "parts", "price").iter_rows():
            part = share * factors.get(component, one)
            cost += part * price * sources.get((str(name), component), one)
            parts += part
            plain, whole = plain + share * price, whole + share
        found[str(name)] = (cost / parts) / (plain / whole)
    return found
