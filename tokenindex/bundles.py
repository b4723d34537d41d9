"""Evidence bundles: everything from which published figures can be reproduced, in one file.

*Reads* a home, or a bundle. *Writes* a bundle, or the steps of its verification. *Never* asks a home, a network or a
clock to verify, and trusts no figure: captures are parsed and dates determined again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import polars as pl

from .chains import Entry, file_of, linked
from .containers import Container, pack
from .documents import load
from .errors import LedgerError
from .files import new_file
from .home import Home, Progress, folder_of
from .ledger import Ledger, check_anchor, check_signature, check_signatures, figures
from .methodology import Methodology, in_force
from .records import Record, canonical, registry_digest
from .registers import read_registry
from .signing import installed, key_id, public_of, sign
from .verification import Evidence, Step, difference, refused, reproduce

FORMAT: Final = "tokenindex bundle 1"
FIGURE_KINDS: Final = ("publication", "restatement", "correction")
OUTSIDE: Final = ("manifest.json", "manifest.sig")
LOOSE: Final = (*OUTSIDE, "README.md", "recompute.py")
FOLDERS: Final = ("anchors", "captures", "keys", "ledger", "methodology", "records", "registries", "signatures")
README: Final = """# Evidence of published fixings

Everything from which the fixings listed in manifest.json can be reproduced: the captured files (captures/), the
methodology documents, the registries, the records, the ledger with its signatures and public keys. No network is needed.

With the standard library of Python alone: digests, chain, signatures, and each figure from the tables of its record.

    python3 recompute.py THIS.zip

With the library: captured files are parsed and every fixing is determined again, bit for bit.

    pip install 'tokenindex[sign]'
    tokenindex verify THIS.zip

Compare the id of the first key with the one that the administrator has published (--key), and the ledger with an anchor
that you hold (--anchor). A signature by hand, after unpacking:

    openssl pkeyutl -verify -pubin -inkey keys/KEY.pem -rawin -in ledger/00000001.json -sigfile signatures/DIGEST.sig

