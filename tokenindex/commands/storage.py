"""The storeroom: the commands that look after the store of a home.

*Reads* arguments and a home folder. *Writes* answers. *Never* changes a row or a figure.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..errors import InputDataError
from ..report import columns
from . import Answer, moment_of_act, own_home, progress

if TYPE_CHECKING:
    from ..home import Home
    from ..store import Store


def store(options: argparse.Namespace) -> Answer:
    """Describe the store, and compare the rows of every batch with their digests."""
    home = own_home(options)
    from ..store import contents

    kept = _store(home)
    progress("reading every batch")
    batches = kept.batches()
    damaged = sorted(set(batches) - kept.read(batches).batches)
    current = home.current()
    pinned, sizes = kept.snapshot(), home.files.sizes("store")
    now = contents({key: one for key, one in batches.items() if key in current})
    content = {
        **pinned,
        "current": {"batches": len(set(current) & set(batches)), "tables": now},
        "missing": len(set(current) - set(batches)),
        "damaged": damaged,
        "files": len(sizes),
        "bytes": sum(sizes.values()),
    }
    head = pinned["version"]
    version = f"{head['number']} {head['sha256']}" if head and "sha256" in head else str(head)
    rows = [
        [name, f"{now[name]['rows']:,}", f"{all_['rows']:,}", now[name]["sha256"]] for name, all_ in _tables(pinned)
    ]
    lines = [
        f"store     {kept.kind}, {len(sizes):,} files of {sum(sizes.values()):,} bytes",
        f"version   {version}",
        f"batches   {len(batches):,}, of which current {content['current']['batches']:,}",
        f"missing   {content['missing']:,} (they are parsed when they are needed)",
        f"damaged   {len(damaged):,} (they are parsed again when they are needed)",
        columns(("table", "rows", "with older versions", "digest of the rows"), rows),
    ]
    return "\n".join(lines), content


def compact(options: argparse.Namespace) -> Answer:
    """Put small files together, and copy the entries of long lists into one file."""
    home = own_home(options)
    progress("compacting")
    gathered = home.looks.gather() + home.ledger_chain.gather()
    done = {"written": 0, "removed": 0}
    if home.store:
        done = home.store.compact(home.current())
        chain = getattr(home.store, "chain", None)
        gathered += chain.gather() if chain else 0
    content = {**done, "gathered": gathered}
    return f"compacted   {done['removed']} files into {done['written']}; {gathered} files of entries written", content


def retain(options: argparse.Namespace) -> Answer:
    """Remove captures that were last of use longer ago than must be kept."""
    home = own_home(options)
    from ..retention import due, retire

    at = moment_of_act(options)
    progress("reading records")
    found = (due if options.dry_run else retire)(home, years=options.years, at=at)
    word = "would retire" if options.dry_run else "retired"
    names = sorted(found.captures.values())
    lines = [
        f"{word} {len(names)} captures and {len(found.batches)} batches last of use before {found.horizon}",
        *names,
    ]
    content = {
        "dry_run": options.dry_run,
        "horizon": found.horizon.isoformat(),
        "captures": found.captures,
        "batches": sorted(found.batches),
    }
    return "\n".join(lines), content


def _store(home: Home) -> Store:
    if home.store is None:
        expected, remedy = 'store = "parquet" or "delta"', "without one captures are parsed each time"
        raise InputDataError("the home has no store", where=home.where("home.toml"), expected=expected, remedy=remedy)
    return home.store


def _tables(pinned: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, facts) for name, facts in pinned["tables"].items() if facts["rows"]]
