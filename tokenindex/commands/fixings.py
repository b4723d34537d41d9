"""The administrator's desk: check, fix, explain and verify.

*Reads* options and a home. *Writes* records, and answers. *Never* publishes: see `tokenindex.commands.publication`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DeterminationError, InputDataError, TokenIndexError
from ..report import (
    columns,
    explained,
    fixing_text,
    input_text,
    moved_text,
    reasons,
    short_row,
    succession_text,
    unread_text,
)
from . import HELD, Answer, determined, home_of, known_of, progress, talk

if TYPE_CHECKING:
    from ..home import Home


def check(options: argparse.Namespace) -> Answer:
    from ..guard import input_report, unmatched

    home = home_of(options)
    methodology = home.methodology(options.index, options.date)
    inputs = home.inputs(progress=progress)
    progress("")
    known_at = known_of(options, home)
    found = input_report(inputs, methodology, day=options.date, known_at=known_at)
    for lost in unmatched(inputs).iter_rows(named=True):
        talk(f"note: the judgment at {lost['locator']} concerns no price there is: {lost['source']} {lost['model']}")
    if found.held["concerns"].any():
        options.exit_code = HELD
    content = {
        "index": methodology.index,
        "date": options.date,
        "cut_off": found.cut_off,
        "held": found.held.to_dicts(),
        "notes": found.notes.to_dicts(),
        "unread": found.unread.to_dicts(),
        "sources": found.sources.to_dicts(),
        "tokens": found.tokens,
        "unmapped_tokens": found.unmapped,
    }
    return input_text(found, methodology), content


def fix(options: argparse.Namespace) -> Answer:
    from ..records import record

    home = home_of(options)
    found, inputs = determined(options, home, [options.date])
    made = record(found, options.date, inputs=inputs, captures=home.captures())
    stored = _store(options, home, made)
    fixing = found.fixing(options.date)
    text = fixing_text(found, fixing) + f"\nrecord      {made.sha256}" + (f"\nwritten to  {stored}" if stored else "")
    document = made.document
    about = {"name": found.methodology.identity.name, "cut_off": document["cut_off"], "known_at": document["known_at"]}
    content = {**document["fixing"], **about, "record": made.sha256, "written_to": stored}
    return text, content


def _store(options: argparse.Namespace, home: Home, made: Any) -> str | None:
    """Write a record to --record, or into a home of one's own; the shipped sample is never written to."""
    if options.record:
        return str(_write_once(options.record, made))
    return home.where(home.save(made)) if options.home else None


def _write_once(path: Path, made: Any) -> Path:
    from ..files import new_file

    new = not path.exists() and new_file(path, lambda file: file.write(made.content))
    if not new and path.read_bytes() != made.content:
        raise InputDataError("another record stands there", where=str(path), remedy="name another file")
    return path


def backfill(options: argparse.Namespace) -> Answer:
    from ..records import record

    home = home_of(options)
    methodology = home.methodology(options.index, options.end)
    dates = methodology.calendar.between(options.start, options.end)
    if not dates:
        raise DeterminationError("no fixing dates in that range", expected="--from before --to")
    found, inputs = determined(options, home, dates)
    folder = options.records
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    since = methodology.identity.effective_from  # before, the figures are a study: no record of them would verify
    kept = [day for day in dates if day >= since] if folder or options.home else []
    for number, day in enumerate(kept, start=1):
        progress(f"record {number} of {len(kept)}: {day}")
        made = record(found, day, inputs=inputs, captures=home.captures())
        if folder:
            _write_once(folder / f"{methodology.index}_{day}.json", made)
        else:
            home.save(made)
    progress("")
    shown = ("fixing_date", "status", "price", "level", "constituents", "carried", "coverage", "reason")
    rows = [short_row(methodology, row) for row in found.fixings.iter_rows(named=True)]
    counts = ", ".join(f"{n} {status}" for status, n in found.fixings["status"].value_counts(sort=True).iter_rows())
    talk(f"{methodology.index} {methodology.version}: {counts}")
    if dates[0] < since:
        talk(
            f"note: {methodology.version} is in force from {since}: figures before are not fixings, and have no record"
        )
    return columns(shown, rows), [dict(row.items()) for row in found.fixings.iter_rows(named=True)]


def explain(options: argparse.Namespace) -> Answer:
    import polars as pl

    from ..guard import unread_prices
    from ..identity import successions

    home = home_of(options)
    methodology = home.methodology(options.index, options.date)
    number = methodology.calendar.number(options.date)
    dates = list(methodology.calendar.dates[max(0, number - 1) : number + 1])
    found, inputs = determined(options, home, dates)
    followed = successions(found, options.date, home.links)
    unread = unread_prices(inputs, methodology, found.only(options.date))
    if options.constituent:
        unread = unread.filter(pl.col("constituent") == options.constituent)
    parts = [fixing_text(found, found.fixing(options.date)), *explained(found, options), *unread_text(unread)]
    parts += succession_text(followed)
    observed = found.observations_on(options.date).filter(pl.col("constituent") == (options.constituent or ""))
    content = {
        "fixing": found.fixing(options.date),
        "constituents": found.constituents_on(options.date).to_dicts(),
        "elementary": found.elementary_on(options.date).to_dicts(),
        "excluded": dict(reasons(found.observations_on(options.date), "excluded_by")),
        "unread": unread.to_dicts(),
        "moved": moved_text(found, dates)[1],
        "successors": followed.to_dicts(),
        "observations": observed.to_dicts(),
    }
    return "\n\n".join(parts), content


def verify(options: argparse.Namespace) -> Answer:
    from ..verification import verify

    if not options.record.is_file():
        raise InputDataError("there is no such file", where=str(options.record), expected="a record")
    steps: list[Any] = []
    with options.record.open("rb") as file:
        is_bundle = file.read(4) == b"PK\3\4"
    if is_bundle:
        return _verified_bundle(options, steps)
    home = home_of(options)
    try:
        for step in verify(options.record.read_bytes(), evidence=home.evidence(), expected_sha256=options.digest):
            steps.append(step)
    except TokenIndexError:
        talk("\n".join(map(str, steps)))  # how far it went
        raise
    lines = [*map(str, steps), "verified: the record was reproduced bit for bit"]
    return "\n".join(lines), {"verified": True, "steps": [vars(s) for s in steps]}


def _verified_bundle(options: argparse.Namespace, steps: list[Any]) -> Answer:
    from .publication import verified_bundle

    try:
        return verified_bundle(options, steps.append)
    except TokenIndexError:
        progress("")
        talk("\n".join(map(str, steps)))  # how far it went
        raise
