"""Paperwork: what a regulator, an auditor or a user is told about an index, from the document that defines it.

*Reads* a methodology, and counts of what is on record. *Writes* Markdown. *Never* says for the administrator what only the
administrator can say: such a field stays open, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import polars as pl

from .documents import ORDER
from .errors import InputDataError
from .impact import FIGURES, Impact
from .methodology import Methodology
from .provisions import ITEMS, KINDS, PRINCIPLES
from .sentences import TITLES, filled, section_text

OPEN: Final = "To be stated by the administrator: "
_SHOWN: Final = 31
"""Rows of a table that a text shows; all of them are in the frames."""


def methodology_text(methodology: Methodology) -> str:
    """Return a methodology for people, in Markdown, section by section in the order of the road.

    Every number in it stands in the document, and every parameter of the document in it.
    """
    parts = [
        f"# {methodology.identity.name}: methodology",
        f"Generated from the document with the SHA-256 `{methodology.sha256}`, which defines the index. Every number below "
        "is taken from it.",
    ]
    for section in ORDER:
        parts += [f"## {TITLES[section]} (`{section}`)", section_text(methodology, section)]
    return "\n\n".join(parts)


def benchmark_statement(methodology: Methodology) -> str:
    """Return a draft of the benchmark statement of an index, in Markdown.

    References: Regulation (EU) 2016/1011, Article 27 (paragraph 2a by Regulation (EU) 2019/2089); Commission Delegated
    Regulation (EU) 2018/1643.
    """
    identity = methodology.identity
    parts = [
        f"# {identity.name}: benchmark statement",
        f"Items of Article 27 of Regulation (EU) 2016/1011 and of Delegated Regulation (EU) 2018/1643, filled from version "
        f"{identity.version} of the document `{identity.index}`, in force from {identity.effective_from}, SHA-256 "
        f"`{methodology.sha256}`. Administrator: {identity.administrator}.",
        f"{OPEN}whether the Regulation applies to this benchmark (its scope was amended by Regulation (EU) 2025/914).",
    ]
    quoted: dict[str, str] = {}
    for item in ITEMS:
        parts += [f"## {item.provision}", f"*{item.asks}.*", *(filled(t, methodology.tables) for t in item.says)]
        for name in item.quotes:
            there = f"See {quoted[name]}." if name in quoted else section_text(methodology, name)
            parts += [f"**{TITLES[name]}**", there]
            quoted.setdefault(name, item.provision)
        parts += [f"{OPEN}{field}." for field in item.open]
    return "\n\n".join(parts)


def statement_rows(methodology: Methodology) -> list[dict[str, Any]]:
    """Return the items of the statement: ``provision, asks, says, sections`` (of the document) and ``open``."""
    return [
        {
            "provision": item.provision,
            "asks": item.asks,
            "says": [filled(template, methodology.tables) for template in item.says],
            "sections": list(item.quotes),
            "open": list(item.open),
        }
        for item in ITEMS
    ]


def principles(methodology: Methodology, *, counts: Mapping[str, int] | None = None) -> str:
    """Return the table of the principles of IOSCO, in Markdown: what is evidenced, and what is left to the administrator.

    Parameters
    ----------
    counts : mapping of str to int, optional
        Entries of the ledger for the index, by kind; a kind that is not named has none. Without it none are shown.

    Raises
    ------
    InputDataError
        If a kind is unknown.

    References: Principles for Financial Benchmarks, Final Report FR07/13, IOSCO, July 2013.
    """
    rows = [
        [str(row["principle"]), row["title"], f"{row['evidence']} {_on_record(row['on_record'])}".strip(), row["left"]]
        for row in principle_rows(counts=counts)
    ]
    identity = methodology.identity
    head = (
        "What the software evidences of the Principles for Financial Benchmarks of IOSCO (FR07/13, July 2013) for version "
        f"{identity.version} of the document `{identity.index}`, SHA-256 `{methodology.sha256}`. What is left is to be "
        "stated by the administrator; nothing here is a statement of compliance."
    )
    names = ("principle", "title", "evidence", "left to the administrator")
    return "\n\n".join([f"# {identity.name}: principles for financial benchmarks", head, _table(names, rows)])


def principle_rows(*, counts: Mapping[str, int] | None = None) -> list[dict[str, Any]]:
    """Return the principles: ``principle, title, evidence, left, on_record`` (entries of the ledger by kind)."""
    for kind in counts or {}:
        if kind not in KINDS:
            raise InputDataError(f"there is no kind of entry {kind!r}", expected="one of " + ", ".join(KINDS))
    return [
        {
            "principle": number,
            "title": p.title,
            "evidence": p.evidence,
            "left": p.left,
            "on_record": {kind: counts.get(kind, 0) for kind in p.kinds} if counts is not None else {},
        }
        for number, p in enumerate(PRINCIPLES, start=1)
    ]


def counted(entries: Iterable[Mapping[str, Any]], *, index: str) -> dict[str, int]:
    """Return the entries of a ledger by kind: those of an index, its workloads and components, and those of keys."""
    bases = [(entry["kind"], re.split("[.:]", entry["body"].get("index", index))[0]) for entry in entries]
    return {kind: bases.count((kind, index)) for kind in KINDS}


def _on_record(counts: Mapping[str, int]) -> str:
    return f"On record: {', '.join(f'{kind} {n:,}' for kind, n in counts.items())}." if counts else ""


def impact_text(found: Impact) -> str:
    """Return the impact study of a new version, in Markdown."""
    old, new = found.old.methodology, found.new.methodology
    days = found.dates["fixing_date"]
    known = f"{found.old.known_at:%Y-%m-%d %H:%M}Z" if found.old.known_at else "the cut-off of each date"
    parts = [
        f"# {new.identity.name}: impact of version {new.version}",
        f"Versions {old.version} (`{old.sha256}`) and {new.version} (`{new.sha256}`) of `{new.index}`. Both are applied to "
        f"every fixing date from {days[0]} to {days[-1]}, in force or not, from the same inputs as known at {known}. "
        "Differences are those of the new to the old version; relative ones are rounded half to even to nine decimals.",
        "## What changes in the document",
        _table(("key", "old", "new"), found.keys) if found.keys else "Nothing: both mean the same.",
        "## Figures",
        _summary(found),
        *_differing(found),
        "## Constituents and weights",
        *_moved(found),
        "## Contracts",
        _contracts(found),
    ]
    return "\n\n".join(parts)


def _summary(found: Impact) -> str:
    """Return how many dates differ, and by how much."""
    whole = found.summary
    lines = [f"{whole['differ']} of {whole['dates']} dates differ in status, price or level."]
    rows = [
        [
            name,
            f"{whole[name]['differ']}",
            *(_cell(whole[name][k]) for k in ("largest", "largest_on", "mean", "median")),
        ]
        for name in FIGURES
    ]
    names = ("figure", "dates that differ", "largest difference", "first on", "mean", "median")
    notes = [f"- version {side.methodology.version}: {note}" for side in (found.old, found.new) for note in side.notes]
    lines.append(_table(names, rows))
    return "\n\n".join([*lines, *(["\n".join(notes)] if notes else [])])


def _differing(found: Impact) -> list[str]:
    """Return the dates that differ."""
    rows = found.dates.filter("differs")
    if rows.is_empty():
        return []
    shown = [name for name in rows.columns if name not in ("weight_moved", "differs")]
    return [_frame(rows.select(shown))]


def _moved(found: Impact) -> list[str]:
    whole = found.summary
    named = {way: ", ".join(whole[way]) or "none" for way in ("entering", "leaving")}
    moved = found.constituents.filter(pl.col("largest_move") != 0)
    most = (
        f" At most a share of {_cell(whole['weight_moved'])} of the weight stands elsewhere on a date."
        if len(moved)
        else ""
    )
    lines = [f"Entering: {named['entering']}. Leaving: {named['leaving']}. Weights that move: {len(moved)}.{most}"]
    return [*lines, _frame(moved)] if len(moved) else lines


def _contracts(found: Impact) -> str:
    """Return the contracts whose settlement price differs, of those that were asked about."""
    if found.contracts.is_empty():
        return "None was named."
    touched = found.summary["touched"]
    text = (
        f"The settlement price is the mean of the {found.figure} over the fixing dates, rounded half to even to nine "
        f"decimals. Contracts touched: {', '.join(touched) or 'none'}, of {len(found.contracts)}."
    )
    return f"{text}\n\n{_frame(found.contracts)}"


def _frame(frame: pl.DataFrame) -> str:
    """Return a frame as a table, of its first rows."""
    rows = [[_cell(part) for part in row] for row in frame.head(_SHOWN).rows()]
    more = f"\n\nand {len(frame) - _SHOWN} more" if len(frame) > _SHOWN else ""
    return _table([name.replace("_", " ") for name in frame.columns], rows) + more


def _cell(found: Any) -> str:
    if isinstance(found, bool):
        return "yes" if found else "no"
    return "" if found is None else f"{found:f}" if isinstance(found, Decimal) else str(found)


def _table(names: Iterable[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [[*names]]
    lines += [["---"] * len(lines[0])]
    lines += [[part.replace("|", "\\|").replace("\n", " ") for part in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
