"""The answers of the command line as text.

*Reads* determinations and rows. *Writes* lines for people. *Never* calculates a figure.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from .errors import DeterminationError

if TYPE_CHECKING:
    import polars as pl

    from .determination import Determination
    from .guard import InputReport
    from .methodology import Methodology


def fixing_text(found: Determination, fixing: dict[str, Any]) -> str:
    """Return a fixing as lines for people."""
    m = found.methodology
    known = f"as known at {found.known_at:%Y-%m-%d %H:%M}Z" if found.known_at else "as known at the cut-off"
    lines = [f"{m.index} {m.version}  {fixing['fixing_date']}  {m.identity.name}"]
    lines.append(
        f"status      {fixing['status']} (rung {fixing['rung']})"
        + (f": {fixing['reason']}" if fixing["reason"] else "")
    )
    if fixing["price"] is not None:
        decimals = m.publication.price_decimals
        lines.append(f"price       {fixing['price']:.{decimals}f} {fixing['currency']} per million tokens")
    if fixing["level"] is not None:
        lines.append(f"level       {fixing['level']:.{m.publication.level_decimals}f}")
    if fixing["constituents"]:
        lines.append(
            f"from        {fixing['constituents']} of {fixing['members']} constituents of {fixing['vendors']} vendors"
            + (f", {fixing['carried']} with a price carried from before" if fixing["carried"] else "")
        )
        volume = (
            f"; {fixing['volume_coverage']:.1%} of {int(fixing['volume']):,} known tokens" if fixing["volume"] else ""
        )
        lines.append(f"coverage    {fixing['coverage']:.1%} of the weight{volume}")
    if fixing["p25"] is not None:
        spread = " / ".join(f"{fixing[p]:.3f}" for p in ("p01", "p25", "p75", "p99"))
        lines.append(f"percentiles {spread} (1, 25, 75, 99, by volume)")
        tiers = ", ".join(f"tier {t} {fixing[f'weight_tier_{t}']:.1%}" for t in (1, 2, 3))
        lines.append(f"weight from {tiers}")
    lines.append(f"cut-off     {m.calendar.cut_off_at(fixing['fixing_date']):%Y-%m-%d %H:%M}Z, {known}")
    return "\n".join(lines)


def short_row(m: Methodology, row: dict[str, Any]) -> list[str]:
    def number(key: str, decimals: int) -> str:
        return "" if row[key] is None else f"{row[key]:.{decimals}f}"

    return [
        str(row["fixing_date"]),
        row["status"],
        number("price", m.publication.price_decimals),
        number("level", m.publication.level_decimals),
        str(row["constituents"]),
        str(row["carried"]),
        number("coverage", 3),
        row["reason"] or "",
    ]


def columns(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned columns under their names; numbers stand right."""
    widths = [
        max(len(names[k]), *(len(row[k]) for row in rows), 1) if rows else len(names[k]) for k in range(len(names))
    ]
    right = [all(not row[k] or row[k][0] in "-0123456789" for row in rows) for k in range(len(names))]
    cells = [
        [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)] for row in (names, *rows)
    ]
    return "\n".join("  ".join(row).rstrip() for row in cells)


