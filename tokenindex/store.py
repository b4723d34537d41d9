"""The home folder: captures, registry, documents and records on a disk.

*Reads* and *writes* files, atomically and flushed. *Never* changes what is stored: captures and records are named by
their digest, and the list of captures only grows.

    HOME/home.toml          settings: known_at of an archive, if it is one
    HOME/captures.csv       one row a captured file: digest, name, adapter, source, moments, licence
                            (a file that is not in the list is not there: it is listed last)
    HOME/captures/NAME      the bytes
    HOME/sources.toml       the addresses that may be fetched, with every limit of doing so
    HOME/fetches.csv        one row a fetched capture: how it was got
    HOME/tables/LOOK/       parsed tables of a capture: a cache, made again when the adapter's version changes
    HOME/registry.csv       the registry in use; HOME/registries/ holds every one that a record names
    HOME/links.csv          links between models, for the administrator; a home need not have them
    HOME/methodology/       documents besides those that tokenindex ships
    HOME/records/INDEX/     records, by date and digest
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import os
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path

import polars as pl

from .adapters import Capture, Parsed, adapter, look
from .adapters.reading import in_utc, written
from .documents import load
from .errors import InputDataError, LedgerError, MethodologyError
from .identity import checked_links
from .inputs import Inputs
from .methodology import Methodology, in_force
from .records import Record, registry_digest
from .registers import read_registry, read_table
from .sources import EXAMPLE, Source, read_sources
from .tables import LINKS
from .verification import Evidence, merge

COLUMNS = ("sha256", "name", "adapter", "source", "seen_at", "known_at", "licence", "reference", "adapter_version")
Progress = Callable[[str], None]


def shipped(name: str) -> Path:
    """Return the folder ``methodology`` or ``sample_data`` that comes with tokenindex."""
    installed = Path(__file__).parent / "_shipped" / name
    return installed if installed.is_dir() else Path(__file__).parent.parent / name


def documents(folder: Path, index: str = "*") -> Iterator[Methodology]:
    """Yield the methodology documents ``folder/INDEX/VERSION.toml``, by path.

    Raises
    ------
    MethodologyError
        If a document stands under another name than the index and version it defines.
    """
    for path in sorted(folder.glob("*/*.toml")):
        if index not in ("*", path.parent.name):
            continue
        found = load(path.read_bytes(), where=str(path.relative_to(folder)))
        if (path.parent.name, path.stem) != (found.identity.index, found.version):
            raise MethodologyError(f"the document defines {found.index} {found.version}", where=str(path))
        yield found


@dataclass(frozen=True)
class Home:
    """A home folder. Open one with `Home.open`, make one with `Home.init`."""

    path: Path

    @classmethod
    def open(cls, path: Path | str) -> Home:
        """Return the home at `path`.

        Raises
        ------
        LedgerError
            If there is none.
        """
        home = cls(Path(path))
        if not (home.path / "captures.csv").is_file():
            raise LedgerError(f"{path} is not a home folder", remedy="make one with: tokenindex init HOME")
        return home

    @classmethod
    def sample(cls) -> Home:
        """Return the home with real figures that comes with tokenindex."""
        return cls.open(shipped("sample_data"))

    @classmethod
    def init(cls, path: Path | str) -> Home:
        """Make an empty home at `path` with the shipped registry.

        Raises
        ------
        LedgerError
            If something is there already: nothing is overwritten.
        """
        home = cls(Path(path))
        if home.path.exists() and any(home.path.iterdir()):
            raise LedgerError(f"{path} is not empty", remedy="name a folder that does not exist yet")
        (home.path / "captures").mkdir(parents=True)
        (home.path / "methodology").mkdir()
        for name in ("registry.csv", "links.csv"):
            shutil.copyfile(shipped("sample_data") / name, home.path / name)
        _write(home.path / "home.toml", b"# Settings of this tokenindex home.\n")
        _write(home.path / "sources.toml", EXAMPLE.encode())
        _write(home.path / "captures.csv", (",".join(COLUMNS) + "\n").encode())
        return home

    @cached_property
    def known_at(self) -> datetime | None:
        """The moment from which an archive is looked at; None for a home that grows day by day."""
        path = self.path / "home.toml"
        try:
            settings = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except ValueError as wrong:
            raise InputDataError(str(wrong), where=str(path), expected="a TOML file in UTF-8") from None
        moment = settings.pop("known_at", None)
        if settings or (moment is not None and (not isinstance(moment, datetime) or moment.tzinfo is None)):
            found = f"unknown or wrong settings {sorted(settings) or moment}"
            raise InputDataError(found, where=str(path), expected="known_at = a moment with zone")
        return moment.astimezone(UTC) if moment else None

    def sources(self) -> dict[str, Source]:
        """Return the addresses that may be fetched, by name; InputDataError if ``sources.toml`` is missing or wrong."""
        path = self.path / "sources.toml"
        if not path.is_file():
            raise InputDataError("there is no such file", where=str(path), expected="what may be fetched")
        return read_sources(path.read_bytes(), where=str(path))

    def captures(self) -> list[Capture]:
        """Return the facts of every captured file."""
        return [capture for capture, _ in self._listed()]

    def _listed(self) -> list[tuple[Capture, str]]:
        path = self.path / "captures.csv"
        number, found = 1, []
        try:
            with path.open(encoding="utf-8", newline="") as lines:
                for number, row in enumerate(csv.DictReader(lines), start=2):  # noqa: B007
                    capture = Capture(
                        sha256=row["sha256"],
                        name=row["name"],
                        adapter=row["adapter"],
                        source=row["source"],
                        seen_at=moment(row["seen_at"]),
                        known_at=moment(row["known_at"]),
                        licence=row["licence"] or None,
                        reference=row["reference"] or None,
                    )
                    found.append((capture, row.get("adapter_version") or ""))
        except (KeyError, ValueError, TypeError, csv.Error) as wrong:
            raise InputDataError(f"{wrong!r}", where=f"{path} line {number}", expected=", ".join(COLUMNS)) from None
        return found

    def content(self, sha256: str) -> bytes | None:
        """Return the bytes of a capture, or None if this home does not hold it."""
        capture = self.capture(sha256)
        path = self.path / "captures" / capture.name if capture else None
        return path.read_bytes() if path and path.is_file() else None

    def capture(self, sha256: str, like: Capture | None = None) -> Capture | None:
        """Return the facts of a capture, those that come nearest to `like`, or None if this home does not list it.

        The same bytes may have been seen several times: that a source does not change is a fact as well.
        """
        same = [c for c in self.captures() if c.sha256 == sha256]
        looks = [c for c in same if like and look(c) == look(like)]
        return next(iter([*looks, *same]), None)

    def inputs(self, *, progress: Progress = lambda _: None) -> Inputs:
        """Return the input tables of every capture."""
        listed = self._listed()
        parsed = []
        for number, (capture, version) in enumerate(listed, start=1):
            progress(f"reading {number} of {len(listed)}: {capture.name}")
            content = self._intact(capture)
            parsed.append(self._cached(capture, version) or adapter(capture.adapter).parse(content, capture))
        return merge(parsed, self.registry)

    def _cached(self, capture: Capture, version: str) -> Parsed | None:
        """Return the cached tables; None unless every file of them is there as it was written."""
        folder = self._tables(capture)
        listed = folder / "sha256.txt"
        if not listed.is_file() or version != adapter(capture.adapter).version:
            return None
        held = {path.stem: path.read_bytes() for path in sorted(folder.glob("*.arrow"))}
        if listed.read_bytes() != _digests(held):
            return None
        tables = {table.name.lower(): table for table in Parsed().tables()}
        return Parsed(**{name: tables[name].conform(pl.read_ipc(content)) for name, content in held.items()})

    def _intact(self, capture: Capture) -> bytes:
        path = self.path / "captures" / capture.name
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise InputDataError("the captured file is gone", where=str(path), expected=capture.sha256) from None
        actual = hashlib.sha256(content).hexdigest()
        if actual != capture.sha256:
            raise InputDataError(
                f"the file hashes to {actual}",
                where=str(path),
                expected=capture.sha256,
                remedy="restore the captured bytes: a capture never changes",
            )
        return content

    def ingest(
        self,
        file: Path,
        *,
        adapter_name: str,
        source: str,
        seen_at: datetime,
        known_at: datetime,
        licence: str | None = None,
        reference: str | None = None,
    ) -> Parsed | None:
        """Store a captured file and its tables; return what it held, or None if it was listed before.

        Bytes that were stored when they were seen at another moment are listed once more and not stored twice. Nothing is
        stored if the file cannot be read or a row does not fit its table.

        Raises
        ------
        InputDataError
            If the file is not what the adapter reads, or a fact of it does not fit into one line of text.
        """
        facts = {"adapter": adapter_name, "source": source, "licence": licence or None, "reference": reference or None}
        for text in (source, licence or "", reference or ""):
            if not text.isprintable():
                raise InputDataError(f"{text!r} is not printable", where=file.name, expected="one line of text")
        seen_at, known_at = in_utc(seen_at), in_utc(known_at)
        content = file.read_bytes()
        return self.keep(content, Capture.of(content, name=file.name, seen_at=seen_at, known_at=known_at, **facts))

    def keep(self, content: bytes, capture: Capture, *, fetched: dict[str, str] | None = None) -> Parsed | None:
        """Store captured bytes, by the rules of `ingest`; `fetched` says how they were got, a row of ``fetches.csv``."""
        reader, known_as = adapter(capture.adapter), capture.name
        name = f"{capture.seen_at.date()}_{capture.sha256[:12]}_{_short(known_as)}"
        capture = replace(capture, name=name)
        if self._lists(capture):
            return None
        # errors name the file as the user knows it
        parsed = reader.parse(content, replace(capture, name=known_as)).checked(where=known_as)
        _refuse_nothing(parsed, capture.adapter, where=known_as)
        with _alone(self.path):
            if self._lists(capture):
                return None
            stored = self.capture(capture.sha256)
            if stored:
                capture = replace(capture, name=stored.name)
            else:
                _write(self.path / "captures" / name, content)
            self._cache(capture, parsed)
            if fetched:
                _append(self.path / "fetches.csv", fetched)
            self._list(capture, reader.version)
        return parsed

    def _lists(self, capture: Capture) -> bool:
        there = self.capture(capture.sha256, capture)
        return there is not None and look(there) == look(capture)

    def _tables(self, capture: Capture) -> Path:
        return self.path / "tables" / hashlib.sha256(repr(look(capture)).encode()).hexdigest()

    def _cache(self, capture: Capture, parsed: Parsed) -> None:
        folder = self._tables(capture)
        if folder.exists():  # an ingest that was cut short, perhaps with another adapter
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        held = {}
        for table, frame in parsed.tables().items():
            if len(frame):
                buffer = io.BytesIO()
                frame.write_ipc(buffer)
                held[table.name.lower()] = buffer.getvalue()
                _write(folder / f"{table.name.lower()}.arrow", buffer.getvalue())
        _write(folder / "sha256.txt", _digests(held))

    def _list(self, capture: Capture, version: str) -> None:
        moments = {"seen_at": written(capture.seen_at), "known_at": written(capture.known_at)}
        row = {**vars(capture), **moments, "adapter_version": version}
        _append(self.path / "captures.csv", {name: row[name] for name in COLUMNS})

    @cached_property
    def registry(self) -> pl.DataFrame:
        """The registry in use."""
        return read_registry(self.path / "registry.csv")

    @cached_property
    def links(self) -> pl.DataFrame:
        """The LINKS in use, which agree with the registry; none if the home has no such file."""
        path = self.path / "links.csv"
        return (
            checked_links(read_table(path, LINKS), self.registry, where=str(path)) if path.exists() else LINKS.empty()
        )

    def documents(self, index: str = "*") -> list[Methodology]:
        """Return the shipped documents and those of this home, of one index or of all."""
        return [*documents(shipped("methodology"), index), *documents(self.path / "methodology", index)]

    def methodology(self, index: str, day: date) -> Methodology:
        """Return the version of `index`, such as ``tix``, ``tix.output`` or ``tix:agentic``, in force on `day`."""
        name = index.partition(".")[0].partition(":")[0]
        known = self.documents(name) if name.replace("-", "").isalnum() else []
        return in_force(known or self.documents(), index=index, day=day)

    def save(self, record: Record) -> Path:
        """Store a record and the registry it names; storing the same record again changes nothing."""
        held = record.document
        folder = self.path / "records" / str(held["index"])
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{held['fixing_date']}_{record.sha256[:16]}.json"
        registries = self.path / "registries"
        registries.mkdir(exist_ok=True)
        kept = registries / f"{registry_digest(self.registry)}.csv"
        if not kept.exists():
            _write(kept, (self.path / "registry.csv").read_bytes())
        if not path.exists():
            _write(path, record.content)
        return path

    def evidence(self) -> Evidence:
        """Return where verification finds the captures, documents and registries of this home."""
        known = {m.sha256: m for m in self.documents()}
        return Evidence(self.content, known.get, self._registry, self.methodology, self.capture)

    def _registry(self, digest: str) -> pl.DataFrame | None:
        kept = self.path / "registries" / f"{digest}.csv" if re.fullmatch("[0-9a-f]{64}", digest) else None
        frame = read_registry(kept) if kept and kept.exists() else self.registry
        return frame if registry_digest(frame) == digest else None

    def __repr__(self) -> str:
        return f"<Home {self.path} with {len(self.captures())} captures>"


def moment(text: str) -> datetime:
    """Return an ISO moment, or midnight UTC of an ISO date, in UTC."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        if len(text) > 10:
            raise ValueError(f"{text!r} has no zone")
        found = found.replace(tzinfo=UTC)
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is not a moment in UTC") from None


