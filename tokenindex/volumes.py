"""Volumes: which periods of usage belong to the window of each fixing date.

*Reads* the volumes of the inputs and a grid of fixing dates. *Writes* spells of periods with their tokens. *Never* counts
the same tokens twice, and never a period before it was over.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from .exact import divide_columns
from .inputs import SELLER, Inputs
from .methodology import Volumes
from .selection import Grid, entered, visible


def select_volumes(inputs: Inputs, rule: Volumes, grid: Grid) -> pl.DataFrame:
    """Return the complete volumes of the allowed sources as spells of the dates whose window they belong to.

    Returns
    -------
    DataFrame
        ``place`` (null where unmapped), ``period_start, period_end, tokens, i0, i1`` and ``counted``: the tokens are
        of an allowed class of service.
    """
    sources = list(rule.sources)
    again = pl.col("contained_in").is_in(sources).fill_null(False)
    rows = visible(inputs.usage, grid=grid).filter(
        pl.col("source").is_in(sources) & pl.col("component").is_in(list(rule.components)) & ~again
    )
    if grid.known_at is None:
        rows = entered(rows, seen=pl.col("known_at"), of=pl.col("series"), grid=grid)
    else:
        last = (pl.col("series") != pl.col("series").shift(-1)).fill_null(True)
        rows = rows.filter(last).with_columns(i0=pl.lit(0, dtype=pl.Int64), i1=pl.lit(grid.size, dtype=pl.Int64))
    first = grid.from_date(pl.col("period_end") + timedelta(days=rule.lag_days))
    after = grid.from_date(pl.col("period_start") + timedelta(days=rule.lag_days + rule.window_days))
    complete = rows.filter(~pl.col("partial")).collect(engine="in-memory")
    spells = (
        _counted_once(complete)
        .lazy()
        .select(
            "place",
            "period_start",
            "period_end",
            "tokens",
            i0=pl.max_horizontal(first, "i0"),
            i1=pl.min_horizontal(after, "i1"),
            counted=pl.col("service_tier").is_in(list(rule.service_tiers)),
        )
    )
    return spells.filter(pl.col("i0") < pl.col("i1")).collect(engine="in-memory")


def _counted_once(rows: pl.DataFrame) -> pl.DataFrame:
    """Return volumes with the tokens that no finer period of the same seller in force has counted before.

    Of two periods that overlap the shorter one is finer, of two as long the one that starts first. A period counts for the
    days of it that no finer one covers, and not at all if there are none: its tokens less what the finer ones count for
    days of it, and never less than nothing. What a period counts belongs to its own days in equal parts, so one that lies
    inside takes away all that it counts, and one that reaches beyond its share by days, rounded half-even.
    """
    waiting = _finer(rows)
    if waiting.is_empty():
        return rows
    days = pl.date_ranges("period_start", "period_end")
    periods = rows.select("row", "i0", "i1", "tokens", days=days)
    whole = ~pl.col("row").is_in(waiting["row"].unique().implode())
    done = periods.filter(whole)
    while len(waiting):
        blocked = waiting.filter(pl.col("finer").is_in(waiting["row"].unique().implode()))["row"].unique()
        ready = ~pl.col("row").is_in(blocked.implode())
        now = waiting.filter(ready)
        long = periods.filter(pl.col("row").is_in(now["row"].unique().implode()))
        done = pl.concat([done, _rest(long, now, done)])
        waiting = waiting.filter(~ready)
    return rows.drop("i0", "i1", "tokens").join(done.drop("days"), on="row", maintain_order="left")


def _finer(rows: pl.DataFrame) -> pl.DataFrame:
    """Return ``row, finer``: the pairs of volumes of one seller of which the second is finer and overlaps the first."""
    key = [*SELLER, "component", "service_tier"]
    length = pl.col("period_end") - pl.col("period_start")
    facts = [*key, "row", "period_start", "period_end"]
    finer = rows.select(facts).rename({name: f"{name}_finer" for name in facts})
    length_finer = pl.col("period_end_finer") - pl.col("period_start_finer")
    long = rows.filter(length > timedelta(0)).select(facts)
    if long.is_empty():
        return pl.DataFrame(schema={"row": rows.schema["row"], "finer": rows.schema["row"]})
    pairs = long.join_where(
        finer,
        *(pl.col(name) == pl.col(f"{name}_finer") for name in key),
        pl.col("period_start_finer") <= pl.col("period_end"),
        pl.col("period_end_finer") >= pl.col("period_start"),
    )
    earlier = (length_finer == length) & (pl.col("period_start_finer") < pl.col("period_start"))
    return pairs.filter((length_finer < length) | earlier).select("row", finer="row_finer")


def _rest(long: pl.DataFrame, pairs: pl.DataFrame, done: pl.DataFrame) -> pl.DataFrame:
    """Return what is left of the periods `long`: ``row, i0, i1, tokens, days``, the days that are theirs alone.

    Parameters
    ----------
    long : DataFrame
        ``row, i0, i1, tokens, days`` of each period.
    pairs : DataFrame
        ``row, finer``.
    done : DataFrame
        Spells of the finer ones, as this function returns them.
    """
    spells = done.select(finer="row", from_="i0", to="i1", counted="tokens", theirs="days")
    parts = pairs.join(spells, on="finer").join(long.select("row", "i0", "i1"), on="row")
    parts = parts.with_columns(from_=pl.max_horizontal("from_", "i0"), to=pl.min_horizontal("to", "i1")).drop(
        "i0", "i1"
    )
    parts = parts.filter(pl.col("from_") < pl.col("to"))
    ends = [long.select("row", i0=end) for end in ("i0", "i1")] + [
        parts.select("row", i0=end) for end in ("from_", "to")
    ]
    pieces = pl.concat(ends).unique().sort("row", "i0").with_columns(i1=pl.col("i0").shift(-1).over("row")).drop_nulls()
    at = ["row", "i0", "i1"]
    days = pieces.join(long.select("row", day="days"), on="row").explode("day")
    inside = (pl.col("from_") <= pl.col("i0")) & (pl.col("i0") < pl.col("to"))
    told = pieces.join(parts, on="row").filter(inside).with_columns(of=pl.col("theirs").list.len(), day="theirs")
    shared = told.select(*at, "finer", "counted", "of", "day").explode("day").join(days, on=[*at, "day"], how="semi")
    each = shared.group_by(*at, "finer").agg(pl.col("counted", "of").first(), pl.len().cast(pl.Int64))
    share = divide_columns(pl.col("counted").cast(pl.Int128) * pl.col("len"), pl.col("of").cast(pl.Int128))
    taken = each.with_columns(share=share).group_by(at).agg(pl.col("share").sum())
    own = days.join(shared, on=[*at, "day"], how="anti").group_by(at).agg(days=pl.col("day").sort())
    found = own.join(taken, on=at, how="left").join(long.select("row", "tokens"), on="row").sort(at)
    left = pl.max_horizontal(pl.col("tokens") - pl.col("share").fill_null(0), 0).cast(pl.Int64)
    return found.with_columns(tokens=left).select(done.columns)
