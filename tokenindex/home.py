"""The home folder: captures, registry, documents, records and ledger in one place, on a disk or in object storage.

*Reads* and *writes* through `tokenindex.files`. *Never* changes what is stored: captures and records are named by their
digest, and the lists only grow.

    HOME/home.toml          settings
    HOME/looks/NUMBER.json  the list of captured files, a chain: digest, name, adapter, source, moments, licence, how it
                            was got (a file that is not in the list is not there: it is listed last)
    HOME/captures/NAME      the bytes; HOME/retired/ lists those that were removed after the years of retention
    HOME/store/, batches/   the rows of the captures as `tokenindex.store` keeps them; they can be made again
    HOME/gathered/          copies of many entries of a list in one file
    HOME/sources.toml       the addresses that may be fetched, with every limit of doing so
    HOME/registry.csv       the registry in use; HOME/registries/ holds every one that a record names
    HOME/links.csv          links between models, for the administrator; a home need not have them
    HOME/methodology/       documents besides those that tokenindex ships
    HOME/documents/         the documents that something was published by, by digest
    HOME/records/INDEX/     records, by date and digest
    HOME/ledger/NUMBER.json what was published, a chain; HOME/signatures/, HOME/keys/ and HOME/anchors/ belong to it

People write ``home.toml``, ``sources.toml``, ``registry.csv``, ``links.csv`` and documents; all else is written once.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from .adapters import Capture, Parsed, adapter, look
from .adapters.reading import in_utc
from .captures import Looks, intact, read, short
from .chains import Chain, Entry
from .documents import load
from .errors import InputDataError, LedgerError, MethodologyError
from .files import Files, LocalFiles, files_at, kept
from .identity import checked_links
from .inputs import CAPTURED, Inputs
from .methodology import Methodology, in_force
from .records import Record, registry_digest
from .registers import read_registry, read_table
from .store import KINDS, Batch, Store, assembled, open_store
from .tables import LINKS

if TYPE_CHECKING:
    from .ledger import Ledger
    from .sources import Source
    from .verification import Evidence

SETTINGS: Final[dict[str, tuple[Callable[[Any], bool], str]]] = {
    "known_at": (lambda s: isinstance(s, datetime) and s.tzinfo is not None, "a moment with zone"),
    "redistributable": (
        lambda s: isinstance(s, list) and all(isinstance(t, str) for t in s),
        "the licences under which captured files may be passed on, as the list of captures names them",
    ),
    "store": (lambda s: s in KINDS, "one of " + ", ".join(KINDS)),
}
"""Of each setting in ``home.toml``: what it may be."""
SETTINGS_EXAMPLE: Final = """# Settings of this tokenindex home.

# Where rows are kept once they were read: parquet (files and a chain), or delta (Delta tables, extra store).
store = "{store}"