def _append(path: Path, row: Mapping[str, object]) -> None:
    """Add a row to a list that only grows; a list that is not there yet begins with its header."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(row.values())
    before = path.read_bytes() if path.exists() else (",".join(row) + "\n").encode()
    _write(path, before + line.getvalue().encode())


def _short(name: str) -> str:
    """Return a file name that any file system and any line of the list can hold."""
    return re.sub(r"[^\w .+@=~-]", "_", name, flags=re.ASCII)[-120:]


def _digests(held: dict[str, bytes]) -> bytes:
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}.arrow\n" for name, content in sorted(held.items())]
    return "".join(lines).encode()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other program stores something in `folder`, and keep others waiting."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _refuse_nothing(parsed: Parsed, adapter_name: str, *, where: str) -> None:
    """Refuse a file of which nothing could be read, not even that it was looked at."""
    rows = {table.name: len(frame) for table, frame in parsed.tables().items()}
    rejects = rows.pop("REJECTS")
    empty = (parsed.rejects["reason"] == "empty_snapshot").all()
    if rejects and not empty and not any(rows.values()):
        reasons = ", ".join(parsed.rejects["reason"].unique().sort())
        raise InputDataError(
            f"all {rejects} rows were rejected: {reasons}",
            where=where,
            expected=f"rows as read by the adapter {adapter_name!r}",
            remedy="correct the rows, or name the adapter that reads the file; nothing was stored",
        )


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it is whole or absent, also after a crash: a flushed temporary is renamed into place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
