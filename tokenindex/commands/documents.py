"""The papers: what a methodology document says, means and would change.

*Reads* options and documents. *Writes* answers. *Never* changes a document.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..report import columns
from . import Answer, home_of, known_of, progress

if TYPE_CHECKING:
    from ..methodology import Methodology

_KEYS = ("key", "old", "new")


def _documents(options: argparse.Namespace) -> list[Methodology]:
    """Return the documents that the words of the command line name."""
    from ..documents import load
    from ..errors import MethodologyError
    from ..home import Home

    known = (Home.open(options.home) if options.home else Home.sample()).documents()
    found: list[Methodology] = [] if options.documents else known
    for word in options.documents:
        path = Path(word)
        if path.suffix == ".toml":
            if not path.is_file():
                raise MethodologyError("there is no such file", where=word, expected="a TOML document")
            found.append(load(path.read_bytes(), where=word))
            continue
        index, _, version = word.partition("@")
        same = [m for m in known if m.identity.index == index and version in ("", m.version)]
        if not same:
            names = ", ".join(sorted(f"{m.identity.index}@{m.version}" for m in known))
            raise MethodologyError("no such document", where=word, expected=f"a TOML file or one of {names}")
        found.append(max(same, key=lambda m: m.identity.effective_from))
    return found


def check(options: argparse.Namespace) -> Answer:
    found = _documents(options)
    shown = ("index", "version", "in force from", "document", "meaning")
    rows = [[m.index, m.version, str(m.identity.effective_from), m.sha256, m.meaning] for m in found]
    return columns(shown, rows), [dict(zip(shown, row, strict=True)) for row in rows]


def text(options: argparse.Namespace) -> Answer:
    from ..paperwork import methodology_text

    (m,) = _documents(options)
    return methodology_text(m), dict(m.tables)


def statement(options: argparse.Namespace) -> Answer:
    from ..paperwork import benchmark_statement, statement_rows

    (m,) = _documents(options)
    return benchmark_statement(m), statement_rows(m)


def principles(options: argparse.Namespace) -> Answer:
    from ..paperwork import counted, principle_rows, principles

    (m,) = _documents(options)
    entries = home_of(options).ledger().entries if options.home else None
    counts = None if entries is None else counted([e.fields for e in entries], index=m.identity.index)
    return principles(m, counts=counts), principle_rows(counts=counts)


def impact(options: argparse.Namespace) -> Answer:
    from ..impact import Contract, impact
    from ..paperwork import impact_text

    old, new = _documents(options)
    home = home_of(options)
    dates = sorted({day for m in (old, new) for day in m.calendar.between(options.start, options.end)})
    contracts = [Contract(*parts) for parts in options.contracts]
    inputs = home.inputs(progress=progress)
    progress(f"determining {len(dates)} dates by two versions of {new.index}")
    found = impact(old, new, inputs, dates=dates, known_at=known_of(options, home), contracts=contracts)
    progress("")
    frames = {name: getattr(found, name).to_dicts() for name in ("dates", "constituents", "contracts")}
    return impact_text(found), {"keys": _keys(found.keys), "summary": found.summary, **frames}


def diff(options: argparse.Namespace) -> Answer:
    from ..methodology import differences

    old, new = _documents(options)
    found = differences(old, new)
    same = "the documents mean the same" + ("" if old.sha256 == new.sha256 else ", in other words")
    return columns(_KEYS, [list(row) for row in found]) if found else same, _keys(found)


def _keys(found: Sequence[tuple[str, str, str]]) -> list[dict[str, str]]:
    return [dict(zip(_KEYS, row, strict=True)) for row in found]