def input_text(found: InputReport, m: Methodology) -> str:
    """Return an input report as lines for people: what is held, which sources, what is unmapped, what is noted."""
    import polars as pl

    enters, beside = (found.held.filter(pl.col("concerns") == flag) for flag in (True, False))
    whole = found.tokens or 1  # nothing is known: shares of zero
    concerned = enters.unique("constituent")["tokens"].sum() / whole
    lines = [f"{m.index} {m.version}  input report at the cut-off {found.cut_off:%Y-%m-%d %H:%M}Z"]
    counted, more = (part["row"].n_unique() for part in (enters, beside))
    named = enters["constituent"].n_unique()
    lines.append(
        f"held        {counted} prices of {named} constituents, {concerned:.1%} of the known tokens; {more} more that no"
        " constituent uses"
    )
    late = found.sources.filter(pl.col("days").is_null() | (pl.col("days") > m.inputs.max_days_unseen))
    lines.append(
        f"sources     {len(found.sources)} allowed, {len(late)} not looked at within {m.inputs.max_days_unseen} days"
    )
    lines.append(f"unmapped    {found.unmapped / whole:.1%} of {found.tokens:,} known tokens")
    gone = found.unread["expired"].sum()
    lines.append(
        f"unread      {len(found.unread)} prices in force that the last look at their source could not read"
        + (f", {gone} of them for more than {m.inputs.max_days_unseen} days" if gone else "")
    )
    counts = ", ".join(f"{n} {reason}" for reason, n in reasons(found.notes, "reason"))
    lines.append(f"noted       {counts or 'nothing'}")
    parts = ["\n".join(lines)]
    parts += [_held_text(row, m, whole) for row in enters.iter_rows(named=True)]
    parts += unread_text(found.unread)
    notes = found.notes.filter(pl.col("concerns") & (pl.col("reason") != "frozen"))
    if len(notes):
        parts.append(columns(_NOTED, [_note_row(row) for row in notes.head(12).iter_rows(named=True)]))
    if len(notes) > 12:
        parts[-1] += f"\nand {len(notes) - 12} more"
    seen = [
        [r["source"], f"{r['seen_at']:%Y-%m-%d %H:%M}" if r["seen_at"] else "never", str(r["days"] or 0)]
        for r in found.sources.sort("days", descending=True, maintain_order=True).iter_rows(named=True)
    ]
    return "\n\n".join([*parts, columns(("source", "last looked at", "days ago"), seen)])


_NOTED = ("noted", "constituent", "component", "source", "price", "before", "others", "since")


def _note_row(row: dict[str, Any]) -> list[str]:
    words = [row[key] for key in ("reason", "constituent", "component", "source")]
    amounts = ["" if row[key] is None else f"{row[key]:f}" for key in ("price", "before", "others")]
    return [*words, *amounts, f"{row['held_from']:%Y-%m-%d}"]


def _held_text(row: dict[str, Any], m: Methodology, whole: int) -> str:
    """Return one held price: what it is, why it is held, and what would release it."""
    near = (m.release.tolerance * 100).normalize()
    waits = {
        "second_source": f"{m.release.confirming_sources} other source(s) within {near:f}% of it",
        "second_day": f"{m.release.later_days} later day(s) on which the source is seen with it",
    }
    either = {"confirmed": list(waits.values()), "judgment": []}
    needed = [*either.get(row["held_until"], [waits.get(row["held_until"], "")]), "a judgment"]
    figures = [
        f"{name} {row[key]:f}" for name, key in (("before", "before"), ("others", "others")) if row[key] is not None
    ]
    return "\n".join(
        [
            f"{row['reason']}: {row['constituent']} {row['component']}, {row['tokens'] / whole:.1%} of the known tokens",
            f"  found     {row['price']:f} {row['currency']} per million tokens"
            + (f" ({', '.join(figures)})" if figures else ""),
            f"  at        {row['source']} {row['provider']} {row['model']} {row['service_tier']}, {row['locator']}",
            f"  cause     {row['cause']}",
            f"  held from {row['held_from']:%Y-%m-%d %H:%M}Z until {' or '.join(needed)}",
        ]
    )


def reasons(frame: pl.DataFrame, column: str) -> list[tuple[str, int]]:
    counts = frame.group_by(column).len().sort("len", column, descending=[True, False]).iter_rows()
    return [(reason or "used", n) for reason, n in counts]


