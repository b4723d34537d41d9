"""Publication: figures that leave the house, and what may happen to them afterwards.

*Reads* a home. *Writes* records and entries of the ledger, signed if a key is on record. *Never* replaces what is there: a
date is published once; what is found later is a restatement or a correction beside it, by the rule of the document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal

import polars as pl

from .adapters.reading import in_utc
from .chains import Entry
from .determination import Determination, determine
from .errors import DeterminationError, LedgerError
from .exact import NANO, divide, rescale
from .home import Home, Progress
from .ledger import Ledger, figures, person
from .methodology import Methodology
from .records import Record, judgments_for, moment_text, record, table
from .selection import Inputs
from .signing import key_id, public_of, sign
from .tables import JUDGMENTS


def publish(
    home: Home,
    indices: Sequence[str],
    *,
    days: Sequence[date],
    at: datetime,
    key: bytes | None,
    vintage: str = "final",
    progress: Progress = lambda _: None,
) -> list[Entry]:
    """Publish the fixings of some indices on `days`, and return their entries of the ledger, in their order.

    Each is determined as known at the moment that the document names for the vintage (in a home that is an archive: at the
    moment of the archive). Its record is stored; a fixing below the first rung of the waterfall and each judgment that
    first counts for the index get an entry of their own, before that of the publication.

    Parameters
    ----------
    home : Home
    indices : sequence of str
        Such as ``tix`` or ``tix.output``.
    days : sequence of date
        Fixing dates.
    at : datetime
        The moment of publication.
    key : bytes or None
        The private key, if the ledger is signed.
    vintage : str
        A vintage of the document.

    Raises
    ------
    LedgerError
        If a date is published already, the index has ceased, the clock went back, or the key is not the one that signs.
    DeterminationError
        If a date is not a fixing date, or `at` is too early for it.
    """
    batches = [
        batch for index in dict.fromkeys(indices) for batch in _batches(home, index, sorted(set(days)), vintage=vintage)
    ]
    for methodology, dates, known_at in batches:
        _refuse_early(methodology, dates, at=at, vintage=vintage, known_at=known_at)
        for day in dates:
            home.ledger().refuse_publication(methodology.index, day, vintage, where=str(home.files))
    inputs = home.inputs(since=min(days), progress=progress)
    captures = home.captures()
    published = []
    for methodology, dates, known_at in batches:
        found = determine(methodology, inputs, dates=dates, known_at=known_at)
        home.keep_document(methodology)
        for number, day in enumerate(dates, start=1):
            progress(f"publishing {number} of {len(dates)}: {methodology.index} {day}")
            made = record(found, day, inputs=inputs, captures=captures)
            home.save(made)
            _enter_before(home, found, day, made, inputs=inputs, at=at, key=key)
            body = _figure(home, methodology, made, vintage=vintage)
            published.append(_enter(home, "publication", body, at=at, key=key))
    return published


def restate(
    home: Home,
    index: str,
    day: date,
    *,
    at: datetime,
    known_at: datetime | None = None,
    reason: str,
    approved_by: Sequence[str],
    key: bytes | None,
    progress: Progress = lambda _: None,
) -> Entry:
    """Determine a published fixing again as known at a later moment, and put the new figure on record beside the old.

    The document decides what it becomes: a restatement, which replaces the published figure, if its window is still open
    and the change reaches its threshold; a correction, a figure of the corrected series, otherwise.

    Parameters
    ----------
    known_at : datetime, optional
        What is known by then counts. Without it: what is known `at` the restatement.
    reason : str
        Why.
    approved_by : sequence of str
        The people who approve it, as many as the document asks for.

    Raises
    ------
    LedgerError
        If the date is not published, nothing changes, or too few people approve.
    """
    replaced = home.ledger().corrected(index, day)
    official = home.ledger().official(index, day)
    if replaced is None or official is None:
        raise LedgerError(f"{index} of {day} is not published", remedy="publish it: tokenindex publish")
    methodology = _document_of(home, official)
    _refuse_alone(methodology, reason, approved_by)
    moment = in_utc(known_at or at)
    if moment > at:
        raise DeterminationError(f"{moment_text(moment)} is not over yet", expected=f"a moment up to {moment_text(at)}")
    later = [date.fromisoformat(d) for i, d in home.ledger().figures if i == index and d > str(day)]
    later = [d for d in sorted(later) if methodology.calendar.cut_off_at(d) <= moment]
    inputs = home.inputs(since=day, progress=progress)
    found = determine(methodology, inputs, dates=[day, *later], known_at=moment)
    made = record(found, day, inputs=inputs, captures=home.captures())
    kind, change = _weighed(methodology, official, replaced, made, at=at)
    home.save(made)
    _enter_before(home, found, day, made, inputs=inputs, at=at, key=key)
    before = official if kind == "restatement" else replaced
    body = {
        **_figure(home, methodology, made, vintage=official.fields["body"]["vintage"]),
        "supersedes": before.number,
        "reason": reason,
        "approved_by": list(approved_by),
        "before": before.fields["body"]["fixing"],
        "change": change,
        "dependants": list(_dependants(home, found, later)),
    }
    return _enter(home, kind, body, at=at, key=key)


def cease(
    home: Home, index: str, *, last: date, at: datetime, reason: str, approved_by: Sequence[str], key: bytes | None
) -> Entry:
    """Put on record that `last` is the last fixing date of an index: no later one is published."""
    _refuse_alone(home.methodology(index, last), reason, approved_by)
    body = {"index": index, "last_fixing_date": last.isoformat(), "reason": reason, "approved_by": list(approved_by)}
    return _enter(home, "cessation", body, at=at, key=key)


def introduce_key(home: Home, new: bytes, *, at: datetime, valid_to: datetime | None, key: bytes | None) -> Entry:
    """Put the public part of the key `new` on record: from then on it signs.

    The first one signs its own entry; a later one is signed by the key that it retires, given as `key`.
    """
    public = public_of(new)
    retired = home.ledger().signer
    body = {
        "public_key": public,
        "valid_from": moment_text(at),
        "valid_to": moment_text(valid_to) if valid_to else None,
        "retires": retired,
    }
    beside = {f"keys/{key_id(public)}.pem": public.encode()}
    return _enter(home, "key", body, at=at, key=key if retired else new, named=key_id(public), beside=beside)


def anchor(home: Home) -> str:
    """Write down the head of the ledger in a file of its own, for any timestamping service; return its name.

    Whoever holds the file elsewhere can tell a ledger that was cut short, or an older one in its place.
    """
    last = home.ledger().last
    if last is None:
        raise LedgerError("the ledger is empty", remedy="publish something first")
    name = f"anchors/{last.number:08}.txt"
    home.files.create(name, f"tokenindex ledger {last.number} {last.sha256} {last.fields['at']}\n".encode())
    return name


def figure(
    home: Home,
    index: str,
    day: date,
    *,
    as_of: Literal["first", "official", "corrected"] | datetime,
    version: str | None,
) -> Record:
    """Return the record of a past fixing.

    Parameters
    ----------
    as_of : str or datetime
        ``first``: as first published; ``official``: as it holds now; ``corrected``: the corrected series; a moment: as it
        would have been determined with what was known then.
    version : str or None
        None: by the version that was in force. Otherwise by another version of the document, from what was known for the
        figure that `as_of` names.

    Raises
    ------
    LedgerError
        If the date is not published, or its record is not here.
    """
    if isinstance(as_of, datetime):
        known: datetime | None = as_of
    else:
        entry = getattr(home.ledger(), as_of)(index, day)
        if entry is None:
            raise LedgerError(f"{index} of {day} is not published", remedy="publish it, or ask as of a moment")
        held = home.record_of(entry)
        if version is None:
            return held
        known = known_of(held)
    methodology = home.methodology(index, day) if version is None else home.version(index, version)
    inputs = home.inputs(since=day)
    found = determine(methodology, inputs, dates=[day], known_at=known)
    return record(found, day, inputs=inputs, captures=home.captures())


def known_of(held: Record) -> datetime | None:
    """Return the moment that a record looks from; None for the cut-off."""
    known = held.document["known_at"]
    return None if known == "cut-off" else datetime.fromisoformat(known)


def _batches(
    home: Home, index: str, days: Sequence[date], *, vintage: str
) -> Iterator[tuple[Methodology, list[date], datetime | None]]:
    """Yield the dates that are determined together: by one document, as known at one moment or each at its cut-off."""
    found: dict[Any, tuple[Methodology, list[date], datetime | None]] = {}
    for day in days:
        methodology = home.methodology(index, day)
        hours = methodology.publication.vintages.get(vintage)
        if hours is None:
            known = ", ".join(methodology.publication.vintages)
            raise DeterminationError(f"there is no vintage {vintage!r}", expected=f"one of {known}", where=index)
        moment = methodology.calendar.cut_off_at(day) + timedelta(hours=hours) if hours else None
        moment = home.known_at or moment
        found.setdefault((methodology.sha256, moment), (methodology, [], moment))[1].append(day)
    yield from found.values()


def _refuse_early(
    methodology: Methodology, dates: Sequence[date], *, at: datetime, vintage: str, known_at: datetime | None
) -> None:
    hours = methodology.publication.vintages[vintage]
    due = methodology.calendar.cut_off_at(max(dates)) + timedelta(hours=hours)
    due = max(due, known_at or due)
    if at < due:
        raise DeterminationError(
            f"it is {moment_text(at)}", expected=f"a moment from {moment_text(due)} on", remedy="publish it then"
        )


def _refuse_alone(methodology: Methodology, reason: str, approved_by: Sequence[str]) -> None:
    needed = methodology.restatement.approvers
    if not reason.strip():
        raise LedgerError("no reason is given", expected="why the figure changes")
    if len({person(name) for name in approved_by if name.strip()}) < needed:
        raise LedgerError(f"approved by {', '.join(approved_by) or 'nobody'}", expected=f"{needed} different people")


def _document_of(home: Home, entry: Entry) -> Methodology:
    body = entry.fields["body"]
    known = home.document(body["methodology"])
    if known:
        return known.named(body["index"])
    raise LedgerError(f"no document hashes to {body['methodology']}", expected=f"{body['index']} {body['version']}")


def _figure(home: Home, methodology: Methodology, made: Record, *, vintage: str) -> dict[str, Any]:
    held = made.document
    seen = home.looks.entries()
    return {
        "index": held["index"],
        "fixing_date": held["fixing_date"],
        "vintage": vintage,
        "version": methodology.version,
        "methodology": methodology.sha256,
        "record": made.sha256,
        "captures": {"number": seen[-1].number, "sha256": seen[-1].sha256} if seen else None,
        "fixing": figures(held["fixing"]),
    }


def _enter_before(
    home: Home, found: Determination, day: date, made: Record, *, inputs: Inputs, at: datetime, key: bytes | None
) -> None:
    """Enter what must be on record before the figure: that it is not of the first rung, and judgments it rests on."""
    held = made.document
    about = {"index": held["index"], "fixing_date": held["fixing_date"], "record": made.sha256}
    fixing = held["fixing"]
    if fixing["rung"] > 1:
        body = {**about, "status": fixing["status"], "rung": fixing["rung"], "reason": fixing["reason"] or ""}
        _entered(home, "contingency", body, at=at, key=key, known=lambda ledger: made.sha256 in ledger.contingencies)
    if held["without_judgment"] is None:
        return
    counting = judgments_for(found, day, inputs=inputs)
    for cells, row in zip(table(counting, JUDGMENTS)["rows"], counting.iter_rows(named=True), strict=True):
        name = (held["index"], row["capture"], row["locator"])
        told = dict(zip(counting.columns, cells, strict=True))
        facts = ("capture", "locator", "decision", "reason", "decided_by", "approved_by")
        body = {
            **about,
            **{name: told[name] for name in facts},
            "step": "hold",
            "inputs": {name: told[name] for name in told if name not in facts},
            "with": figures(fixing),
            "without": held["without_judgment"],
        }
        _entered(home, "judgment", body, at=at, key=key, known=lambda ledger, name=name: name in ledger.judged)  # type: ignore[misc]


def _weighed(
    methodology: Methodology, official: Entry, replaced: Entry, made: Record, *, at: datetime
) -> tuple[str, str]:
    """Return what a new figure becomes, by the document, and the relative change of the official one."""
    new, old = figures(made.document["fixing"]), official.fields["body"]["fixing"]
    if new == replaced.fields["body"]["fixing"]:
        raise LedgerError(
            "nothing changes: the figure is the same",
            where=f"{made.document['index']} {made.document['fixing_date']}",
            expected="another figure",
        )
    change = relative_change(old, new)
    rule = methodology.restatement
    published = datetime.fromisoformat(official.fields["at"])
    open_still = at <= published + timedelta(hours=rule.window_hours)
    large = change is None or abs(change) >= rule.threshold
    return ("restatement" if open_still and large else "correction"), str(change) if change is not None else "all"


def relative_change(old: dict[str, Any], new: dict[str, Any]) -> Decimal | None:
    """Return the larger of the relative changes of price and level, to nine decimals; None if a figure comes or goes."""
    pairs = [(old[name], new[name]) for name in ("price", "level") if old[name] != new[name]]
    if not pairs or any(a is None or b is None or not Decimal(a) for a, b in pairs):
        return None
    nano = [(rescale(Decimal(a), scale=9), rescale(Decimal(b), scale=9)) for a, b in pairs]
    return max((Decimal(divide((b - a) * NANO, a)).scaleb(-9) for a, b in nano), key=abs)


def _dependants(home: Home, found: Determination, later: Sequence[date]) -> Iterator[dict[str, Any]]:
    """Yield the later published figures of the index that would be others with the same knowledge."""
    index = found.methodology.index
    for day in later:
        entry = home.ledger().official(index, day)
        fixing = fixing_figures(found, day)
        if entry and entry.fields["body"]["fixing"] != fixing:
            yield {"index": index, "fixing_date": str(day), "before": entry.fields["body"]["fixing"], "after": fixing}


def fixing_figures(found: Determination, day: date) -> dict[str, Any]:
    """Return the figures of a fixing as a record writes them."""
    row = found.fixings.filter(pl.col("fixing_date") == day)
    cells = row.select(pl.col("status", "currency"), *(pl.col(name).cast(pl.String) for name in ("price", "level")))
    return figures(cells.row(0, named=True))


def _enter(
    home: Home,
    kind: str,
    body: dict[str, Any],
    *,
    at: datetime,
    key: bytes | None,
    named: str | None = None,
    beside: Mapping[str, bytes] = MappingProxyType({}),
) -> Entry:
    """Add an entry to the ledger, signed if a key is on record, and return it; files `beside` it are made with it."""
    entry = _entered(home, kind, body, at=at, key=key, named=named, beside=beside)
    if entry is None:
        raise LedgerError("nothing was entered", where=str(home.files))
    return entry


def _entered(
    home: Home,
    kind: str,
    body: dict[str, Any],
    *,
    at: datetime,
    key: bytes | None,
    named: str | None = None,
    beside: Mapping[str, bytes] = MappingProxyType({}),
    known: Callable[[Ledger], bool] = lambda _: False,
) -> Entry | None:
    """Add an entry unless it is `known` already: somebody else may have been first."""
    at = in_utc(at)

    def fields(_: Sequence[Entry]) -> dict[str, Any] | None:
        ledger = home.ledger()
        if known(ledger):
            return None
        made = {"at": moment_text(at), "kind": kind, "body": body, "key": ledger.signer or named}
        ledger.refuse(made, where=str(home.files))
        return made

    def seal(entry: Entry) -> None:
        for name, content in beside.items():
            home.files.create(name, content)
        signer = entry.fields["key"]
        if signer is None:
            return
        if key is None:
            raise LedgerError("the ledger is signed, and no key is given", expected=f"the key {signer}", remedy="--key")
        if key_id(public_of(key)) != signer:
            raise LedgerError(f"this is the key {key_id(public_of(key))}", expected=f"the key {signer}")
        home.files.create(f"signatures/{entry.sha256}.sig", sign(key, entry.content))

    return home.ledger_chain.append(fields, seal=seal)
