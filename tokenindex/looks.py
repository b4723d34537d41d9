"""Looks: what each look at a source could read, and what it says of the prices that it does not show.

*Reads* sightings, and what could not be read at them. *Writes* blind spots, and when one look replaces another. *Never*
takes a price for withdrawn, or for seen, because a record of it could not be read.

A complete look withdraws what it does not show. But a record that was rejected may have been any price that UNREAD names:
to those prices the look is **blind**. It does not withdraw them, and they go on ageing as if it had not been made.

A **spot** is the offers to which the same looks are blind; 0 is that of the offers that every look could read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from .tables import NEVER, UNREAD

SNAPSHOT: Final = ("source", "capture", "known_at")
"""What names a look on its rows; the same bytes may be seen again later."""
_NAMED: Final = ("provider", "model", "component")
_OFFERED: Final = ("source", *_NAMED)
_BLIND: Final = {"spot": pl.Int64} | {name: UNREAD.schema[name] for name in (*SNAPSHOT, "reason", "locator")}


@dataclass(frozen=True)
class Spots:
    """The blind spots of inputs.

    Parameters
    ----------
    offers : DataFrame
        ``source, provider, model, component, spot`` of the offers to which some look is blind.
    blind : DataFrame
        ``spot, source, capture, known_at``, the looks that are blind to each spot, and the ``reason`` and ``locator`` of
        the first reject that makes them so.
    """

    offers: pl.DataFrame
    blind: pl.DataFrame

    @classmethod
    def of(cls, observations: pl.DataFrame, unread: pl.DataFrame) -> Spots:
        """Return the spots of the offers in `observations`, by what stands in `unread`: null there is any name."""
        offers = observations.select(_OFFERED).unique()
        keys = unread.select(_OFFERED).unique().sort(_OFFERED, nulls_last=True).with_row_index("key")
        columns: list[str] = []
        for absent, named in keys.group_by(
            *(pl.col(c).is_null().alias(f"no {c}") for c in _NAMED), maintain_order=True
        ):
            on = ["source", *(name for name, missing in zip(_NAMED, absent, strict=True) if not missing)]
            columns.append(f"key {len(columns)}")
            offers = offers.join(named.select(*on, pl.col("key").alias(columns[-1])), on=on, how="left")
        if not columns:
            return cls(offers.clear().with_columns(spot=pl.lit(0, dtype=pl.Int64)), pl.DataFrame(schema=_BLIND))
        offers = offers.filter(pl.any_horizontal(pl.col(columns).is_not_null()))
        sets = offers.select(columns).unique().sort(columns, nulls_last=True)
        sets = sets.with_columns(spot=pl.int_range(1, pl.len() + 1))
        numbered = offers.join(sets, on=columns, nulls_equal=True).select(*_OFFERED, "spot")
        each = sets.unpivot(columns, index="spot", value_name="key").drop_nulls("key").join(keys, on="key")
        blind = each.join(unread, on=_OFFERED, nulls_equal=True).select("spot", *SNAPSHOT, "reason", "locator")
        return cls(numbered, blind.sort(blind.columns).unique(["spot", *SNAPSHOT], keep="first", maintain_order=True))


def by_spot(looks: pl.LazyFrame, blind: pl.DataFrame) -> pl.LazyFrame:
    """Return each look once for every spot of its source, with ``reads``: whether it could read what is in it."""
    if blind.is_empty():
        return looks.with_columns(spot=pl.lit(0, dtype=pl.Int64), reads=pl.lit(True))
    sighted = looks.select("source", spot=pl.lit(0, dtype=pl.Int64)).unique()
    spots = pl.concat([sighted, blind.lazy().select("source", "spot").unique()])
    marks = blind.lazy().select("spot", *SNAPSHOT, reads=pl.lit(False))
    every = looks.join(spots, on="source").join(marks, on=["spot", *SNAPSHOT], how="left")
    return every.with_columns(pl.col("reads").fill_null(True))


def numbered_looks(sightings: pl.DataFrame, blind: pl.DataFrame) -> pl.DataFrame:
    """Return the complete looks by spot in order of time, with ``look``, the same number for one snapshot in one spot.

    Parameters
    ----------
    sightings : DataFrame
        SIGHTINGS.
    blind : DataFrame
        Of `Spots`.

    Returns
    -------
    DataFrame
        SIGHTINGS with ``spot, reads`` of `by_spot`, ``shelf``, the number of a source and spot, and ``look``.
    """
    every = by_spot(sightings.filter("complete").lazy(), blind).collect(engine="in-memory")
    ordered = every.sort("source", "spot", "seen_at", "known_at", "capture")
    shown = [*SNAPSHOT, "spot"]
    numbers = ordered.select(shown).unique(maintain_order=True).with_row_index("look")
    return ordered.with_columns(shelf=pl.struct("source", "spot").rle_id()).join(
        numbers, on=shown, maintain_order="left"
    )


def replaced(looks: pl.DataFrame) -> pl.DataFrame:
    """Return ``look, gone``: when a later look replaced what each one showed in a spot; `NEVER`: none did.

    Parameters
    ----------
    looks : DataFrame
        Rows of `numbered_looks` in their order, with ``enters``, the moment from which each counts. A look replaces
        nothing in a spot to which it is blind.
    """
    enters = pl.when("reads").then("enters").otherwise(NEVER)
    later = enters.shift(-1).reverse().cum_min().reverse().over("shelf").fill_null(NEVER)
    # the same bytes may be known at one moment from several looks: the last look counts
    return looks.select("look", gone=later).group_by("look").agg(pl.col("gone").max())


def darkened(looks: pl.DataFrame, blind: pl.DataFrame) -> pl.DataFrame:
    """Return the spots that the last look at their source could not read.

    Parameters
    ----------
    looks : DataFrame
        The SIGHTINGS of one moment, with ``enters``.
    blind : DataFrame
        Of `Spots`.

    Returns
    -------
    DataFrame
        ``source, spot``, ``capture, known_at, seen_at`` of that look, the ``reason`` and ``locator`` of its reject, and
        ``read_at``, when a look could read it last; null: never.
    """
    ordered = (
        by_spot(looks.lazy(), blind).filter(pl.col("spot") > 0).sort("source", "spot", "seen_at", "known_at", "capture")
    )
    last = ordered.group_by("source", "spot", maintain_order=True).agg(
        pl.col("capture", "known_at", "seen_at", "reads").last(),
        read_at=pl.col("seen_at").filter("reads").last(),
    )
    return last.filter(~pl.col("reads")).drop("reads").collect().join(blind, on=["spot", *SNAPSHOT])


def showings(
    asked: pl.DataFrame,
    spans: pl.DataFrame,
    said: pl.DataFrame,
    looks: pl.DataFrame,
    silent: pl.DataFrame,
    blind: pl.DataFrame,
) -> pl.DataFrame:
    """Return the looks made while a price was quoted that tell whether it was still there.

    Parameters
    ----------
    asked : DataFrame
        ``k``, the number of a price, its ``source, quote, spot, price, currency``, since when it was ``shown``, and its
        ``end``; null: it still stands.
    spans : DataFrame
        ``k, begin, end`` of each row that says it: between them nothing may have been on offer.
    said : DataFrame
        Every row: ``quote, source, capture, known_at, valid_from, valid_to``, and the price and currency ``told``.
    looks : DataFrame
        SIGHTINGS with ``enters``.
    silent : DataFrame
        ``source, capture, known_at`` of the looks that came without any row.
    blind : DataFrame
        Of `Spots`.

    Returns
    -------
    DataFrame
        ``k, enters, day, shows`` in order: a look that came with rows shows the price if one of them says it, and shows
        another if only others are of the quote. A look that came without any, such as one of a source that tells changes,
        shows whatever stands, if it could read it.
    """
    looks = looks.select(*SNAPSHOT, "enters", day=pl.col("seen_at").dt.date())
    wanted = said.join(asked.select("quote").unique(), on="quote", how="semi").join(looks, on=SNAPSHOT)
    open_ = pl.col("valid_to").is_null() | (pl.col("enters") < pl.col("valid_to"))
    wanted = wanted.filter((pl.col("valid_from") <= pl.col("enters")) & open_)
    shelf = asked.select("k", "quote", "price", "currency", "shown", "end").join(wanted, on="quote")
    same = pl.col("told").eq_missing(pl.col("price")) & (pl.col("told_currency") == pl.col("currency"))
    own = shelf.group_by("k", "shown", "end", "enters", "day").agg(shows=same.any())
    quiet = looks.join(silent, on=SNAPSHOT, how="semi")
    standing = asked.select("k", "source", "spot", "shown").join(spans, on="k").join(quiet, on="source")
    standing = standing.filter(pl.col("begin") <= pl.col("enters"))
    if len(blind):
        standing = standing.join(blind, on=["spot", *SNAPSHOT], how="anti")
    found = pl.concat([own, standing.select(*own.columns[:-1], shows=pl.lit(True))])
    still = pl.col("end").is_null() | (pl.col("enters") < pl.col("end"))
    after = found.filter((pl.col("enters") > pl.col("shown")) & still)
    return after.select("k", "enters", "day", "shows").sort("k", "enters", "day", "shows")


def shown_again(shown: pl.DataFrame, *, days: int) -> pl.DataFrame:
    """Return ``k, second_day``: when a look showed a price on a later day for the last of `days` times.

    Parameters
    ----------
    shown : DataFrame
        ``k, enters, day, shows`` of `showings`, with ``since``, the day on which the source was seen with the price first;
        null: not yet. A look that showed another price starts the count again, with the next look that shows this one.
    days : int
        Later days that are needed.
    """
    run = ["k", "run"]
    runs = shown.with_columns(run=(~pl.col("shows")).cum_sum().over("k")).filter("shows")
    since = pl.when(pl.col("run") == 0).then("since")
    before = pl.max_horizontal(since, pl.col("day").cum_max().shift(1).over(run))
    later = runs.with_columns(later=(pl.col("day") > before).fill_null(False))
    counted = later.with_columns(count=pl.col("later").cum_sum().over(run)).filter("later", pl.col("count") == days)
    return counted.group_by("k").agg(second_day=pl.col("enters").min())