# Captured files under these licences go into evidence bundles; of others the bundle holds the digest alone.
redistributable = ["Apache-2.0", "CC-BY-4.0", "CC0-1.0", "MIT"]
"""
Progress = Callable[[str], None]


def shipped(name: str) -> Path:
    """Return the folder ``methodology`` or ``sample_data`` that comes with tokenindex."""
    installed = Path(__file__).parent / "_shipped" / name
    return installed if installed.is_dir() else Path(__file__).parent.parent / name


def documents(files: Files, folder: str = "", index: str = "*") -> Iterator[Methodology]:
    """Yield the methodology documents ``folder/INDEX/VERSION.toml``, by path.

    Raises
    ------
    MethodologyError
        If a document stands under another name than the index and version it defines.
    """
    for name in sorted(files.names(folder), key=lambda name: name.split("/")):
        *_, base, file = ("", *name.split("/"))
        if not file.endswith(".toml") or index not in ("*", base):
            continue
        found = load(files.read(name) or b"", where=f"{base}/{file}")
        if (base, file.removesuffix(".toml")) != (found.identity.index, found.version):
            raise MethodologyError(f"the document defines {found.index} {found.version}", where=f"{base}/{file}")
        yield found


@dataclass(frozen=True)
class Home:
    """A home. Open one with `Home.open`, make one with `Home.init`."""

    files: Files

    @classmethod
    def open(cls, place: Path | str) -> Home:
        """Return the home in a folder, or in the object storage that an address such as ``s3://bucket/home`` names.

        Raises
        ------
        LedgerError
            If there is none.
        """
        home = cls(files_at(place))
        if home.files.read("home.toml") is None:
            raise LedgerError(f"{place} is not a home folder", remedy="make one with: tokenindex init HOME")
        return home

    @classmethod
    def sample(cls) -> Home:
        """Return the home with real figures that comes with tokenindex."""
        return cls.open(shipped("sample_data"))

    @classmethod
    def init(cls, place: Path | str, *, store: str = "parquet") -> Home:
        """Make an empty home with the shipped registry; one that was begun and not finished is finished.

        `store` is where it keeps the rows of its captures: ``parquet`` or ``delta``.

        Raises
        ------
        LedgerError
            If something else is there already: nothing is overwritten.
        """
        from .sources import EXAMPLE

        open_store(store, files_at(place))  # what it needs is installed
        home, sample = cls(files_at(place)), LocalFiles(shipped("sample_data"))
        new = {name: sample.read(name) or b"" for name in ("registry.csv", "links.csv")}
        # home.toml makes it a home: it comes last
        new |= {"sources.toml": EXAMPLE.encode(), "home.toml": SETTINGS_EXAMPLE.format(store=store).encode()}
        there = home.files.names("")
        if "home.toml" in there or set(there) - set(new):
            raise LedgerError(f"{place} is not empty", remedy="name a folder that does not exist yet")
        for name, content in new.items():
            kept(home.files, name, content)
        return home

    @property
    def path(self) -> Path:
        """The folder of a home on a disk."""
        if not isinstance(self.files, LocalFiles):
            raise LedgerError(f"{self.files} is not a folder", expected="a home on a disk")
        return self.files.path

    def where(self, name: str) -> str:
        """Return a file of the home as errors name it."""
        return f"{self.files}/{name}"

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What stands in ``home.toml``.

        Raises
        ------
        InputDataError
            If a setting is unknown or not what it must be.
        """
        where = self.where("home.toml")
        try:
            found = tomllib.loads((self.files.read("home.toml") or b"").decode())
        except ValueError as wrong:
            raise InputDataError(str(wrong), where=where, expected="a TOML file in UTF-8") from None
        for name, setting in found.items():
            right, expected = SETTINGS.get(name, (lambda _: False, "only " + ", ".join(SETTINGS)))
            if not right(setting):
                raise InputDataError(f"unknown or wrong setting {name} = {setting!r}", where=where, expected=expected)
        return found

    @cached_property
    def known_at(self) -> datetime | None:
        """The moment from which an archive is looked at; None for a home that grows day by day."""
        moment = self.settings.get("known_at")
        return moment.astimezone(UTC) if moment else None

    def sources(self) -> dict[str, Source]:
        """Return the addresses that may be fetched, by name; InputDataError if ``sources.toml`` is missing or wrong."""
        from .sources import read_sources

        where, content = self.where("sources.toml"), self.files.read("sources.toml")
        if content is None:
            raise InputDataError("there is no such file", where=where, expected="what may be fetched")
        return read_sources(content, where=where)

    @cached_property
    def seen(self) -> Looks:
        """The list of captured files as objects, and what of them was retired."""
        return Looks(self.files)

    @property
    def looks(self) -> Chain:
        """The list of captured files."""
        return self.seen.chain

    @cached_property
    def store(self) -> Store | None:
        """Where the rows of the captures are kept; None for a home without a store, whose captures are parsed each time."""
        kind = self.settings.get("store")
        return open_store(kind, self.files) if kind else None

    @cached_property
    def ledger_chain(self) -> Chain:
        """The entries of the ledger."""
        return Chain(self.files, "ledger")

    @cached_property
    def _ledger(self) -> Ledger:
        from .ledger import Ledger

        return Ledger()

    def ledger(self) -> Ledger:
        """Return the ledger as it is now.

        Raises
        ------
        LedgerError
            If an entry is missing or changed, or contradicts those before it.
        """
        for entry in self.ledger_chain.entries()[len(self._ledger.entries) :]:
            self._ledger.follow(entry)
        return self._ledger

    def record_of(self, entry: Entry) -> Record:
        """Return the record that an entry of the ledger names; LedgerError if this home does not hold it as it was."""
        body = entry.fields["body"]
        name = f"records/{folder_of(body['index'])}/{body['fixing_date']}_{body['record'][:16]}.json"
        held = Record(self.files.read(name) or b"")
        if held.sha256 != body["record"]:
            found = f"the record hashes to {held.sha256}" if held.content else "the record is gone"
            raise LedgerError(found, where=self.where(name), expected=body["record"], remedy="restore it from a copy")
        return held

    def captures(self) -> list[Capture]:
        """Return the facts of every captured file."""
        return list(self.seen.captures())

    def content(self, sha256: str) -> bytes | None:
        """Return the bytes of a capture, or None if this home does not hold it."""
        capture = self.capture(sha256)
        return self.files.read(f"captures/{capture.name}") if capture else None

    def capture(self, sha256: str, like: Capture | None = None) -> Capture | None:
        """Return the facts of a capture, those that come nearest to `like`, or None if this home does not list it.

        The same bytes may have been seen several times: that a source does not change is a fact as well.
        """
        same = self.seen.of(sha256)
        looks = [c for c in same if like and look(c) == look(like)]
        return next(iter([*looks, *same]), None)

    def current(self) -> dict[str, Batch]:
        """Return what the store is to hold: every look that was not retired, as the adapters of today read it."""
        batches = (Batch(capture, adapter(capture.adapter).version) for capture in self.seen.held())
        return {batch.key: batch for batch in batches}

    def inputs(self, *, since: date | None = None, progress: Progress = lambda _: None) -> Inputs:
        """Return the input tables of every capture that was not retired.

        The captures are the truth: their bytes are compared with their digests, and what the store does not hold as it was
        written is parsed again.

        Parameters
        ----------
        since : date, optional
            The first date that is to be determined from them.

        Raises
        ------
        InputDataError
            If the bytes of a capture are gone or changed.
        LedgerError
            If captures that `since` may need were retired.
        """
        self.seen.refuse_before(since)
        batches = self.current()
        found = self.store.read(batches) if self.store else None
        names = [f"captures/{batch.capture.name}" for batch in batches.values()]
        made: dict[str, Parsed] = {}
        contents = zip(batches.items(), self.files.read_each(names), strict=True)
        for number, ((key, batch), content) in enumerate(contents, start=1):
            progress(f"reading {number} of {len(batches)}: {batch.capture.name}")
            whole = intact(content, batch.capture, where=self.where(names[number - 1]))
            if found is None or key not in found.batches:
                made[key] = adapter(batch.capture.adapter).parse(whole, batch.capture)
        if found is None or self.store is None:
            return Inputs.of(list(made.values()), self.registry)
        self._remember(self.store, {key: (batches[key], parsed) for key, parsed in made.items()})
        tables = assembled(found, made, list(batches))
        return Inputs(**{name: tables[name] for name in CAPTURED}, registry=self.registry)

    def _remember(self, store: Store, made: dict[str, tuple[Batch, Parsed]]) -> None:
        """Store what was parsed. A disk that is full or may not be written to keeps nobody from reading."""
        there = store.batches() if made else {}
        try:
            for key, (batch, parsed) in made.items():
                store.append(batch, parsed, damaged=key in there)
        except OSError:
            return

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
        """Store captured bytes, by the rules of `ingest`; `fetched` says how they were got."""
        if self.seen.listed(capture):
            return None
        known_as, stored = capture.name, self.capture(capture.sha256)
        name = stored.name if stored else f"{capture.seen_at.date()}_{capture.sha256[:12]}_{short(known_as)}"
        capture = replace(capture, name=name)
        parsed = read(adapter(capture.adapter), content, capture, known_as=known_as)
        # the list comes last: what it does not name is not there
        kept(self.files, f"captures/{capture.name}", content)
        if self.store:
            self.store.append(Batch(capture, adapter(capture.adapter).version), parsed)
        return parsed if self.seen.add(capture, fetched) else None

    @cached_property
    def registry(self) -> pl.DataFrame:
        """The registry in use."""
        return read_registry(self._registry_bytes(), where=self.where("registry.csv"))

    def registry_bytes(self, digest: str) -> bytes | None:
        """Return the file of the registry with a digest, or None if this home does not hold it."""
        if not re.fullmatch("[0-9a-f]{64}", digest):
            return None
        for content in (self.files.read(f"registries/{digest}.csv"), self.files.read("registry.csv")):
            if content is not None and registry_digest(read_registry(content, where="a registry")) == digest:
                return content
        return None

    def _registry_bytes(self) -> bytes:
        content = self.files.read("registry.csv")
        if content is None:
            raise InputDataError("there is no such file", where=self.where("registry.csv"), expected="the registry")
        return content

    @cached_property
    def links(self) -> pl.DataFrame:
        """The LINKS in use, which agree with the registry; none if the home has no such file."""
        where, content = self.where("links.csv"), self.files.read("links.csv")
        if content is None:
            return LINKS.empty()
        return checked_links(read_table(content, LINKS, where=where), self.registry, where=where)

    def documents(self, index: str = "*") -> list[Methodology]:
        """Return the shipped documents and those of this home, of one index or of all."""
        ours = documents(LocalFiles(shipped("methodology")), "", index)
        return [*ours, *documents(self.files, "methodology", index)]

    def methodology(self, index: str, day: date) -> Methodology:
        """Return the version of `index`, such as ``tix``, ``tix.output`` or ``tix:agentic``, in force on `day`."""
        name = index.partition(".")[0].partition(":")[0]
        known = self.documents(name) if name.replace("-", "").isalnum() else []
        return in_force(known or self.documents(), index=index, day=day)

    def version(self, index: str, version: str) -> Methodology:
        """Return one version of `index`, in force or not."""
        name = index.partition(".")[0].partition(":")[0]
        known = {m.version: m for m in self.documents(name)}
        if version not in known:
            raise MethodologyError(
                f"there is no version {version!r}", where=index, expected="one of " + ", ".join(known)
            )
        return known[version].named(index)

    def save(self, record: Record) -> str:
        """Store a record and the registry it names, and return its name; storing it again changes nothing."""
        held = record.document
        name = f"records/{folder_of(held['index'])}/{held['fixing_date']}_{record.sha256[:16]}.json"
        kept(self.files, f"registries/{registry_digest(self.registry)}.csv", self._registry_bytes())
        kept(self.files, name, record.content)
        return name

    def evidence(self) -> Evidence:
        """Return where verification finds the captures, documents and registries of this home."""
        from .verification import Evidence

        return Evidence(self._needed, self.document, self._registry, self.methodology, self.capture)

    def _needed(self, sha256: str) -> bytes | None:
        content = self.content(sha256)
        if content is None:
            self.seen.refuse_retired(sha256)
        return content

    def keep_document(self, methodology: Methodology) -> None:
        """Store a document under its digest: what was published stays reproducible when documents are edited."""
        kept(self.files, f"documents/{methodology.sha256}.toml", methodology.text)

    @cached_property
    def _by_digest(self) -> dict[str, Methodology]:
        return {m.sha256: m for m in self.documents()}

    def document(self, sha256: str) -> Methodology | None:
        """Return the document with a digest: one in use, or one that was stored when it was published by."""
        known = self._by_digest
        content = self.files.read(f"documents/{sha256}.toml") if re.fullmatch("[0-9a-f]{64}", sha256) else None
        return known.get(sha256) or (load(content, where=f"documents/{sha256}.toml") if content else None)

    def _registry(self, digest: str) -> pl.DataFrame | None:
        content = self.registry_bytes(digest)
        return None if content is None else read_registry(content, where=f"registries/{digest}.csv")

    def __repr__(self) -> str:
        return f"<Home {self.files} with {len(self.looks.entries())} captures>"


def folder_of(index: str) -> str:
    """Return the name of the folder of an index: a colon is no part of a file name everywhere."""
    return index.replace(":", "~")
