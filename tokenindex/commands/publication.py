"""The publisher's desk: the commands that publish, restate, prove and review.

*Reads* arguments and a home folder. *Writes* answers. *Never* calculates: each command is a few calls of the library.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DeterminationError, InputDataError, LedgerError
from ..report import columns
from . import Answer, moment_of_act, own_home, progress

if TYPE_CHECKING:
    from ..chains import Entry
    from ..verification import Step

_SHOWN = ("entry", "at", "kind", "index", "date", "price", "level", "status", "record")


def publish(options: argparse.Namespace) -> Answer:
    """Publish the fixings of a date or of a range of dates."""
    if options.start and not options.end:
        raise DeterminationError("--from without --to", expected="the last fixing date as well")
    home = own_home(options)
    from .. import publication

    first = home.methodology(options.index[0], options.date or options.end)
    days = [options.date] if options.date else first.calendar.between(options.start, options.end)
    entries = publication.publish(
        home,
        options.index,
        days=days,
        at=moment_of_act(options),
        key=_key(options),
        vintage=options.vintage,
        progress=progress,
    )
    return _entered(entries)


def restate(options: argparse.Namespace) -> Answer:
    """Determine a published fixing again, and put the new figure on record."""
    home = own_home(options)
    from .. import publication

    entry = publication.restate(
        home,
        options.index,
        options.date,
        at=moment_of_act(options),
        known_at=options.known_at,
        reason=options.reason,
        approved_by=options.approved_by,
        key=_key(options),
        progress=progress,
    )
    body = entry.fields["body"]
    text, content = _entered([entry])
    became = {
        "restatement": f"restated: it replaces entry {body['supersedes']}, a change of {body['change']}",
        "correction": f"corrected: what was published stands, beside it a change of {body['change']}",
    }[entry.fields["kind"]]
    dependants = [
        [d["fixing_date"], d["before"]["level"] or "", d["after"]["level"] or "", d["after"]["status"]]
        for d in body["dependants"]
    ]
    listed = (
        columns(("later date", "published", "now", "status"), dependants) if dependants else "no later figure changes"
    )
    return f"{text}\n{became}\n{listed}", content[0]


def cease(options: argparse.Namespace) -> Answer:
    """Put the end of an index on record."""
    home = own_home(options)
    from .. import publication

    entry = publication.cease(
        home,
        options.index,
        last=options.last,
        at=moment_of_act(options),
        reason=options.reason,
        approved_by=options.approved_by,
        key=_key(options),
    )
    return f"{options.index} ends with {options.last}, entry {entry.number}", entry.fields


def new_key(options: argparse.Namespace) -> Answer:
    """Write a new private key into a file that only its owner may read."""
    from .. import signing

    made = signing.new_key()
    try:
        opened = os.open(options.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise LedgerError("the file is there already", where=str(options.file), remedy="name another file") from None
    with os.fdopen(opened, "wb") as file:
        file.write(made)
        file.flush()
        os.fsync(file.fileno())
    name = signing.key_id(signing.public_of(made))
    return f"made {options.file}, keep it secret\nkey {name}", {"key": name, "file": str(options.file)}


def introduce_key(options: argparse.Namespace) -> Answer:
    """Put a public key on record; it signs from then on."""
    home = own_home(options)
    from .. import publication

    entry = publication.introduce_key(
        home, _bytes_of(options.file), at=moment_of_act(options), valid_to=options.valid_to, key=_key(options)
    )
    body = entry.fields["body"]
    retired = f"\nretires {body['retires']}" if body["retires"] else ""
    return f"key {home.ledger().signer} signs from entry {entry.number} on{retired}", entry.fields


def anchor(options: argparse.Namespace) -> Answer:
    """Write down the head of the ledger."""
    home = own_home(options)
    from .. import publication

    name = publication.anchor(home)
    content = (home.files.read(name) or b"").decode()
    return f"{content}written to {home.where(name)}", {"anchor": content.strip(), "file": home.where(name)}


def ledger(options: argparse.Namespace) -> Answer:
    """Check the ledger: chain, rules, signatures, anchors, records; and list its last entries."""
    home = own_home(options)
    from ..ledger import check_anchor, check_signatures

    there = home.ledger()
    keys = check_signatures(there, home.files.read)
    names = home.files.names("anchors")
    anchors = [(home.where(name), home.files.read(name) or b"") for name in names]
    anchors += [(str(path), _bytes_of(path)) for path in options.anchor]
    for where, content in anchors:
        check_anchor(there, content, where=where)
    figures = [entry for entries in there.figures.values() for entry in entries]
    for number, entry in enumerate(figures, start=1):
        progress(f"record {number} of {len(figures)}")
        home.record_of(entry)
    progress("")
    signed = f"signed by {len(keys)} keys, first {next(iter(keys))}" if keys else "not signed"
    text, content = _entered(there.entries[-options.last :] if options.last else [])
    told = f"{len(there.entries):,} entries, {signed}; {len(figures):,} records and {len(anchors)} anchors agree"
    return f"{text}\n{told}".lstrip(), {"entries": content, "number": len(there.entries), "keys": list(keys)}


def show(options: argparse.Namespace) -> Answer:
    """Return a past fixing: as first published, as it holds, as corrected, or as known at a moment; by any version."""
    home = own_home(options)
    from ..publication import figure

    held = figure(home, options.index, options.date, as_of=options.as_of, version=options.version)
    document = held.document
    fixing = document["fixing"]
    lines = [
        f"{document['index']} {document['version']}  {document['fixing_date']}  as known at {document['known_at']}"
    ]
    lines += [f"{name:<12}{fixing[name]}" for name in ("status", "price", "level", "currency")]
    lines.append(f"record      {held.sha256}")
    content = {
        "known_at": document["known_at"],
        "version": document["version"],
        "record": held.sha256,
        "fixing": fixing,
    }
    return "\n".join(lines), content


def errata(options: argparse.Namespace) -> Answer:
    """Determine every published fixing again, and list the differences by cause."""
    home = own_home(options)
    from ..errata import CAUSES
    from ..errata import errata as found_errata

    found = found_errata(home, at=moment_of_act(options), progress=progress)
    progress("")
    counts = {cause: int((found["cause"] == cause).sum()) for cause in CAUSES}
    text = columns(tuple(found.columns), [["" if c is None else str(c) for c in row] for row in found.iter_rows()])
    told = [f"{n:>6,} {cause}: {CAUSES[cause]}" for cause, n in counts.items()]
    whole = "\n".join([*([text] if len(found) else ["no published figure comes out differently"]), *told])
    return whole, {"counts": counts, "differences": found.to_dicts()}


def bundle(options: argparse.Namespace) -> Answer:
    """Write the evidence of published fixings into one file."""
    home = own_home(options)
    from ..bundles import write_bundle

    manifest = write_bundle(
        home,
        options.file,
        indices=options.index,
        start=options.start or date.min,
        end=options.end or date.max,
        key=_key(options),
        progress=progress,
    )
    progress("")
    withheld = [c["name"] for c in manifest["commitments"]]
    lines = [f"wrote {options.file}: {len(manifest['fixings']):,} fixings in {len(manifest['files']):,} files"]
    lines += [f"withheld, only its digest is there: {name}" for name in withheld]
    content = {"file": str(options.file), "fixings": len(manifest["fixings"]), "withheld": manifest["commitments"]}
    return "\n".join(lines), content


def verified_bundle(options: argparse.Namespace, passed: Callable[[Step], None]) -> Answer:
    """Verify a bundle with nothing but the bundle."""
    from ..bundles import verify_bundle

    anchors = [_bytes_of(path) for path in options.anchor]
    steps = []
    for step in verify_bundle(options.record, key=options.key, head=options.head, anchors=anchors, progress=progress):
        passed(step)
        steps.append(step)
    progress("")
    told = "verified: every figure follows from the evidence in the bundle"
    return "\n".join([*map(str, steps), told]), {"verified": True, "steps": [vars(s) for s in steps]}


def _entered(entries: list[Entry]) -> Answer:
    rows = []
    for entry in entries:
        fields, body = entry.fields, entry.fields["body"]
        fixing = body.get("fixing") or body.get("with") or {}
        day = body.get("fixing_date") or body.get("last_fixing_date") or ""
        status = fixing.get("status") or body.get("status") or ""
        figures = [fixing.get("price") or "", fixing.get("level") or "", status, (body.get("record") or "")[:16]]
        rows.append([str(entry.number), fields["at"][:19] + "Z", fields["kind"], body.get("index", ""), day, *figures])
    return columns(_SHOWN, rows) if rows else "", [{**e.fields, "sha256": e.sha256} for e in entries]


def _key(options: argparse.Namespace) -> bytes | None:
    return _bytes_of(options.key) if options.key else None


def _bytes_of(path: Path) -> bytes:
    if not path.is_file():
        raise InputDataError("there is no such file", where=str(path), expected="a file")
    return path.read_bytes()
