"""The guard: prices that look like a mistake are held back until they are confirmed, or noted.

*Reads* the input tables, the guards of a methodology and the judgments on record. *Writes* findings, and the spells over
which a row is held. *Never* corrects a price, and never says of a moment what could not be known at it.

A change is compared with the last price of its quote that is **believed**: one that no guard held, or that was released
while it stood. So a price that is taken back is no change, and a mistake that was never confirmed is no measure for what
follows. What confirms a price does not depend on what is held: there is no order in which guards must be asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final

import polars as pl

from .changes import Changes, last_of, ratio
from .errors import DeterminationError
from .exact import NANO, divide_columns, money, rescale
from .inputs import SELLER, Inputs
from .looks import darkened
from .methodology import Methodology
from .rules.guards import Guard, Release
from .selection import Grid, select
from .spells import split, tile
from .tables import EVER, FINDINGS, HOLDS, NEVER, UTC, instant
from .volumes import select_volumes

_TO_NANO: Final = 10**6
_NANO_MAX: Final = 10**18
_CONFIRMED_BY: Final = {"second_source": ("second_source", "confirmed"), "second_day": ("second_day", "confirmed")}
_CONCERNS: Final = ("source", "provider", "model", "component", "price", "valid_from")


def guard(
    inputs: Inputs,
    methodology: Methodology,
    *,
    known_at: datetime | None,
    until: datetime,
    sellers: pl.Series | None = None,
) -> pl.DataFrame:
    """Return the FINDINGS of the guards of a methodology, in canonical order.

    Parameters
    ----------
    inputs : Inputs
        The input tables, in any row order, with the judgments on record.
    methodology : Methodology
        Its guards and release; without guards there are no findings but judgments that hold.
    known_at : datetime or None
        None: each finding rests on what was known at its own moment. A moment: on everything known then.
    until : datetime
        The last moment that is asked about, such as the cut-off of a fixing date. Findings of an earlier moment are these
        with what happened later taken away.

    sellers : Series, optional
        Whose quotes are looked at and compared: ``seller`` of `Inputs.quotes`. Without it all.

    Returns
    -------
    DataFrame
        FINDINGS, one row a change and guard (or a gap in the looks at a source and guard).
    """
    changes = Changes(inputs, known_at, until, sellers)
    judged = _judged(changes, methodology.judgment.allowed)
    found = [_stale(changes, methodology.guards)]
    guards = [g for g in methodology.guards if not g.of_source]
    if guards or len(judged):
        parts = _believing(changes, guards, judged, methodology)
        facts, flags = pl.concat([f for f, _ in parts]).sort("k"), pl.concat([f for _, f in parts])
        noted = _flagged(facts, [g for g in guards if not g.holds])
        found += [_findings(inputs, facts, flags), _findings(inputs, facts, noted)]
    return pl.concat(found).sort(*_ORDER, nulls_last=True)


_ORDER: Final = ("held_from", "source", "row", "severity", "reason", "cause")


def _believing(
    changes: Changes, guards: Sequence[Guard], judged: pl.DataFrame, methodology: Methodology
) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
    """Return the facts with ``before`` and ``move``, and the flags of the guards that hold, with their release, in parts.

    Whether a price is believed depends on the believed prices before it alone. All are believed at first; each round
    settles at least one more price of a quote, and only quotes with a price that is not believed go on.
    """
    currencies = {c for g in guards for c in g.currencies}
    wanted = {name for g in guards for part in (g.applies, g.cause, g.since) for name in part.meta.root_names()}
    part = changes.with_facts(wanted, currencies=currencies, rates=methodology.inputs.rates)
    holding = [g for g in guards if g.holds]
    settled: list[tuple[pl.DataFrame, pl.DataFrame]] = []
    doubted = part["k"].clear()
    while True:
        facts = _compared(part, doubted)
        flags = _released(changes, facts, _flagged(facts, holding), judged, methodology.release)
        unreleased = flags["k"].filter(flags["released_at"].is_null()).unique().sort()
        if unreleased.equals(doubted):
            break
        doubted = unreleased
        # what is believed of the other quotes stays as it is
        open_ = pl.col("quote").is_in(facts.filter(pl.col("k").is_in(doubted.implode()))["quote"].unique().implode())
        rest = facts.filter(~open_)
        settled.append((rest, flags.filter(pl.col("k").is_in(rest["k"].implode()))))
        part = part.filter(open_)
    return [*settled, (facts, flags)]


def _compared(facts: pl.DataFrame, doubted: pl.Series) -> pl.DataFrame:
    """Append ``before``, the price of the quote that was believed last and is of the same currency, and ``move``."""
    believed = pl.col("price").is_not_null() & ~pl.col("k").is_in(doubted.implode())
    last = pl.lit(facts.select(last_of(believed, same="quote").shift(1)).to_series())
    same = [pl.col(c).gather(last) == pl.col(c) for c in ("quote", "currency")]
    found = facts.with_columns(before=pl.when(pl.all_horizontal(same)).then(pl.col("price").gather(last)))
    return found.with_columns(move=ratio(pl.col("price"), pl.col("before")))


def _flagged(facts: pl.DataFrame, guards: Sequence[Guard]) -> pl.DataFrame:
    """Return ``k, reason, cause, held_until, since`` of every change and guard that applies to it."""
    found = [_NOT_FLAGGED]
    applies = facts.select(g.applies.fill_null(False).alias(f"{n}") for n, g in enumerate(guards))
    for n, g in enumerate(guards):
        there = applies[f"{n}"]
        if there.any():
            words = {"reason": pl.lit(g.reason), "cause": g.cause, "held_until": pl.lit(g.held_until)}
            found.append(facts.filter(there).select("k", **words, since=g.since))
    return pl.concat(found)


_NOT_FLAGGED: Final = pl.DataFrame(
    schema={"k": pl.Int64, "reason": pl.String, "cause": pl.String, "held_until": pl.String, "since": UTC}
)


def _released(
    changes: Changes, facts: pl.DataFrame, flags: pl.DataFrame, judged: pl.DataFrame, release: Release
) -> pl.DataFrame:
    """Return the flags, and those of judgments that hold, with ``released_at`` and ``released_by``."""
    if len(judged):
        held = judged.filter((pl.col("decision") == "hold") & pl.col("k").is_in(facts["k"].implode()))
        held = held.with_columns(reason=pl.lit("judgment"), held_until=pl.lit("judgment"))
        flags = pl.concat([flags, held.select(flags.columns)])
    asked = facts.filter(pl.col("k").is_in(flags["k"].implode()))
    near = rescale(release.tolerance, scale=9)
    confirmed = changes.confirmed(asked, sources=release.confirming_sources, tolerance=near, days=release.later_days)
    flags = flags.join(confirmed, on="k", how="left")
    return _earliest(flags.hstack([_decided(flags, judged)]))


def _decided(flags: pl.DataFrame, judged: pl.DataFrame) -> pl.Series:
    """Return ``judgment``, when somebody first decided to release each flag; null: nobody did."""
    if judged.is_empty():
        return pl.Series("judgment", [None] * len(flags), dtype=UTC)
    flags = flags.with_columns(flag=pl.int_range(pl.len()))
    decided = judged.filter(pl.col("decision") == "release").select("k", decided="since")
    after = flags.select("k", "since", "reason", "flag").join(decided, on="k")
    after = after.filter((pl.col("reason") != "judgment") | (pl.col("decided") > pl.col("since")))
    judgment = after.group_by("flag").agg(judgment=pl.col("decided").min())
    return flags.join(judgment, on="flag", how="left", maintain_order="left")["judgment"]


def _earliest(flags: pl.DataFrame) -> pl.DataFrame:
    """Append the first moment at which one of the confirmations that count for the guard came, and which."""
    open_ = pl.col("end")
    moments = {
        name: pl.when(pl.col("held_until").is_in(list(_CONFIRMED_BY.get(name, ()))) | (name == "judgment")).then(
            pl.max_horizontal(pl.when(pl.col(name).is_not_null()).then("since"), name)
        )
        for name in ("second_source", "second_day", "judgment")
    }
    flags = flags.with_columns(**moments)
    first = pl.min_horizontal(*moments)
    still = first.is_not_null() & (open_.is_null() | (first < open_))
    by = pl.coalesce(pl.when(pl.col(name) == first).then(pl.lit(name)) for name in moments)
    return flags.with_columns(released_at=pl.when(still).then(first), released_by=pl.when(still).then(by))


def _judged(changes: Changes, allowed: Sequence[str]) -> pl.DataFrame:
    """Return ``k, decision, since, cause`` of the allowed judgments that concern a change, from when they count."""
    judgments = changes.inputs.judgments.filter(pl.col("decision").is_in(list(allowed)))
    since = pl.col("decided_at") if changes.known_at else pl.max_horizontal("decided_at", "known_at")
    if judgments.is_empty():
        return _NOT_JUDGED
    known = judgments.filter((pl.col("known_at") <= instant(changes.last)) & (since <= instant(changes.until)))
    known = known.with_columns(cause=pl.format("{} ({}, {})", "reason", "decided_by", "approved_by"))
    # a judgment of a row counts from when it can be seen: it may have been announced, and judged, before
    quotes = changes.inputs.quotes.select(
        "row", *_CONCERNS, said=changes.inputs.amounts, enters=changes.enters(pl.col("valid_from"))
    )
    rows = quotes.join(known.select(*_CONCERNS, "decision", "cause", since=since), on=_CONCERNS)
    rows = rows.with_columns(pl.col("row").cast(pl.Int64)).sort("row")
    spans = changes.bare.select("k", "begin", "end", "last_row", stood="price", first="row")
    at = rows.join_asof(spans, left_on="row", right_on="first")
    # a row that was replaced before it was in force may lie between two that say another price
    at = at.filter(pl.col("said") == pl.col("stood"))
    inside = (pl.col("row") <= pl.col("last_row")) & (pl.col("end").is_null() | (pl.col("since") < pl.col("end")))
    found = at.filter(inside).select("k", "decision", "cause", since=pl.max_horizontal("since", "begin", "enters"))
    return found.unique(maintain_order=True)


_NOT_JUDGED: Final = pl.DataFrame(schema={"k": pl.Int64, "decision": pl.String, "cause": pl.String, "since": UTC})


def unmatched(inputs: Inputs) -> pl.DataFrame:
    """Return the judgments that concern no price there is: they are likely mistyped, and change nothing."""
    return inputs.judgments.join(inputs.quotes, on=_CONCERNS, how="anti", maintain_order="left")


def _findings(inputs: Inputs, facts: pl.DataFrame, flags: pl.DataFrame) -> pl.DataFrame:
    """Return FINDINGS of the flags."""
    if flags.is_empty():
        return FINDINGS.empty()
    kept = flags.select(c for c in (*_FLAG, "released_at", "released_by") if c in flags.columns)
    found = kept.join(facts.drop("since", strict=False), on="k")
    found = found.hstack(inputs.quotes.select(c for c in _QUOTED if c not in found.columns)[found["row"]])
    known = pl.coalesce("before", "others")
    amounts = {c: divide_columns(pl.col(c), pl.lit(_TO_NANO, dtype=pl.Int128)) for c in ("price", "before", "others")}
    amounts["ratio"] = pl.when(known > 0).then(divide_columns(pl.col("price") * NANO, known))
    bounded = found.with_columns(
        pl.when(a > _NANO_MAX).then(_NANO_MAX).otherwise(a).cast(pl.Int64).alias(n) for n, a in amounts.items()
    )
    public = bounded.with_columns(
        *(money(n) for n in amounts),
        severity=pl.when(pl.col("held_until") == "not_held").then(pl.lit("note")).otherwise(pl.lit("hold")),
        held_from="since",
        ended_at="end",
    )
    return FINDINGS.conform(public)


_QUOTED: Final = ("provider", "model", "service_tier", "region", "context_from", "capture", "locator")
_FLAG: Final = ("k", "reason", "cause", "held_until", "since")


def _stale(changes: Changes, guards: Sequence[Guard]) -> pl.DataFrame:
    """Return FINDINGS of the guards that look at sources."""
    found = [FINDINGS.empty()]
    for g in guards:
        if g.of_source:
            words = {
                "reason": pl.lit(g.reason),
                "cause": g.cause,
                "severity": pl.lit("note"),
                "held_until": pl.lit("not_held"),
            }
            late = changes.looks.filter(g.applies).select("source", **words, held_from=g.since, ended_at="end")
            found.append(FINDINGS.conform(late))
    return pl.concat(found)


def holds(findings: pl.DataFrame) -> pl.DataFrame:
    """Return HOLDS of FINDINGS: each row of each held price with the spells over which it is held, disjoint and in order.

    A price released at the moment it was found is held over no spell. Where several guards hold a row at once, the reason
    is that of the first.
    """
    until = pl.min_horizontal("released_at", "ended_at")
    held = findings.filter((pl.col("severity") == "hold") & (until.is_null() | (pl.col("held_from") < until)))
    spells = held.select("held_from", "reason", until=until, row=pl.int_ranges("row", pl.col("last_row") + 1))
    ordered = spells.explode("row").sort("row", "held_from", "reason")
    last = pl.col("until").fill_null(NEVER)
    begins = (pl.col("held_from") > last.cum_max().shift(1)).over("row").fill_null(True)
    runs = ordered.with_columns(run=begins.cum_sum(), last=last).group_by("row", "run", maintain_order=True)
    merged = runs.agg(pl.col("held_from", "reason").first(), pl.col("last").max())
    return HOLDS.conform(merged.with_columns(released_at=pl.when(pl.col("last") < NEVER).then("last")))


def held_on(inputs: Inputs, methodology: Methodology, grid: Grid) -> pl.DataFrame:
    """Return the HOLDS of the guards of a methodology, as known at the moment of a grid, for every date there is.

    What is held at a moment hangs on nothing that entered later: a price is released while it stands, so before another
    one of its quote is compared with it. So they are made once, and a grid takes what lies up to its last cut-off.
    """
    # a spell says the reason, and not the cause
    guards = tuple(replace(g, cause=pl.lit("")) for g in methodology.guards if g.holds)
    if inputs.judgments.is_empty() and not guards:
        return HOLDS.empty()
    allowed = methodology.inputs.rates, methodology.inputs.sources
    key = ("holds", grid.known_at, guards, methodology.release, methodology.judgment, allowed)
    return inputs.once(key, lambda: _held(inputs, methodology, guards, known_at=grid.known_at))


def _held(
    inputs: Inputs, methodology: Methodology, guards: Sequence[Guard], *, known_at: datetime | None
) -> pl.DataFrame:
    changes = Changes(inputs, known_at, EVER, _allowed(inputs, methodology))
    judged = _judged(changes, methodology.judgment.allowed)
    flags = pl.concat([flags for _, flags in _believing(changes, guards, judged, methodology)])
    found = flags.join(changes.bare.select("k", "row", "last_row", ended_at="end"), on="k")
    return holds(found.with_columns(severity=pl.lit("hold"), held_from="since"))


def _allowed(inputs: Inputs, methodology: Methodology) -> pl.Series:
    """Return the sellers that the registry maps, at the sources that the index allows: a record holds no others."""
    return inputs.spelled.filter(pl.col("source").is_in(list(methodology.inputs.sources)))["seller"].unique()


def hold(rows: pl.DataFrame, held: pl.DataFrame, grid: Grid) -> pl.DataFrame:
    """Return the spells `rows` of `tokenindex.selection.select`, cut where a row is held or released, with ``held_by``.

    Parameters
    ----------
    rows : DataFrame
        Spells with ``row, i0, i1``.
    held : DataFrame
        HOLDS, from `holds`.
    grid : Grid
        The grid of the spells; the findings must be made as known at the same moment, until its last cut-off or longer.

    Returns
    -------
    DataFrame
        The rows with the reason code while they are held; null where they are used.
    """
    if held.is_empty():
        return rows.with_columns(held_by=pl.lit(None, dtype=pl.String))
    spells = held.select(
        pl.col("row").cast(rows.schema["row"]),
        i0=grid.from_moment(pl.col("held_from")),
        i1=grid.from_moment(pl.col("released_at")),
        held_by="reason",
    )
    tiled = tile(spells, on=["row"], start=0, end=grid.size)
    spans = rows.select("row", "i0", "i1", at=pl.int_range(pl.len()))
    cut = split(spans.lazy(), tiled.lazy(), on=["row"]).collect(engine="in-memory")
    return rows[cut["at"]].with_columns(cut.select("i0", "i1", "held_by").get_columns())


@dataclass(frozen=True)
class InputReport:
    """What the guards say of the inputs of one fixing date, before it is made.

    Parameters
    ----------
    cut_off : datetime
        The moment at which the inputs are looked at.
    held, notes : DataFrame
        FINDINGS in force at the cut-off, with ``tokens``, those of their constituent in the window, and ``concerns``:
        whether the price can enter the index; worst first.
    unread : DataFrame
        The prices in force that the last look at their source could not read, as `unread_prices` gives them.
    sources : DataFrame
        ``source, seen_at, days`` since the last look at each allowed source.
    tokens, unmapped : int
        All tokens known in the window of the date, and those that the registry maps to no constituent.
    """

    cut_off: datetime
    held: pl.DataFrame
    notes: pl.DataFrame
    unread: pl.DataFrame
    sources: pl.DataFrame
    tokens: int
    unmapped: int


def input_report(
    inputs: Inputs,
    methodology: Methodology,
    *,
    day: date,
    known_at: datetime | None,
) -> InputReport:
    """Return what the guards say of the inputs of the fixing of `day`, of the sources that the index allows.

    Raises
    ------
    DeterminationError
        If `day` is no fixing date, or its cut-off lies after `known_at`.
    """
    cut_off = methodology.calendar.cut_off_at(day)
    if known_at and cut_off > known_at:
        raise DeterminationError(
            f"the cut-off of {day} lies after {known_at:%Y-%m-%d %H:%M}Z", expected="an earlier date"
        )
    found = guard(inputs, methodology, known_at=known_at, until=cut_off, sellers=_allowed(inputs, methodology))
    allowed = list(methodology.inputs.sources)
    found = found.filter(
        pl.col("released_at").is_null() & pl.col("ended_at").is_null() & pl.col("source").is_in(allowed)
    )
    grid = Grid.of(methodology.calendar, [day], known_at=known_at)
    volumes = _known_tokens(inputs, methodology, grid)
    used = volumes.filter("counted").group_by("constituent").agg(pl.col("tokens").cast(pl.Int128).sum())
    universe = inputs.universe(methodology)["constituent"]
    enters = pl.col("constituent").is_in(universe.implode()) & pl.col("component").is_in(
        methodology.workload.components
    )
    found = found.join(used, on="constituent", how="left", maintain_order="left")
    found = found.with_columns(pl.col("tokens").fill_null(0), concerns=enters.fill_null(False))
    worst = found.sort("concerns", "tokens", descending=True, maintain_order=True)
    looks = Changes(inputs, known_at, cut_off).looks.group_by("source").agg(seen_at=pl.col("begin").max())
    sources = pl.DataFrame({"source": allowed}).join(looks, on="source", how="left", maintain_order="left")
    return InputReport(
        cut_off=cut_off,
        held=worst.filter(pl.col("severity") == "hold"),
        notes=worst.filter(pl.col("severity") == "note"),
        unread=unread_prices(inputs, methodology, grid),
        sources=sources.with_columns(days=(pl.lit(cut_off) - pl.col("seen_at")).dt.total_days()),
        tokens=int(volumes["tokens"].cast(pl.Int128).sum() or 0),
        unmapped=int(volumes.filter(pl.col("constituent").is_null())["tokens"].cast(pl.Int128).sum() or 0),
    )


def unread_prices(inputs: Inputs, methodology: Methodology, grid: Grid) -> pl.DataFrame:
    """Return the prices in force on a date that the index may use and the last look at their source could not read.

    Parameters
    ----------
    inputs : Inputs
        The input tables.
    methodology : Methodology
        Names the sources, the universe and the components.
    grid : Grid
        Of the one date.

    Returns
    -------
    DataFrame
        ``constituent, component, source, provider, model, service_tier, price, currency, unit``, when the price was
        `read_at` last and not `seen_at` last, the ``reason`` and ``locator`` of the reject, and whether it `expired`: no
        look within the allowed days could read it. Nothing else keeps it from being in force.
    """
    changes = Changes(inputs, grid.known_at, grid.end)
    dark = darkened(changes.looked, inputs.spots.blind)
    rows, _ = select(inputs, methodology.inputs, methodology.measures.currency, grid)
    universe = inputs.universe(methodology)["constituent"]
    wanted = pl.col("constituent").is_in(universe.implode()) & pl.col("source_tier").is_not_null()
    wanted &= pl.col("component").is_in(methodology.workload.components)
    rows = rows.filter(wanted & ~pl.col("withdrawn")).select("row", "constituent", expired="unread")
    told = inputs.quotes.select(
        "row", *SELLER, "component", "service_tier", "price", "currency", "unit", "spot", "capture", "known_at"
    )
    found = rows.join(told, on="row").join(dark, on=["source", "spot"], suffix="_look")
    # what the look did show it has read, whatever else it could not
    other = (pl.col("capture") != pl.col("capture_look")) | (pl.col("known_at") != pl.col("known_at_look"))
    found = found.filter(other).with_columns(read_at=pl.max_horizontal("read_at", "known_at"))
    return found.select(
        "constituent", "component", *SELLER, "service_tier", "price", "currency", "unit",
        "read_at", "seen_at", "reason", "locator", "expired",
    ).sort("constituent", "component", *SELLER, "service_tier", "price")  # fmt: skip


def _known_tokens(inputs: Inputs, methodology: Methodology, grid: Grid) -> pl.DataFrame:
    """Return ``constituent`` (null where unmapped), ``tokens`` and ``counted`` of the volumes in the window of one date."""
    names = inputs.mapping.select("place", "constituent").unique()
    volumes = select_volumes(inputs, methodology.volumes, grid).join(names, on="place", how="left")
    return volumes.select("constituent", "tokens", "counted")
