"""Retention: what is removed from a home after the years for which it must be kept.

*Reads* the lists of a home, its records and its ledger. *Writes* one entry of the list ``retired``, and then removes the
bytes it names. *Never* removes what was of use within the years, and never a look, a record or an entry of the ledger:
that a capture was there, and its digest, stay.

Rows go with their captures. Delta tables keep them in the files of their older versions until somebody vacuums, which we
never do.

A capture was **last of use** when it was last known from a look, on the date of the last fixing whose record names it,
or when something that rests on it was last entered in the ledger, whichever was last.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any, Final

from .adapters.reading import in_utc
from .errors import LedgerError
from .home import Home
from .records import moment_text

YEARS_MIN: Final = 5
"""Records of a benchmark are kept for five years at least (Regulation (EU) 2016/1011, article 8)."""


@dataclass(frozen=True)
class Retirement:
    """What may be removed: captures by digest with their names, and batches of the store."""

    horizon: datetime
    looks: int
    captures: dict[str, str]
    batches: frozenset[str]


def due(home: Home, *, years: int, at: datetime) -> Retirement:
    """Return what was last of use more than `years` before `at`.

    Parameters
    ----------
    home : Home
        The home; nothing of it is changed.
    years : int
        For how long everything is kept after it was last of use; 5 at least.
    at : datetime
        The moment from which is counted.

    Raises
    ------
    LedgerError
        If that is less than must be kept.
    """
    if years < YEARS_MIN:
        found = f"{years} years are less than must be kept"
        raise LedgerError(found, where="--years", expected=f"{YEARS_MIN} at least")
    horizon = _years_before(in_utc(at), years)
    looks = home.seen.captures()
    old = {capture.sha256: capture.name for capture in home.seen.held()}
    for capture in looks:
        if max(capture.known_at, capture.seen_at) >= horizon:
            old.pop(capture.sha256, None)
    for record in _records(home, horizon):
        for fact in record["captures"]:
            old.pop(fact["sha256"], None)
    kept = home.store.batches() if home.store else {}
    batches = frozenset(key for key, one in kept.items() if one.facts["sha256"] in old)
    return Retirement(horizon, len(looks), old, batches)


def retire(home: Home, *, years: int, at: datetime) -> Retirement:
    """Put on record what is due, remove it, and return it. Run again, it finishes what was interrupted."""
    found = due(home, years=years, at=at)
    if found.captures:
        fields = {
            "at": moment_text(in_utc(at)),
            "years": years,
            "horizon": moment_text(found.horizon),
            "looks": found.looks,
            "captures": sorted(found.captures),
        }
        home.seen.retired.append(lambda _: fields)
    # what came to be seen again since then is held, and stays
    held = {capture.sha256 for capture in home.seen.held()}
    there = set(home.files.names("captures"))
    names = {f"captures/{capture.name}": capture.sha256 for capture in home.seen.captures()}
    for name, sha256 in names.items():
        if sha256 not in held and name in there:
            home.files.remove(name)
    if home.store and found.batches:
        home.store.compact(home.current(), forget=found.batches)
    return found


def _records(home: Home, horizon: datetime) -> Iterator[dict[str, Any]]:
    """Yield the records of fixings since the horizon, and those that the ledger named since then."""
    for name in home.files.names("records"):
        day = datetime.combine(datetime.fromisoformat(name.rpartition("/")[2][:10]), time.max, UTC)
        if day >= horizon:
            yield json.loads(home.files.read(name) or b"{}")
    for entry in home.ledger().entries:
        figure = entry.fields["kind"] in ("publication", "restatement", "correction")
        if figure and datetime.fromisoformat(entry.fields["at"]) >= horizon:
            yield home.record_of(entry).document


def _years_before(at: datetime, years: int) -> datetime:
    """Return the same day and hour some years before; of 29 February the day before."""
    try:
        return at.replace(year=at.year - years)
    except ValueError:
        return at.replace(year=at.year - years, day=28)
