"""Identity: how much of the volume is mapped, and what models have to do with each other.

*Reads* the input tables, the registry, a determination, and links. *Writes* rows for the administrator. *Never* maps: a
price or a volume counts for a constituent by its row in the registry alone, and a link says only what is worth a look.

A link of kind *successor* leads from a constituent to the one that is sold in its place; *alias* and *snapshot* lead from
another name, or from a dated version, to the constituent. An alias is no constituent itself, so that nothing counts twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import polars as pl

from .determination import Determination
from .errors import InputDataError
from .exact import NANO, WIDE, divide_columns, money
from .inputs import Inputs


def mapped_volume(inputs: Inputs, *, known_at: datetime | None = None) -> pl.DataFrame:
    """Return how much of the volume of each source and period belongs to a constituent of the registry.

    Parameters
    ----------
    inputs : Inputs
        The input tables.
    known_at : datetime, optional
        Only what was known then; without it everything.

    Returns
    -------
    DataFrame
        ``source, period_start, period_end, tokens, mapped, share`` (of one, nine decimals; null of no tokens),
        ``spellings`` (number of those that are not mapped) and ``largest`` (provider and model of the unmapped one with
        most tokens), in order of source and period. All components and classes of service together, each figure as last
        restated.
    """
    rows = inputs.usage if known_at is None else inputs.usage.filter(pl.col("known_at") <= known_at)
    last = (pl.col("series") != pl.col("series").shift(-1)).fill_null(True)
    period = ["source", "period_start", "period_end"]
    mapped, amount = pl.col("place").is_not_null(), pl.col("tokens").cast(pl.Int128)
    found = rows.filter(last).group_by(*period, "provider", "model", mapped.alias("known")).agg(amount.sum())
    ranked = found.sort(*period, "tokens", "provider", "model", descending=[False] * 3 + [True, False, False])
    name = pl.concat_str("provider", "model", separator=" ").filter(~pl.col("known"))
    sums = ranked.group_by(period, maintain_order=True).agg(
        pl.col("tokens").sum(),
        mapped=pl.col("tokens").filter("known").sum(),
        spellings=name.n_unique().cast(pl.Int64),
        largest=name.first(),
    )
    share = divide_columns(pl.col("mapped") * NANO, pl.when(pl.col("tokens") > 0).then("tokens"))
    figures = (pl.col("tokens").cast(WIDE), pl.col("mapped").cast(WIDE), money("share"))
    return sums.with_columns(share=share.cast(pl.Int64)).select(*period, *figures, "spellings", "largest")


def checked_links(links: pl.DataFrame, registry: pl.DataFrame, *, where: str) -> pl.DataFrame:
    """Return `links` if they agree with each other and with the registry.

    Raises
    ------
    InputDataError
        Naming the first link that leads to an unknown constituent, from an unknown one to its successor, in a circle, or
        twice since the same day; or an alias that is a constituent itself, whose volume would count for both.
    """
    known = frozenset(registry["constituent"].unique())
    seen: set[tuple[str, str, date]] = set()
    for row in links.iter_rows(named=True):
        key = (row["from_model"], row["kind"], row["since"])
        why = _contradiction(row, known) or ("stands twice" if key in seen else "")
        seen.add(key)
        if why:
            raise _wrong(f"{row['kind']} {row['from_model']} -> {row['to_constituent']}: {why}", where=where)
    circle = _circle(links.select("from_model", "to_constituent").iter_rows())
    if circle:
        raise _wrong(f"{' -> '.join(circle)} is a circle", where=where)
    return links


def _contradiction(row: dict[str, Any], known: frozenset[str]) -> str:
    if row["to_constituent"] not in known:
        return f"the registry knows no {row['to_constituent']}"
    if row["kind"] == "successor" and row["from_model"] not in known:
        return f"the registry knows no {row['from_model']}"
    if row["kind"] == "alias" and row["from_model"] in known:
        return f"{row['from_model']} is a constituent itself"
    return ""


def _circle(edges: Iterable[tuple[str, str]]) -> list[str]:
    """Return the names of a circle, the first one again at its end; empty if there is none."""
    targets: dict[str, list[str]] = {}
    for start, end in edges:
        targets.setdefault(start, []).append(end)
    done: set[str] = set()
    for start in sorted(targets):
        path, waiting = [start], [iter(targets[start])]
        while path:
            step = next(waiting[-1], None)
            if step is None:
                done.add(path.pop())
                waiting.pop()
            elif step in path:
                return [*path[path.index(step) :], step]
            elif step not in done:
                path.append(step)
                waiting.append(iter(targets.get(step, ())))
    return []


def _wrong(found: str, *, where: str) -> InputDataError:
    expected = "links between constituents of the registry, without circles"
    return InputDataError(found, where=where, expected=expected, remedy="correct the links or the registry")


def other_names(links: pl.DataFrame) -> dict[str, str]:
    """Return what each alias and snapshot is, by the last link of it: ``alias of openai/gpt-4o``.

    The names are meant letter by letter, as ``model`` or as ``provider/model`` of a seller.
    """
    rows = links.filter(pl.col("kind") != "successor").sort("since", "kind", "to_constituent")
    return {
        name: f"{kind} of {of}" for name, kind, of in rows.select("from_model", "kind", "to_constituent").iter_rows()
    }


def successions(determination: Determination, day: date, links: pl.DataFrame) -> pl.DataFrame:
    """Return the constituents whose price was withdrawn and whose successor has volume: the administrator should know.

    Parameters
    ----------
    determination : Determination
        One that holds the day.
    day : date
        The fixing date.
    links : DataFrame
        The LINKS in use.

    Returns
    -------
    DataFrame
        ``constituent, successor, since, weight`` (of the constituent; null: not a member), ``used_price``, ``tokens`` and
        ``successor_tokens`` in the window, ``successor_price``, ``reference``, most tokens of the successor first.
    """
    observed = determination.observations_on(day).filter(pl.col("excluded_by") == "withdrawn")
    rows = determination.constituents_on(day)
    gone = rows.filter(pl.col("price").is_null()).join(observed, on="constituent", how="semi")
    theirs = rows.filter(pl.col("tokens") > 0).select(
        successor="constituent", successor_tokens="tokens", successor_price="used_price"
    )
    held = links.filter((pl.col("kind") == "successor") & (pl.col("since") <= day))
    pairs = held.select("since", "reference", constituent="from_model", successor="to_constituent")
    found = gone.select("constituent", "weight", "used_price", "tokens").join(pairs, on="constituent")
    columns = ("constituent", "successor", "since", "weight", "used_price", "tokens", "successor_tokens")
    return (
        found.join(theirs, on="successor")
        .select(*columns, "successor_price", "reference")
        .sort("successor_tokens", "constituent", "successor", descending=[True, False, False])
    )