where KEY stands in the entry and DIGEST is the SHA-256 of the file of the entry.
"""


def write_bundle(
    home: Home,
    path: Path,
    *,
    indices: Sequence[str],
    start: date,
    end: date,
    key: bytes | None,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """Write the evidence of the published fixings of some indices and dates into a new file, and return its manifest.

    Parameters
    ----------
    indices : sequence of str
        Names of indices; none: every published one.
    start, end : date
        First and last fixing date.
    key : bytes or None
        The private key that signs, if the ledger is signed.

    Raises
    ------
    LedgerError
        If nothing of it is published, a record or capture is gone, or the home does not name the licences that allow it.
    """
    ledger = home.ledger()
    chosen = [
        entry
        for (index, day), entries in ledger.figures.items()
        if (not indices or index in indices) and start.isoformat() <= day <= end.isoformat()
        for entry in entries
    ]
    if not chosen:
        raise LedgerError("nothing of that is published", expected=", ".join(sorted({i for i, _ in ledger.figures})))
    chosen.sort(key=lambda entry: entry.number)
    parts = _Parts(home, progress)
    for number, entry in enumerate(chosen, start=1):
        progress(f"collecting {number} of {len(chosen)}")
        parts.add(entry)
    parts.add_ledger(ledger)
    manifest = canonical(
        {
            "bundle": FORMAT,
            "files": dict(parts.listed),
            "ledger": {"number": chosen_head(ledger).number, "sha256": chosen_head(ledger).sha256},
            "commitments": sorted(parts.withheld.values(), key=lambda c: c["sha256"]),
            "fixings": [
                {name: e.fields["body"][name] for name in ("index", "fixing_date", "record")} | {"entry": e.number}
                for e in chosen
            ],
        }
    )
    outside = {"manifest.json": manifest}
    if ledger.signer:
        outside["manifest.sig"] = _sealed(ledger, key, manifest)
    names = sorted([*parts.listed, *outside])
    if path.exists() or not new_file(path, lambda f: pack(f, ((n, outside.get(n) or parts.content(n)) for n in names))):
        raise LedgerError("the file is there already", where=str(path), remedy="name another file")
    written: dict[str, Any] = json.loads(manifest)
    return written


def chosen_head(ledger: Ledger) -> Entry:
    """Return the head of a ledger that is not empty."""
    if ledger.last is None:
        raise LedgerError("the ledger is empty", remedy="publish something first")
    return ledger.last


class _Parts:
    """The members of a bundle to be: their digests and sizes, and how each is read when it is its turn."""

    def __init__(self, home: Home, progress: Progress) -> None:
        self.home, self.progress = home, progress
        self.listed: dict[str, dict[str, Any]] = {}
        self.withheld: dict[str, dict[str, str]] = {}
        self._read: dict[str, Callable[[], bytes]] = {}
        allowed = home.settings.get("redistributable")
        if allowed is None:
            raise LedgerError(
                "the home does not say which captured files may be passed on",
                where=home.where("home.toml"),
                expected="redistributable = [licences]",
            )
        self._allowed = set(allowed)
        self._captures = {c.sha256: c for c in reversed(home.captures())}
        self.put("README.md", README.encode())
        self.put("recompute.py", Path(__file__).with_name("recompute.py").read_bytes())

    def put(self, name: str, content: bytes, read: Callable[[], bytes] | None = None) -> None:
        """Add a member; `read` gives it again where it is too large to be kept."""
        if name not in self.listed:
            self.listed[name] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
            self._read[name] = read or (lambda: content)

    def content(self, name: str) -> bytes:
        """Return a member, which must be as it was when it was added."""
        content = self._read[name]()
        if hashlib.sha256(content).hexdigest() != self.listed[name]["sha256"]:
            raise LedgerError("the file changed while the bundle was written", where=name)
        return content

    def add(self, entry: Entry) -> None:
        """Add the record of an entry, and what it rests on."""
        held = self.home.record_of(entry)
        document = held.document
        self.put(record_name(document, held.sha256), held.content, lambda: self.home.record_of(entry).content)
        evidence = self.home.evidence()
        methodology = evidence.methodology(document["methodology"]["sha256"])
        registry = self.home.registry_bytes(document["registry"])
        if methodology is None or registry is None:
            missing = "methodology document" if methodology is None else "registry"
            raise LedgerError(f"the {missing} of the record is gone", where=repr(held), remedy="restore it from a copy")
        self.put(f"methodology/{methodology.sha256}.toml", methodology.text)
        self.put(f"registries/{document['registry']}.csv", registry)
        for capture in document["captures"]:
            self._add_capture(capture["sha256"], capture["name"])

    def _add_capture(self, sha256: str, name: str) -> None:
        if f"captures/{sha256}" in self.listed or sha256 in self.withheld:
            return
        known = self._captures.get(sha256)
        licence = (known.licence if known else None) or ""
        if licence not in self._allowed:
            self.withheld[sha256] = {"sha256": sha256, "name": name, "licence": licence}
            return
        content = self.home.content(sha256)
        if content is None:
            raise LedgerError("the captured file is gone", where=name, expected=sha256, remedy="restore it from a copy")
        self.put(f"captures/{sha256}", content, lambda: self.home.content(sha256) or b"")

    def add_ledger(self, ledger: Ledger) -> None:
        """Add every entry with its signature, the public keys and the anchors."""
        for entry in ledger.entries:
            self.put(file_of("ledger", entry.number), entry.content)
            signature = self.home.files.read(f"signatures/{entry.sha256}.sig")
            if signature is not None:
                self.put(f"signatures/{entry.sha256}.sig", signature)
        for entry in ledger.keys:
            public = entry.fields["body"]["public_key"]
            self.put(f"keys/{key_id(public)}.pem", public.encode())
        for name in self.home.files.names("anchors"):
            self.put(name, self.home.files.read(name) or b"")


def record_name(document: dict[str, Any], sha256: str) -> str:
    """Return the name of the member of a record."""
    return f"records/{folder_of(document['index'])}/{document['fixing_date']}_{sha256[:16]}.json"


def _sealed(ledger: Ledger, key: bytes | None, manifest: bytes) -> bytes:
    if key is None:
        raise LedgerError("the ledger is signed, and no key is given", expected=f"the key {ledger.signer}")
    if key_id(public_of(key)) != ledger.signer:
        raise LedgerError(f"this is the key {key_id(public_of(key))}", expected=f"the key {ledger.signer}")
    return sign(key, manifest)


def verify_bundle(
    path: Path,
    *,
    key: str | None = None,
    head: str | None = None,
    anchors: Sequence[bytes] = (),
    progress: Progress = lambda _: None,
) -> Iterator[Step]:
    """Yield the steps of the verification of a bundle, as each passes.

    1. container  2. manifest  3. ledger  4. signatures  5. anchors  6. records  7. captures, documents and registries
    8. determination.

    Parameters
    ----------
    key : str, optional
        Id of the first key of the ledger, or its first digits, from a source other than the bundle.
    head : str, optional
        Digest of an entry that the ledger must hold, such as the head that was published.
    anchors : sequence of bytes
        Anchors that somebody else kept.

    Raises
    ------
    VerificationError
        At the first step that fails, naming the file, and the table, row and column of a record.
    """
    bundle = _Bundle(Container(path))
    yield Step(1, "container", f"{len(bundle.container.names):,} files, {path.stat().st_size:,} bytes")
    manifest = bundle.manifest
    bundle.check_files(progress)
    yield Step(2, "manifest", f"{len(manifest['files']):,} files hash to their digests")
    ledger = bundle.ledger
    yield Step(3, "ledger", f"{len(ledger.entries):,} entries, head {chosen_head(ledger).sha256}")
    yield Step(4, "signatures", bundle.check_signatures(key))
    yield Step(5, "anchors", bundle.check_anchors(head, anchors))
    records = bundle.records()
    yield Step(6, "records", f"{len(records):,} records hold the figures that the ledger published")
    whole, partly = bundle.divided(records)
    kept = f"{bundle.count('captures/')} files" + (f", {len(bundle.withheld)} withheld" if bundle.withheld else "")
    yield Step(7, "captures", kept)
    done = 0
    with refused(8):
        for held in reproduce(whole, evidence=bundle.evidence()):
            done += 1
            progress(f"reproduced {done} of {len(whole)}: {held!r}")
    told = f"{done:,} records were reproduced bit for bit"
    if partly:
        told += f"; {len(partly):,} rest on captures that are withheld and were not reproduced"
    yield Step(8, "determination", told)


class _Bundle:
    """A bundle that is being verified."""

    def __init__(self, container: Container) -> None:
        self.container = container

    @cached_property
    def manifest(self) -> dict[str, Any]:
        content = self.container.read("manifest.json")
        try:
            held = json.loads(content)
            whole = canonical(held) == content and held["bundle"] == FORMAT and isinstance(held["files"], dict)
            whole = whole and sorted(held) == ["bundle", "commitments", "files", "fixings", "ledger"]
            lists = [held["commitments"], held["fixings"]]
            whole = whole and all(isinstance(part, list) and all(isinstance(x, dict) for x in part) for part in lists)
        except (ValueError, RecursionError, KeyError, TypeError):
            whole = False
        if not whole:
            raise difference(2, "this is no manifest", where="manifest.json", expected=FORMAT)
        found: dict[str, Any] = held
        return found

    def check_files(self, progress: Progress) -> None:
        """Refuse a file that is missing, too much, or other than the manifest says."""
        listed = self.manifest["files"]
        there = set(self.container.names) - set(OUTSIDE)
        for name in sorted(there):
            if name not in LOOSE and name.split("/")[0] not in FOLDERS:
                raise difference(2, "a bundle has no such file", where=name, expected=", ".join([*LOOSE, *FOLDERS]))
        for name in sorted(there ^ set(listed)):
            found = "the file is missing" if name in listed else "the file is not in the manifest"
            raise difference(2, found, where=name)
        for number, (name, facts) in enumerate(sorted(listed.items()), start=1):
            progress(f"file {number} of {len(listed)}")
            content = self.container.read(name)
            actual = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
            if facts != actual:
                raise difference(2, f"the file hashes to {actual['sha256']}", where=name, expected=str(facts))

    @cached_property
    def ledger(self) -> Ledger:
        names = [name for name in self.container.names if name.startswith("ledger/")]
        for number, name in enumerate(names, start=1):
            if name != file_of("ledger", number):
                raise difference(3, f"there is {name}", expected=file_of("ledger", number))
        with refused(3):
            ledger = Ledger.of(linked("ledger", (self.container.read(name) for name in names)))
        head = self.manifest["ledger"]
        last = ledger.last
        if last is None or head != {"number": last.number, "sha256": last.sha256}:
            raise difference(3, f"the ledger ends with {last!r}", expected=str(head), where="manifest.json ledger")
        return ledger

    def check_signatures(self, key: str | None) -> str:
        """Return what was found; refuse a signature that is missing or wrong, or another first key than `key`."""
        if self.ledger.signer:
            installed()  # that is no fault of the evidence
        with refused(4):
            keys = check_signatures(self.ledger, self._file)
        first, signer = next(iter(keys), None), self.ledger.signer
        if key is not None and not (key and first and first.startswith(key.lower())):
            raise difference(4, f"the first key is {first}", expected=f"the key {key}")
        if signer is None:
            return f"none: {len(self.ledger.entries):,} entries are chained and not signed"
        with refused(4):
            check_signature(
                self._file("manifest.sig"),
                keys[signer],
                self.container.read("manifest.json"),
                of="manifest.sig of manifest.json",
            )
        told = "" if key else " (none was given to compare with)"
        return f"{len(self.ledger.entries):,} entries and the manifest, {len(keys)} keys, first {first}{told}"

    def _file(self, name: str) -> bytes | None:
        return self.container.read(name) if name in self.container else None

    def check_anchors(self, head: str | None, given: Sequence[bytes]) -> str:
        """Return what was found; refuse a ledger that is shorter or another than an anchor says."""
        names = [name for name in self.container.names if name.startswith("anchors/")]
        texts = [
            *((name, self.container.read(name)) for name in names),
            *((f"given {k}", t) for k, t in enumerate(given, 1)),
        ]
        with refused(5):
            for name, content in texts:
                check_anchor(self.ledger, content, where=name)
        if head is not None and not any(head and e.sha256.startswith(head.lower()) for e in self.ledger.entries):
            raise difference(5, "no entry has that digest", expected=head, where="ledger: cut short, or an older one")
        told = f"{len(texts)} agree with the ledger"
        return told if given or head else told + " (none was given to compare with)"

    def records(self) -> list[Record]:
        """Return the records of the fixings; refuse one whose figures are not those of its entry."""
        found = []
        chosen = self.manifest["fixings"]
        entries = {entry.number: entry for entry in self.ledger.entries}
        named = set()
        for fixing in chosen:
            entry = entries.get(fixing.get("entry"))
            body = entry.fields["body"] if entry and entry.fields["kind"] in FIGURE_KINDS else {}
            if any(body.get(name) != fixing.get(name) for name in ("index", "fixing_date", "record")):
                raise difference(6, f"the ledger does not hold {fixing}", where="manifest.json fixings")
            name = record_name(body, body["record"])
            named.add(name)
            held = Record(self.container.read(name))
            if held.sha256 != body["record"]:
                raise difference(6, f"the record hashes to {held.sha256}", where=name, expected=body["record"])
            self._check_figures(held, body, name)
            found.append(held)
        more = {name for name in self.container.names if name.startswith("records/")} - named
        if more:
            raise difference(6, "the record belongs to no fixing", where=min(more))
        return found

    def _check_figures(self, held: Record, body: dict[str, Any], name: str) -> None:
        try:
            document = held.document
            there = {k: document[k] for k in ("index", "fixing_date", "version")}
            there |= {"methodology": document["methodology"]["sha256"], "fixing": figures(document["fixing"])}
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            raise difference(6, "this is not a record", where=name) from None
        for key, found in there.items():
            if found != body[key]:
                raise difference(6, f"{key} is {found}", where=name, expected=f"{body[key]}, as the ledger says")

    @cached_property
    def withheld(self) -> set[str]:
        return {str(c.get("sha256")) for c in self.manifest["commitments"]}

    def divided(self, records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
        """Return the records whose captures are all here, and those with one that is withheld."""
        whole: list[Record] = []
        partly: list[Record] = []
        for held in records:
            needed = {str(c["sha256"]) for c in held.document["captures"]}
            gone = {sha256 for sha256 in needed if f"captures/{sha256}" not in self.container}
            if gone - self.withheld:
                where = f"{held!r}"
                raise difference(7, "a captured file is missing", where=where, expected=min(gone - self.withheld))
            (partly if gone else whole).append(held)
        return whole, partly

    def count(self, folder: str) -> int:
        """Return the number of members in a folder."""
        return sum(name.startswith(folder) for name in self.container.names)

    def evidence(self) -> Evidence:
        """Return where verification finds what it needs: here and nowhere else."""
        return Evidence(self._capture, self._methodologies.get, self._registry, self._in_force)

    def _capture(self, sha256: str) -> bytes | None:
        return self._file(f"captures/{sha256}")

    @cached_property
    def _methodologies(self) -> dict[str, Methodology]:
        names = [name for name in self.container.names if name.startswith("methodology/")]
        with refused(7):
            found = [load(self.container.read(name), where=name) for name in names]
        return {m.sha256: m for m in found}

    def _in_force(self, index: str, day: date) -> Methodology:
        return in_force(self._methodologies.values(), index=index, day=day)

    def _registry(self, digest: str) -> pl.DataFrame | None:
        name = f"registries/{digest}.csv"
        if name not in self.container:
            return None
        frame = read_registry(self.container.read(name), where=name)
        return frame if registry_digest(frame) == digest else None