def explained(found: Determination, options: argparse.Namespace) -> list[str]:
    import polars as pl

    day = options.date
    observations, constituents = found.observations_on(day), found.constituents_on(day)
    if options.constituent:
        return _observations_of(found, options)
    seen = columns(("observations", "number"), [[r, f"{n}"] for r, n in reasons(observations, "excluded_by")])
    members = constituents.filter(pl.col("quantity").is_not_null()).sort("weight", descending=True)
    shown = ("constituent", "weight", "price in use", "observed for", "tier", "sources", "why not today's")
    rows = [
        [
            r["constituent"],
            f"{r['weight']:.4f}",
            "" if r["used_price"] is None else f"{r['used_price']:.6f}",
            str(r["used_date"] or "-"),
            str(r["source_tier"] or "-"),
            str(r["sources"] or "-"),
            r["outlier_by"] or r["excluded_by"] or "",
        ]
        for r in members.iter_rows(named=True)
    ]
    return [seen, columns(shown, rows), moved_text(found, list(found.dates))[0]]


def moved_text(found: Determination, dates: list[date]) -> tuple[str, Any]:
    from .attribution import contributions

    if len(dates) < 2:
        return "no date before to compare with", None
    try:
        frame = contributions(found, start=dates[0], end=dates[1])
    except DeterminationError as why:
        return f"what moved it since {dates[0]}: {why}", None
    moved = [r for r in frame.iter_rows(named=True) if r["contribution"]]
    rows = [
        [r["constituent"], *(f"{r[k]:.9f}" for k in ("price_effect", "fx_effect", "mix_effect", "contribution"))]
        for r in moved[:12]
    ]
    head = f"what moved it since {dates[0]}" + ("" if moved else ": nothing")
    more = f"\nand {len(moved) - 12} more" if len(moved) > 12 else ""
    body = (
        "\n" + columns(("constituent", "by price", "by rates", "by mix", "with entry and exit"), rows) + more
        if moved
        else ""
    )
    return head + body, moved


def unread_text(unread: pl.DataFrame, *, shown: int = 12) -> list[str]:
    """Return one paragraph on the prices that the last look at their source could not read; empty without any."""
    names = ("unread", "constituent", "component", "source", "price", "last read", "not read", "at")
    rows = [
        [
            r["reason"] + (", expired" if r["expired"] else ""),
            *(r[key] for key in ("constituent", "component", "source")),
            f"{r['price']:f}".rstrip("0").rstrip(".") + f" {r['currency']} {r['unit']}",
            *(f"{r[key]:%Y-%m-%d}" for key in ("read_at", "seen_at")),
            r["locator"],
        ]
        for r in unread.head(shown).iter_rows(named=True)
    ]
    more = f"\nand {len(unread) - shown} more" if len(unread) > shown else ""
    return [columns(names, rows) + more] if rows else []


def succession_text(found: pl.DataFrame) -> list[str]:
    """Return one paragraph on the constituents that were withdrawn and whose successor has volume; empty without any."""
    lines = [
        f"{r['constituent']} was withdrawn"
        + (f", weight {r['weight']:.4f}" if r["weight"] else "")
        + f"; its successor {r['successor']} since {r['since']} has {r['successor_tokens']:,} tokens in the window"
        for r in found.iter_rows(named=True)
    ]
    return ["\n".join(lines)] if lines else []


def _observations_of(found: Determination, options: argparse.Namespace) -> list[str]:
    import polars as pl

    observations = found.observations_on(options.date).filter(pl.col("constituent") == options.constituent)
    if observations.is_empty():
        raise DeterminationError(
            f"no observation of {options.constituent!r}", expected="vendor/model as in the registry"
        )
    shown = (
        "source",
        "provider",
        "model",
        "component",
        "service_tier",
        "price",
        "unit",
        "standard_price",
        "excluded_by",
        "locator",
    )
    rows = [
        [f"{r[k]:f}" if k == "standard_price" and r[k] is not None else str(r[k] or "") for k in shown]
        for r in observations.iter_rows(named=True)
    ]
    elementary = found.elementary_on(options.date).filter(pl.col("constituent") == options.constituent)
    facts = ("component", "parts", "price", "imputed_from", "source_tier", "quotes", "agreeing", "excluded_by")
    return [
        columns(shown, rows),
        columns(facts, [["" if r[k] is None else str(r[k]) for k in facts] for r in elementary.iter_rows(named=True)]),
    ]
