"""Offers: one price out of quotes that depend on the length of the prompt and on the hour.

*Reads* usable observations and the workload of a methodology. *Writes* one price an offer. *Never* fills a gap: an offer
whose quotes do not cover every prompt and every hour of the workload has no price.

Among the tokens of a component a share :math:`w_L` is used with prompts of length :math:`L`. A quote for prompts longer
than :math:`a` and up to :math:`b` serves :math:`\\sum_{a < L ≤ b} w_L` of them; a marginal one, which is paid for the
tokens between :math:`a` and :math:`b` alone, :math:`\\sum_L w_L (\\min(L, b) - \\min(L, a)) / L`. A quote for some hours
serves their part of a day of 24 hours on the clock of its own zone, and the quote without hours beside it the rest. Where
two quotes serve the same prompt or hour there is no price: what is served twice would hide what is not served at all. Hours
whose own quote is screened out are open: the quote beside it does not speak for them.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from .exact import divide_columns
from .inputs import BRACKET
from .methodology import Workload

DAY: Final = 86_400
"""Seconds of a day on a clock: an hour that a zone skips or repeats moves no price."""


def reach(rows: pl.DataFrame, workload: Workload) -> pl.Series:
    """Return how much of the tokens of its component each row serves, out of ``workload.whole``, by its ``bracket``."""
    brackets = rows.select("bracket", *BRACKET)[rows["bracket"].arg_unique()]
    served = pl.Series([_served(workload, *fact) for fact in brackets.select(BRACKET).iter_rows()], dtype=pl.Int64)
    return rows["bracket"].replace_strict(brackets["bracket"], served, return_dtype=pl.Int64)


def _served(workload: Workload, component: str, start: int, to: int | None, marginal: bool | None) -> int:
    served, end = 0, 10**18 if to is None else to
    for prompts in workload.prompts:
        if parts := prompts.parts.get(component, 0):
            length, share = prompts.tokens, parts * (workload.whole // workload.total(component))
            if marginal:  # the share is a multiple of every length
                served += share // length * (min(end, length) - min(start, length))
            elif start < length <= end:
                served += share
    return served


def seconds(clock: str) -> pl.Expr:
    """Return the seconds since midnight of a column of ``HH:MM:SS``."""
    part = {offset: pl.col(clock).str.slice(offset, 2).cast(pl.Int64) for offset in (0, 3, 6)}
    return part[0] * 3600 + part[3] * 60 + part[6]


def _length() -> pl.Expr:
    """Return the seconds of a window; one that ends when it begins is a whole day."""
    return (seconds("time_to") - seconds("time_from") - 1) % DAY + 1


def alone(rows: pl.DataFrame, workload: Workload) -> pl.Series:
    """Return whether a row is the whole of its offer: it serves every prompt, with no bracket and no hours beside it."""
    whole = rows["reach"] == workload.whole
    bracketed = rows.select("offer", "context_from", "time_from").filter(
        pl.col("time_from").is_not_null() | (pl.col("context_from") > 0)
    )
    hourly = bracketed.filter(pl.col("time_from").is_not_null())["offer"]
    beside = rows.select("offer", "context_from").filter(pl.col("offer").is_in(bracketed["offer"].unique().implode()))
    several = beside.unique().filter(pl.col("offer").is_duplicated())["offer"]
    return whole & ~rows["offer"].is_in(pl.concat([hourly, several]).unique().implode())


def evaluate(quotes: pl.DataFrame, workload: Workload) -> pl.DataFrame:
    """Return one row an offer and piece with its price: the mean of its quotes by the share of the workload they serve.

    Parameters
    ----------
    quotes : DataFrame
        ``quote`` (number of piece and component), ``offer, source, source_tier, held, barred, unpriced, context_from,
        context_to, time_from, time_to, time_zone, reach, standard_price``; what is barred has no price.

    Returns
    -------
    DataFrame
        ``quote, source, source_tier, held, standard_price``: rounded half-even in nano, null where something is held, not
        covered or quoted twice.
    """
    hours = _length()
    torn = _overlapping(quotes)
    beside = hours.sum().over("quote", "offer", "context_from")
    parts = quotes.with_columns(reach=pl.col("reach").cast(pl.Int128), seconds=pl.coalesce(hours, DAY - beside))
    served = pl.col("reach") * pl.col("seconds")
    offers = parts.group_by("quote", "offer", maintain_order=True).agg(
        pl.col("source", "source_tier").first(),
        pl.col("held", "barred").any(),
        nothing=pl.col("barred").all() & ~pl.col("unpriced").any(),
        served=served.sum(),
        paid=(served * pl.col("standard_price")).sum(),
        least=pl.col("seconds").min(),
    )
    offers = offers.join(torn, on=["quote", "offer"], how="left", maintain_order="left")
    whole = pl.lit(workload.whole * DAY, dtype=pl.Int128)
    offers = offers.filter(~pl.col("nothing"))
    price = divide_columns(pl.col("paid"), whole).cast(pl.Int64)
    covered = (
        (pl.col("served") == whole)
        & (pl.col("least") >= 0)
        & ~pl.col("held")
        & ~pl.col("barred")
        & pl.col("torn").is_null()
    )
    return offers.select("quote", "source", "source_tier", "held", standard_price=pl.when(covered).then(price))


def _overlapping(quotes: pl.DataFrame) -> pl.DataFrame:
    """Return ``quote, offer, torn`` of the offers of which two quotes serve the same prompt or hour.

    What is served twice would make up for what is not served at all. Windows on the clocks of two zones are taken for
    overlapping: they meet on some days and not on others.
    """
    offer = ["quote", "offer"]
    start, last = seconds("time_from"), pl.col("context_to").fill_null(10**18).max()
    windows = quotes.drop_nulls("time_from").with_columns(start=start, length=_length())
    windows = windows.sort(*offer, "context_from", "start")
    place = [*offer, "context_from"]
    following = pl.col("start").shift(-1).over(place).fill_null(pl.col("start").first().over(place) + DAY)
    zones = pl.col("time_zone").fill_null("").n_unique().over(offer) > 1
    hours = windows.filter((pl.col("start") + pl.col("length") > following) | zones)
    ladder = quotes.group_by(place).agg(last=last).sort(place)
    rungs = ladder.filter(pl.col("last") > pl.col("context_from").shift(-1).over(offer))
    return pl.concat([hours.select(offer), rungs.select(offer)]).unique().with_columns(torn=True)
