"""The data desk: what brings files into a home and says what is in them.

*Reads* options and a home. *Writes* captures, and answers. *Never* calculates a figure.
"""

from __future__ import annotations

import argparse
import inspect
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputDataError, LedgerError, TokenIndexError
from ..report import columns, reasons
from . import Answer, complain, facts_of, home_of, of_disk, own_home, progress, talk

if TYPE_CHECKING:
    from ..adapters import Parsed
    from ..home import Home
    from ..selection import Inputs
    from ..sources import Source

PACKAGE = "package:genai-prices"


def init(options: argparse.Namespace) -> Answer:
    from ..home import Home

    home = Home.init(options.folder, store=options.store)
    return f"made {home.files} with {len(home.registry)} rows of registry", {"home": str(home.files)}


def ingest(options: argparse.Namespace) -> Answer:
    home = own_home(options)
    if str(options.file) != PACKAGE:
        return _ingested(options, home, options.file)
    from ..adapters.genai_prices import from_package

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "genai-prices.json"
        file.write_bytes(from_package())
        return _ingested(options, home, file)


def _ingested(options: argparse.Namespace, home: Home, file: Path) -> Answer:
    if not file.is_file():
        raise InputDataError("there is no such file", where=str(file), expected="a captured file")
    known_at = options.known_at or options.seen_at
    parsed = home.ingest(
        file,
        adapter_name=options.adapter,
        source=options.source,
        seen_at=options.seen_at,
        known_at=known_at,
        licence=options.licence,
        reference=options.reference,
    )
    return _stored(parsed, known_at)


def _stored(parsed: Parsed | None, known_at: datetime) -> Answer:
    """Return what a file held that went into a home."""
    if parsed is None:
        return "these bytes are stored already; nothing changed", {"stored": False}
    sizes = {table.name: len(frame) for table, frame in parsed.tables().items() if len(frame)}
    reasons = dict(parsed.rejects.group_by("reason").len().sort("reason").iter_rows())
    lines = [f"{n:>9,} {name}" for name, n in sizes.items()]
    lines += [f"{n:>9,} rejected: {reason}" for reason, n in reasons.items()]
    shown = parsed.rejects.head(5).iter_rows(named=True)
    lines += [f"          {r['locator']}: {r['reason']}, found {r['found']!r}" for r in shown]
    for note in _backdated(parsed, known_at):
        talk(f"note: {note}")
    content = {"stored": True, "rows": sizes, "rejects": reasons, "rejected": parsed.rejects.drop("capture").to_dicts()}
    return "\n".join(["stored", *lines]), content


def fetch(options: argparse.Namespace) -> Answer:
    home = own_home(options)
    known = home.sources()
    unknown = [name for name in options.names if name not in known]
    names = list(known) if options.all else list(dict.fromkeys(options.names))
    if unknown or not names:
        found = f"there is no source {unknown[0]!r}" if unknown else "no source is allowed yet"
        expected = "one of " + ", ".join(known) if known else "[sources.NAME]"
        raise InputDataError(found, where=home.where("sources.toml"), expected=expected)
    texts, contents = [], []
    for number, name in enumerate(names, start=1):
        progress(f"fetching {number} of {len(names)}: {name}")
        try:
            text, content = _fetched(known[name], home)
        except (TokenIndexError, OSError) as wrong:
            error = of_disk(wrong) if isinstance(wrong, OSError) else wrong
            options.exit_code = options.exit_code or error.exit_code
            progress("")
            complain(error, about=f"{name}: ")
            text, content = f"failed: {type(error).__name__}", {"stored": False, **facts_of(error)}
        texts.append(f"{name}: {text}")
        contents.append({"name": name, **content})
    progress("")
    return "\n".join(texts), contents


def _fetched(source: Source, home: Home) -> Answer:
    """Fetch one source and store what it gave."""
    from .. import capture
    from ..adapters import adapter

    adapter(source.adapter)  # nobody is asked for what could not be read
    fetched = capture.fetch(source, now=lambda: datetime.now(UTC), environment=os.environ)
    facts = fetched.capture()
    text, content = _stored(home.keep(fetched.content, facts, fetched=fetched.row()), facts.known_at)
    row = fetched.row()
    about = f"{len(fetched.content):,} bytes, asked {row['asked_at']}, attempt {fetched.attempts}, {fetched.sha256}"
    return f"{text}\n          {about}", {**content, "fetch": row | {"headers": fetched.headers}}


