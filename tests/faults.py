"""The faults that a home, a ledger and a bundle must survive: injected, counted, and printed as a table.

    python tests/faults.py [--every N] [--only TEXT]

Every act runs in a process of its own, which ends itself with SIGKILL at one point: before, in the middle of, or after one
of its changes to the disk (a write is cut in half). Afterwards the home must open, show the state before the act or the one
after it and nothing between, and the same act must complete what is missing. The disk that is full, the bits that flip and
the forgeries are counted the same way: a fault that is not survived ends the script with exit code 1.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import json
import multiprocessing
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tokenindex.bundles import verify_bundle, write_bundle
from tokenindex.containers import pack
from tokenindex.errors import LedgerError, TokenIndexError, VerificationError
from tokenindex.home import Home
from tokenindex.ledger import check_anchor, check_signatures
from tokenindex.publication import anchor, cease, introduce_key, publish, restate
from tokenindex.records import canonical, record
from tokenindex.signing import key_id, pem_of, public_of, sign

INDEX = "anthropic-output"
DAYS = [date(2026, 6, day) for day in (23, 24)]
NEXT = date(2026, 6, 25)
AT = datetime(2026, 7, 1, 1, tzinfo=UTC)
LATER = AT + timedelta(hours=1)
BOTH = ["A. Person", "B. Person"]
KEY, OTHER = (pem_of(Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)) for n in (1, 2))
PRICES = (
    "source,provider,model,component,service_tier,region,context_from,price,currency,unit,tax,valid_from,date_kind,known_at\n"
    + "".join(
        f"{source},anthropic,{model},output,standard,,0,5.5,USD,per_1m_tokens,unknown,2026-06-23,declared,2026-07-01T02:00:00Z\n"
        for source, model in (
            ("models.dev", "claude-haiku-4-5-20251001"),
            ("litellm", "claude-haiku-4-5-20251001"),
            ("genai-prices", "claude-haiku-4-5"),
        )
    )
).encode()


@dataclass(frozen=True)
class Fault:
    """One line of the table."""

    name: str
    injected: int
    survived: int
    told: str


# writes ----------------------------------------------------------------------------------------------------------


class Deadly:
    """Counts the operations of this process that change a disk, and does something at one of them."""

    def __init__(self, at: int, act: Callable[[], None]) -> None:
        self.count, self.at, self.act = 0, at, act
        for owner, name in ((os, "fsync"), (os, "link"), (os, "unlink"), (os, "mkdir"), (os, "open")):
            setattr(owner, name, self._counted(getattr(owner, name)))
        opened = pathlib.Path.open
        deadly = self

        def half_written(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
            if "w" not in mode:
                return opened(path, mode, *rest, **named)
            deadly.step()
            return _Half(opened(path, mode, *rest, **named), deadly)

        pathlib.Path.open = half_written  # type: ignore[method-assign,assignment]

    def step(self) -> None:
        """Count one point."""
        self.count += 1
        if self.count == self.at:
            self.act()

    def _counted(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.step()
            found = operation(*arguments, **named)
            self.step()
            return found

        return counted


class _Half:
    """A file whose every write has a point in its middle."""

    def __init__(self, file: Any, deadly: Deadly) -> None:
        self._file, self._deadly = file, deadly

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, content: bytes) -> int:
        """Write a half, and then the other."""
        half = len(content) // 2
        self._file.write(content[:half])
        self._file.flush()
        self._deadly.step()
        self._file.write(content[half:])
        return len(content)


def ingest(home: Home) -> None:
    """Take in a file of prices."""
    file = home.path.parent / "late.csv"
    if not file.exists():
        file.write_bytes(PRICES)
    home.ingest(file, adapter_name="prices", source="models.dev", seen_at=LATER, known_at=LATER)


def fix(home: Home) -> None:
    """Determine a date and store its record."""
    from tokenindex.determination import determine

    methodology, inputs = home.methodology(INDEX, NEXT), home.inputs()
    found = determine(methodology, inputs, dates=[NEXT], known_at=home.known_at)
    home.save(record(found, NEXT, inputs=inputs, captures=home.captures()))


def publish_next(home: Home) -> None:
    """Publish a date that is not on record yet."""
    if home.ledger().official(INDEX, NEXT) is None:
        publish(home, [INDEX], days=[NEXT], at=LATER, key=KEY)


def restate_first(home: Home) -> None:
    """Restate a date for which a late price is known."""
    if home.ledger().official(INDEX, DAYS[0]) == home.ledger().first(INDEX, DAYS[0]):
        restate(home, INDEX, DAYS[0], at=LATER, reason="late price", approved_by=BOTH, key=KEY)


def cease_index(home: Home) -> None:
    """End the index."""
    if INDEX not in home.ledger().ceased:
        cease(home, INDEX, last=DAYS[-1], at=LATER, reason="no use", approved_by=BOTH, key=KEY)


def rotate(home: Home) -> None:
    """Introduce another key."""
    if home.ledger().signer != key_id(public_of(OTHER)):
        introduce_key(home, OTHER, at=LATER, valid_to=None, key=KEY)


def anchored(home: Home) -> None:
    """Write down the head."""
    anchor(home)


def bundled(home: Home) -> None:
    """Write the evidence."""
    path = home.path.parent / f"{home.path.name}.zip"
    if not path.exists():
        write_bundle(home, path, indices=[], start=DAYS[0], end=DAYS[-1], key=KEY)
    assert list(verify_bundle(path))


def compacted(home: Home) -> None:
    """Put the small files of the store together."""
    home.inputs()
    home.looks.gather()
    home.ledger_chain.gather()
    if home.store:
        home.store.compact(home.current())


ACTS: dict[str, Callable[[Home], None]] = {
    "ingest": ingest,
    "fix": fix,
    "publish": publish_next,
    "restate": restate_first,
    "cease": cease_index,
    "key introduce": rotate,
    "anchor": anchored,
    "bundle": bundled,
    "compact": compacted,
}


def state(home: Home) -> tuple[Any, ...]:
    """Return what a home shows: captures, figures, and that every one of them is whole."""
    ledger = home.ledger()
    check_signatures(ledger, home.files.read)
    figures = [entry for entries in ledger.figures.values() for entry in entries]
    figures.sort(key=lambda entry: entry.number)
    records = [home.record_of(entry).sha256 for entry in figures]
    for name in home.files.names("anchors"):
        check_anchor(ledger, home.files.read(name) or b"", where=name)
    captures = [c.sha256 for c in home.captures()]
    for sha256 in captures:
        assert hashlib.sha256(home.content(sha256) or b"").hexdigest() == sha256
    return captures, [e.sha256 for e in ledger.entries], records, len(home.inputs().observations)


def _child(act: str, path: Path, at: int, how: str, report: Any) -> None:
    home = Home.open(path)
    if how == "kill":
        deadly = Deadly(at, lambda: os.kill(os.getpid(), signal.SIGKILL))
    else:

        def full() -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        deadly = Deadly(at, full)
    said = ""
    try:
        ACTS[act](home)
    except (OSError, TokenIndexError) as wrong:
        said = str(wrong)
    report.send((deadly.count, said))


def run(act: str, path: Path, at: int, how: str) -> tuple[int | None, str]:
    """Do an act in a process of its own; return how many points it passed (None: it was killed) and what it said."""
    here, there = multiprocessing.Pipe(duplex=False)
    program = multiprocessing.get_context("spawn").Process(target=_child, args=(act, path, at, how, there))
    program.start()
    there.close()
    try:
        found: tuple[int | None, str] = here.recv() if here.poll(60) else (0, "it stood still")
    except EOFError:
        found = (None, "killed")
    program.kill()
    program.join()
    return found


def interrupted(base: Path, folder: Path, act: str, how: str, every: int) -> Fault:
    """Interrupt an act at every point, or at every so many."""
    clean = folder / "clean"
    shutil.copytree(base, clean)
    if act == "restate":
        ingest(Home.open(clean))
    start = folder / "start"
    shutil.copytree(clean, start)
    before = state(Home.open(start))
    points, _ = run(act, clean, 0, "kill")
    assert points, act
    after = state(Home.open(clean))
    shutil.rmtree(clean)
    injected = survived = 0
    for at in range(1, points + 1, every):
        path = folder / f"{act} {at}"
        shutil.copytree(start, path)
        run(act, path, at, how)
        injected += 1
        shown = state(Home.open(path))
        _between(act, before, shown, after)
        ACTS[act](Home.open(path))
        again = state(Home.open(path))
        # times are given and keys are fixed: what is completed is what would have been, to the last bit
        survived += again[0] == after[0] and again[1] == after[1] and again[2:] == after[2:]
        shutil.rmtree(path)
        path.with_name(f"{path.name}.zip").unlink(missing_ok=True)
    shutil.rmtree(start)
    (folder / "clean.zip").unlink(missing_ok=True)
    kind = "killed (SIGKILL)" if how == "kill" else "disk full (ENOSPC)"
    return Fault(f"{act}, {kind}", injected, survived, "before or after, nothing between; repeated, it is completed")


def _between(act: str, before: tuple[Any, ...], shown: tuple[Any, ...], after: tuple[Any, ...]) -> None:
    """Refuse a state in which something that was published is gone, or something is half there."""
    for was, now, then in zip(before[:3], shown[:3], after[:3], strict=True):
        assert list(now[: len(was)]) == list(was), f"{act}: something is gone"
        assert list(now) == list(then[: len(now)]), f"{act}: something else is there"


# bundles ---------------------------------------------------------------------------------------------------------


def refused(path: Path, **given: Any) -> str:
    """Return why a bundle is refused; empty if it is not."""
    try:
        for _ in verify_bundle(path, **given):
            pass
    except VerificationError as wrong:
        return str(wrong)
    return ""


def flipped_bytes(bundle: Path, folder: Path, every: int) -> Fault:
    """Flip a bit of every byte of a bundle, the container included."""
    good = bytearray(bundle.read_bytes())
    path = folder / "flipped.zip"
    pick = random.Random(1)
    injected = survived = 0
    for place in range(0, len(good), every):
        bit = 1 << pick.randrange(8)
        good[place] ^= bit
        path.write_bytes(good)
        good[place] ^= bit
        injected += 1
        survived += bool(refused(path))
    return Fault("a bit of a byte of the bundle", injected, survived, "the member, or the directory of the archive")


def flipped_files(bundle: Path, folder: Path, every: int) -> Fault:
    """Flip a bit of every hundred-and-first byte of every file of a bundle, in a container that fits again."""
    import zipfile

    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files["manifest.json"])["files"]
    injected = survived = 0
    for name, content in files.items():
        if name in ("manifest.json", "manifest.sig"):
            continue
        changed = bytearray(content)
        for place in range(0, len(content), 101 * every):
            changed[place] ^= 1
            injected += 1
            survived += hashlib.sha256(changed).hexdigest() != manifest[name]["sha256"]
            changed[place] ^= 1
    pick = random.Random(2)
    for name, content in files.items():
        place = pick.randrange(len(content))
        changed = bytearray(content)
        changed[place] ^= 1
        said = refused(_packed(folder / "file.zip", files | {name: bytes(changed)}))
        injected += 1
        survived += name in said or (name == "manifest.json" and bool(said))
    return Fault("a bit of a file in a bundle that was packed again", injected, survived, "the file")


def _packed(path: Path, files: dict[str, bytes]) -> Path:
    path.unlink(missing_ok=True)
    with path.open("w+b") as file:
        pack(file, sorted(files.items()))
    return path


def _listed(files: dict[str, bytes], key: bytes) -> dict[str, bytes]:
    """Return the files with a manifest that fits, signed with `key`."""
    manifest = json.loads(files["manifest.json"])
    manifest["files"] = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        for name, content in files.items()
        if name not in ("manifest.json", "manifest.sig")
    }
    made = files | {"manifest.json": canonical(manifest)}
    return made | {"manifest.sig": sign(key, made["manifest.json"])}


def forgeries(bundle: Path, folder: Path, kept: bytes) -> Iterator[Fault]:
    """Yield forgeries by somebody who can recompute every digest, with the true key and with another."""
    import zipfile

    with zipfile.ZipFile(bundle) as archive:
        good = {name: archive.read(name) for name in archive.namelist()}

    def names(folder_: str) -> list[str]:
        return sorted(name for name in good if name.startswith(folder_))

    cases: dict[str, list[dict[str, bytes]]] = {}
    cases["a record with a recomputed digest but no chain"] = [
        {k: v for k, v in good.items() if k != name}
        | {name.rsplit("_", 1)[0] + f"_{hashlib.sha256(changed).hexdigest()[:16]}.json": changed}
        for name in names("records/")
        for changed in [good[name].replace(b'"price":"', b'"price":"1', 1)]
    ]
    cases["a record under its old name"] = [
        good | {name: good[name].replace(b'"level"', b'"leveI"', 1)} for name in names("records/")
    ]
    captures = names("captures/")
    cases["a swapped capture"] = [good | {a: good[b], b: good[a]} for a in captures for b in captures if a < b]
    document = names("methodology/")[0]
    other = good[document].replace(b"price_decimals = 6", b"price_decimals = 5")
    cases["another methodology with the same version"] = [
        {k: v for k, v in good.items() if k != document}
        | {f"methodology/{hashlib.sha256(other).hexdigest()}.toml": other},
        good | {document: other},
    ]
    entries = names("ledger/")
    cases["a truncated ledger"] = [
        {k: v for k, v in good.items() if k not in entries[number:]} for number in range(len(entries))
    ]
    cases["a reordered entry"] = [good | {a: good[b], b: good[a]} for a in entries for b in entries if a < b]
    cases["an entry that is gone"] = [{k: v for k, v in good.items() if k != name} for name in entries]
    cases["a signature that is gone"] = [{k: v for k, v in good.items() if k != n} for n in names("signatures/")]
    cases["the signature of another entry"] = [
        good | {a: good[b]} for a in names("signatures/") for b in names("signatures/") if a != b
    ]
    cases["a capture that is gone"] = [{k: v for k, v in good.items() if k != name} for name in captures]
    cases["a registry or document that is gone"] = [
        {k: v for k, v in good.items() if k != name} for name in [*names("registries/"), document]
    ]
    cases["a file too much"] = [good | {name: b"x"} for name in ("more", "records/tix/x.json", "ledger/00000099.json")]
    for name, forged in cases.items():
        told = [
            refused(_packed(folder / "forged.zip", _listed(files, key))) for files in forged for key in (KEY, OTHER)
        ]
        yield Fault(f"{name}, packed and signed anew", len(told), sum(map(bool, told)), _short(told))
    plain = [good | {"manifest.sig": sign(OTHER, good["manifest.json"])}]
    told = [refused(_packed(folder / "forged.zip", files)) for files in plain]
    told.append(refused(bundle, key=key_id(public_of(OTHER))))
    yield Fault("another key", len(told), sum(map(bool, told)), _short(told))
    told = [refused(bundle, anchors=[kept]), refused(bundle, head=kept.split(b" ")[3].decode())]
    yield Fault("a replayed old ledger, whole and well signed", len(told), sum(map(bool, told)), _short(told))


def _short(told: Sequence[str]) -> str:
    return next((text for text in told if text), "").replace("\n", " ")[:70]


def clocks(base: Path, folder: Path) -> Fault:
    """Let the clock go back before every act."""
    injected = survived = 0
    for act, early in (
        ("publish", lambda h: publish(h, [INDEX], days=[NEXT], at=AT - timedelta(seconds=1), key=KEY)),
        (
            "cease",
            lambda h: cease(h, INDEX, last=NEXT, at=AT - timedelta(days=1), reason="x", approved_by=BOTH, key=KEY),
        ),
        ("key", lambda h: introduce_key(h, OTHER, at=AT - timedelta(microseconds=1), valid_to=None, key=KEY)),
    ):
        path = folder / f"clock {act}"
        shutil.copytree(base, path)
        before = state(Home.open(path))
        injected += 1
        try:
            early(Home.open(path))
        except LedgerError as wrong:
            survived += "clock" in wrong.remedy and state(Home.open(path)) == before
    return Fault("a clock that goes back", injected, survived, "the clock says …: nothing was written")


def _racer(path: Path, days: Sequence[date], report: Any) -> None:
    home, done = Home.open(path), 0
    for day in days:
        try:
            publish(home, [INDEX], days=[day], at=LATER, key=KEY)
            done += 1
        except LedgerError as wrong:
            assert "published already" in str(wrong), wrong
    report.send(done)


def races(base: Path, folder: Path, programs: int = 3) -> Fault:
    """Let several programs publish the same dates."""
    path = folder / "race"
    shutil.copytree(base, path)
    days = [date(2026, 6, day) for day in range(1, 21)]
    pipes = [multiprocessing.Pipe(duplex=False) for _ in range(programs)]
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=_racer, args=(path, days, there)) for _, there in pipes]
    for program in started:
        program.start()
    done = sum(here.recv() for here, _ in pipes)
    for program in started:
        program.join(timeout=60)
    home = Home.open(path)
    state(home)
    once = sum(len(home.ledger().figures[INDEX, str(day)]) == 1 for day in days)
    return Fault(
        f"{programs} programs publish the same dates", len(days), once if done == len(days) else 0, "published already"
    )


@contextmanager
def _timed(name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    print(f"{name}: {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)


def base_home(folder: Path) -> Path:
    """Return a home with a signed ledger, two published dates and an anchor."""
    path = folder / "base"
    shutil.copytree(Home.sample().path, path)
    with (path / "home.toml").open("a", encoding="utf-8") as settings:
        settings.write('store = "parquet"\n')
    home = Home.open(path)
    introduce_key(home, KEY, at=AT, valid_to=None, key=None)
    publish(home, [INDEX], days=DAYS, at=AT, key=KEY)
    return path


def table(folder: Path, *, every: int, only: str = "") -> Iterator[Fault]:
    """Yield the lines of the table."""
    base = base_home(folder)
    for how in ("kill", "full"):
        for act in ACTS:
            if only in f"{act} {how}":
                with _timed(f"{act}, {how}"):
                    yield interrupted(base, folder, act, how, every)
    if only:
        return
    yield clocks(base, folder)
    with _timed("races"):
        yield races(base, folder)
    bundle = folder / "bundle.zip"
    write_bundle(Home.open(base), bundle, indices=[], start=DAYS[0], end=DAYS[0], key=KEY)
    ahead = Home.open(shutil.copytree(base, folder / "ahead"))
    publish(ahead, [INDEX], days=[NEXT], at=LATER, key=KEY)
    kept = (ahead.path / anchor(ahead)).read_bytes()
    with _timed("forgeries"):
        yield from forgeries(bundle, folder, kept)
    with _timed("flipped files"):
        yield flipped_files(bundle, folder, every)
    with _timed("flipped bytes"):
        yield flipped_bytes(bundle, folder, every)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 1 if a fault was not survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="inject at every N-th point only")
    parser.add_argument("--only", default="", metavar="TEXT", help="only acts whose name holds this")
    chosen = parser.parse_args(arguments)
    lost = 0
    print("| fault | injected | survived | what is said |\n|---|---:|---:|---|")
    with tempfile.TemporaryDirectory() as folder:
        for fault in table(Path(folder), every=chosen.every, only=chosen.only):
            print(f"| {fault.name} | {fault.injected:,} | {fault.survived:,} | {fault.told} |", flush=True)
            lost += fault.injected - fault.survived
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