def _backdated(parsed: Parsed, known_at: datetime) -> list[str]:
    """Return a note for every table with rows that claim to have been known before their file was."""
    notes = []
    for table, frame in parsed.tables().items():
        early = frame.filter(frame["known_at"] < known_at) if "known_at" in frame.columns else frame.clear()
        if len(early):
            since = str(early["known_at"].min())[:16]
            what = f"{len(early):,} {table.name} say that they were known before this file was, since {since}Z"
            notes.append(f"{what}: fixings from then on can change, also as known at their cut-off")
    return notes


def unmapped(options: argparse.Namespace) -> Answer:
    import polars as pl

    from ..identity import other_names
    from ..selection import SELLER

    home = home_of(options)
    inputs = home.inputs(progress=progress)
    progress("")
    if options.by_day:
        return _mapped_volume(inputs)
    key = list(SELLER)
    frame, amount = (
        (inputs.observations, pl.len()) if options.prices else (inputs.volumes, pl.col("tokens").cast(pl.Int128).sum())
    )
    measure = "observations" if options.prices else "tokens"
    totals = frame.group_by(key).agg(amount.alias(measure))
    unknown = totals.join(inputs.registry.select(key), on=key, how="anti").sort(
        pl.col(measure), *key, descending=[True, *(False for _ in key)]
    )
    whole = int(totals[measure].sum()) or 1  # nothing but zeros: shares of zero
    names_of = other_names(home.links)
    linked = [(r, names_of.get(r[2]) or names_of.get(f"{r[1]}/{r[2]}")) for r in unknown.iter_rows()]
    rows = [[*row[:3], f"{row[3]:,}", f"{row[3] / whole:.2%}", link or ""] for row, link in linked]
    names = (*key, measure, "share", "link")
    content = [dict(zip(names, (*row, row[3] / whole, link), strict=True)) for row, link in linked]
    return columns(names, rows), content


def _mapped_volume(inputs: Inputs) -> Answer:
    from ..identity import mapped_volume

    found = mapped_volume(inputs)
    shown = ("source", "from", "to", "tokens", "mapped", "unmapped spellings", "largest of them")
    rows = [
        [
            source,
            str(start),
            str(end),
            f"{int(tokens):,}",
            "" if share is None else f"{share:.2%}",
            f"{number}",
            name or "",
        ]
        for source, start, end, tokens, _, share, number, name in found.iter_rows()
    ]
    return columns(shown, rows), found.to_dicts()


def release(options: argparse.Namespace) -> Answer:
    from ..files import LocalFiles, kept
    from ..release import release

    folder: Path = options.folder
    if folder.exists() and any(folder.iterdir()):
        raise LedgerError(f"{folder} is not empty", remedy="name a folder that does not exist yet")
    inputs = home_of(options).inputs(progress=progress)
    progress("")
    found = release(
        inputs.volumes,
        contributors_min=options.contributors,
        tokens_min=options.tokens,
        share_max=options.share,
        source=options.source,
        known_at=options.known_at,
    )
    folder.mkdir(parents=True, exist_ok=True)
    written = {"prices.csv": found.prices_csv(), "volumes.csv": found.volumes_csv()}
    for name, content in written.items():
        kept(LocalFiles(folder), name, content)
    withheld = reasons(found.withheld, "reason")
    told = ", ".join(f"{n} {reason}" for reason, n in withheld) or "none"
    text = f"released    {len(found.prices)} prices into {folder}\nwithheld    {told}"
    return text, {"released": len(found.prices), "withheld": dict(withheld), "written_to": [*written]}


def list_adapters(options: argparse.Namespace) -> Answer:
    from ..adapters import adapters

    content = [
        {"adapter": a.name, "version": a.version, "gives": " ".join(a.gives).lower(), "reads": _card(a.parse)}
        for a in adapters().values()
    ]
    return columns(tuple(content[0]), [list(row.values()) for row in content]), content


def _card(function: Callable[..., Any]) -> str:
    """Return the first line of what the module of a function says of itself."""
    return (inspect.getdoc(inspect.getmodule(function)) or "").split("\n")[0]


def tables(options: argparse.Namespace) -> Answer:
    from ..tables import TABLES

    content = {
        t.name: [
            {k: str(getattr(c, k)) for k in ("name", "dtype", "unit", "owner", "nullable", "meaning")}
            | {"allowed": list(c.allowed)}
            for c in t.columns
        ]
        for t in TABLES
    }
    return "\n".join(t.document() for t in TABLES), content
