"""The second verifier: good bundles pass, and every kind of difference is named where it is.

Records come from the library, which the verifier does not import; ledger, signatures and container are made here, with
`zipfile`, `hashlib` and the `cryptography` package.
"""

from __future__ import annotations

import ast
import base64
import copy
import csv
import hashlib
import io
import json
import random
import struct
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from markets import Market, markets
from test_reference import library_inputs

from tokenindex import recompute
from tokenindex.determination import determine
from tokenindex.documents import load
from tokenindex.home import Home
from tokenindex.records import record
from tokenindex.selection import Inputs

PROGRAM = Path(recompute.__file__)
SAMPLE = Path(__file__).parent.parent
FIGURES = ("status", "price", "level", "currency")
Document = dict[str, Any]
Change = Callable[[Document], object]


def digest(content: bytes) -> str:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def canon(content: Any) -> bytes:
    """Return canonical JSON, written out a second time."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def archive(
    members: dict[str, bytes], *, order: Iterable[str] | None = None, method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """Return a ZIP file of members with the digest in its comment."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in order or sorted(members):
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            file.writestr(info, members[name], compresslevel=1)
        file.comment = b"0" * 64
    return sealed(buffer.getvalue())


def sealed(content: bytes) -> bytes:
    """Return a ZIP file with the comment that it should have."""
    return content[:-64] + digest(content[:-86]).encode()


class Made:
    """A bundle in the making: entries as dictionaries, signed and chained when it is finished."""

    def __init__(self, *, documents: Iterable[bytes] = (), keys: int = 0) -> None:
        self.entries: list[Document] = []
        self.fixings: list[Document] = []
        self.commitments: dict[str, Document] = {}
        registry = (SAMPLE / "sample_data/registry.csv").read_bytes()
        self.members = {"README.md": b"A bundle of the tests.\n", "recompute.py": PROGRAM.read_bytes()}
        self.registry: bytes = registry
        self.documents = {digest(text): text for text in documents}
        self.keys = [private_key(n) for n in range(keys)]
        self.at = "2026-07-02T16:00:00.000000Z"

    def add(self, kind: str, body: Document) -> int:
        """Append an entry; return its number."""
        self.entries.append({"at": self.at, "kind": kind, "body": body})
        return len(self.entries)

    def add_key(self, n: int = 0) -> None:
        """Append the entry of a key."""
        retires = key_id(self.keys[n - 1]) if n else None
        times = {"valid_from": "2026-01-01T00:00:00.000000Z", "valid_to": None}
        self.add("key", {"public_key": pem(self.keys[n]), "retires": retires, **times})

    def body(self, content: bytes, *, vintage: str = "final") -> Document:
        """Return the body of a publication of a record, which becomes a member."""
        r = json.loads(content)
        name = f"records/{r['index'].replace(':', '~')}/{r['fixing_date']}_{digest(content)[:16]}.json"
        self.members[name] = content
        text = self.documents.get(r["methodology"]["sha256"])
        if text is None:
            found = SAMPLE.glob("methodology/*/*.toml")
            text = next(p.read_bytes() for p in found if digest(p.read_bytes()) == r["methodology"]["sha256"])
        self.members[f"methodology/{digest(text)}.toml"] = text
        self.members[f"registries/{r['registry']}.csv"] = self.registry
        for c in r["captures"]:
            self.commitments[c["sha256"]] = {"sha256": c["sha256"], "name": c["name"], "licence": None}
        return {
            "index": r["index"],
            "fixing_date": r["fixing_date"],
            "vintage": vintage,
            "version": r["version"],
            "methodology": r["methodology"]["sha256"],
            "record": digest(content),
            "captures": None,
            "fixing": {name: r["fixing"][name] for name in FIGURES},
        }

    def publish(self, content: bytes, kind: str = "publication", **more: Any) -> int:
        """Append a publication with the contingency that it needs; return the number of the publication."""
        f, body = json.loads(content)["fixing"], self.body(content)
        if f["rung"] != 1:
            case = {name: body[name] for name in ("index", "fixing_date", "record")}
            self.add("contingency", {**case, **{name: f[name] for name in ("status", "rung", "reason")}})
        number = self.add(kind, {**body, **more})
        self.fixings.append({"entry": number, **{n: body[n] for n in ("index", "fixing_date", "record")}})
        return number

    def finish(self) -> dict[str, bytes]:
        """Return all members."""
        members, previous, signer = dict(self.members), None, -1
        for number, entry in enumerate(self.entries, start=1):
            before, signer = signer, signer + (entry["kind"] == "key")
            by = self.keys[max(before, 0)] if signer >= 0 else None
            facts = {"ledger": "tokenindex ledger 1", "number": number, "previous": previous}
            content = canon({**facts, "key": key_id(by) if by else None, **entry})
            members[f"ledger/{number:08}.json"], previous = content, digest(content)
            if by:
                members[f"signatures/{previous}.sig"] = by.sign(content)
        for key in self.keys[: signer + 1]:
            members[f"keys/{key_id(key)}.pem"] = pem(key).encode()
        return listed(members, self, signer)


def listed(members: dict[str, bytes], made: Made, signer: int = -1) -> dict[str, bytes]:
    """Return the members with a manifest that lists them."""
    bare = {name: b for name, b in members.items() if name not in ("manifest.json", "manifest.sig")}
    ledger = [members[name] for name in sorted(members) if name.startswith("ledger/")]
    manifest = {
        "bundle": "tokenindex bundle 1",
        "files": {name: {"sha256": digest(b), "size": len(b)} for name, b in bare.items()},
        "ledger": {"number": len(ledger), "sha256": digest(ledger[-1])},
        "commitments": list(made.commitments.values()),
        "fixings": made.fixings,
    }
    bare["manifest.json"] = canon(manifest)
    if signer >= 0:
        bare["manifest.sig"] = made.keys[signer].sign(bare["manifest.json"])
    return bare


def private_key(n: int) -> Any:
    """Return one of the keys of the tests."""
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    return ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"a key of the tests %d" % n).digest())


def raw(key: Any) -> bytes:
    """Return the 32 bytes of a public key."""
    public: bytes = key.public_key().public_bytes_raw()
    return public


def key_id(key: Any) -> str:
    """Return the id of a key."""
    return digest(raw(key))


def pem(key: Any) -> str:
    """Return the PEM text of a public key."""
    body = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + raw(key)).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Verify members or the bytes of a ZIP file; return the exit code and what was printed."""

    def verified(bundle: dict[str, bytes] | bytes, *more: str) -> tuple[int, str]:
        path = tmp_path / "bundle.zip"
        path.write_bytes(bundle if isinstance(bundle, bytes) else archive(bundle))
        code = recompute.main([str(path), *more])
        return code, capsys.readouterr().out

    return verified


def refused(found: tuple[int, str], *words: str) -> None:
    """Assert that a bundle was refused with a sentence that holds all of the words."""
    code, text = found
    last = text.strip().splitlines()[-1]
    assert code == 1, last
    assert last.startswith("NOT VERIFIED: ")
    assert [word for word in words if word not in last] == [], last


def passed(found: tuple[int, str]) -> str:
    """Return the output of a bundle that was verified."""
    code, text = found
    assert code == 0, text
    assert text.strip().splitlines()[-1].startswith("VERIFIED: ")
    return text


# the records under test


Records = Callable[..., list[bytes]]


@pytest.fixture(scope="module")
def records(sample: Home, inputs: Inputs) -> Records:
    """Return records of the sample, each determination made once."""
    made: dict[Any, list[bytes]] = {}

    def of(index: str, *days: int, text: bytes = b"", cut_off: bool = False) -> list[bytes]:
        key = (index, days, digest(text), cut_off)
        if key not in made:
            dates = [date(2026, 6, day) for day in days]
            methodology = load(text, where="test").named(index) if text else sample.methodology(index, dates[-1])
            found = determine(methodology, inputs, dates=dates, known_at=None if cut_off else sample.known_at)
            captures = sample.captures()
            made[key] = [record(found, day, inputs=inputs, captures=captures).content for day in dates]
        return made[key]

    return of


@pytest.fixture(scope="module")
def small_bundle(records: Records) -> dict[str, bytes]:
    """An unsigned bundle of two small records."""
    made = Made()
    for content in records("anthropic-output", 25, 26):
        made.publish(content)
    return made.finish()


# the program itself


def test_it_imports_only_the_standard_library_and_reads_as_python_3_9() -> None:
    text = PROGRAM.read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 9))
    found = set()
    for node in ast.walk(tree):
        assert not isinstance(node, ast.ImportFrom) or node.level == 0
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    assert {name.split(".")[0] for name in found} <= sys.stdlib_module_names
    assert "from __future__ import annotations" in text  # "X | None" is no expression in Python 3.9


def test_it_never_writes_or_unpacks_to_a_disk() -> None:
    for node in ast.walk(ast.parse(PROGRAM.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
            assert [ast.literal_eval(mode) for mode in node.args[1:]] == ["rb"]
        if isinstance(node, ast.Attribute):
            assert node.attr not in {
                "write_bytes",
                "write_text",
                "extract",
                "extractall",
                "mkdir",
                "makedirs",
                "remove",
            }


def alone(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the file as an auditor does: alone, with no package beside it and none installed."""
    command = [sys.executable, "-S", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={"PYTHONPATH": ""}, check=False)


def unpacked(members: dict[str, bytes], folder: Path) -> Path:
    """Write members to a folder."""
    for name, content in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_it_runs_alone_on_a_zip_file_and_in_its_folder(small_bundle: dict[str, bytes], tmp_path: Path) -> None:
    folder = unpacked(small_bundle, tmp_path / "folder")
    (tmp_path / "bundle.zip").write_bytes(archive(small_bundle))
    for arguments, cwd in ((("folder/recompute.py", "bundle.zip"), tmp_path), (("recompute.py", "."), folder)):
        done = alone(*arguments, cwd=cwd)
        assert (done.returncode, done.stderr) == (0, "")
        assert "2026-06-26 determined: price 21.735361000 USD" in done.stdout
        assert "recompute.py is this program" in done.stdout
    assert "the comment of the ZIP file is not covered" in done.stdout
    assert set(folder.rglob("*.pyc")) == set()


def test_what_lies_beside_it_is_not_imported(small_bundle: dict[str, bytes], tmp_path: Path) -> None:
    folder = unpacked(small_bundle, tmp_path / "folder")
    (folder / "json.py").write_text("raise SystemExit('VERIFIED')")
    done = alone("recompute.py", ".", cwd=folder)
    assert done.returncode == 1
    assert "json.py' is not a member" in done.stdout


def test_a_link_in_a_folder_is_refused(small_bundle: dict[str, bytes], tmp_path: Path, run: Run, capsys: Any) -> None:
    folder = unpacked(small_bundle, tmp_path / "folder")
    (folder / "captures").symlink_to(tmp_path)
    assert recompute.main([str(folder)]) == 1
    assert "'captures' is a link" in capsys.readouterr().out


def test_another_program_in_the_bundle_is_said(records: Records, run: Run) -> None:
    made = Made()
    made.publish(records("anthropic-output", 26)[0])
    made.members["recompute.py"] += b"# a word more\n"
    assert "ANOTHER PROGRAM" in passed(run(made.finish()))


def test_without_a_reader_of_toml_the_rest_is_checked_and_that_is_said(
    small_bundle: dict[str, bytes], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recompute, "tomllib", None)
    code, text = run(small_bundle)
    assert code == 1
    assert "6. records: UNCHECKED" in text
    assert "7. captures" in text
    assert text.splitlines()[-1].startswith("NOT VERIFIED: no difference was found, but no figure was re-computed")


# Ed25519


VECTORS = {  # RFC 8032, section 7.1: TEST 1, 2, 3 and SHA(abc)
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a": (
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c": (
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025": (
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
    "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf": (
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
        "454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030"
        "3dca179c138ac17ad9bef1177331a704",
    ),
}
ORDER = 2**252 + 27742317777372353535851937790883648493
SMALL = (  # the eight points of small order, and other writings of two of them
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)


@pytest.mark.parametrize("public", VECTORS)
def test_the_vectors_of_rfc_8032_hold_and_no_bit_of_them_may_change(public: str) -> None:
    key, message, signature = (bytes.fromhex(text) for text in (public, *VECTORS[public]))
    assert recompute.signed(key, message, signature)
    assert not recompute.signed(key, message + b"x", signature)
    for at in range(0, 64, 5):
        changed = bytearray(signature)
        changed[at] ^= 1 << at % 8
        assert not recompute.signed(key, message, bytes(changed))
    other = bytearray(key)
    other[7] ^= 4
    assert not recompute.signed(bytes(other), message, signature)


@pytest.mark.parametrize("public", VECTORS)
def test_a_signature_has_one_writing(public: str) -> None:
    key, message, signature = (bytes.fromhex(text) for text in (public, *VECTORS[public]))
    s = int.from_bytes(signature[32:], "little")
    for more in range(1, 9):
        if s + more * ORDER < 2**256:
            assert not recompute.signed(key, message, signature[:32] + (s + more * ORDER).to_bytes(32, "little"))
    for wrong in (b"", signature[:63], signature + b"\0", bytes(64)):
        assert not recompute.signed(key, message, wrong)
    for wrong in (b"", key[:31], key + b"\0"):
        assert not recompute.signed(wrong, message, signature)


@pytest.mark.parametrize("public", SMALL)
def test_a_key_of_small_order_signs_nothing(public: str) -> None:
    neutral = bytes.fromhex(SMALL[0])
    for message in (b"", b"anything", b"a ledger", b"7"):
        for first in SMALL[:8]:  # R + kA = 0 holds for one of them, whatever the message
            assert not recompute.signed(bytes.fromhex(public), message, bytes.fromhex(first) + bytes(32))
        assert not recompute.signed(bytes.fromhex(public), message, neutral + bytes(32))


def test_it_agrees_with_another_implementation() -> None:
    draw = random.Random(7)
    for n in range(12):
        key, message = private_key(n), draw.randbytes(draw.randrange(200))
        assert recompute.signed(raw(key), message, key.sign(message))
        assert not recompute.signed(raw(private_key(n + 1)), message, key.sign(message))


# good bundles


@pytest.mark.parametrize(
    ("index", "days"),
    [
        ("tix", (12, 14, 15, 16, 18, 26)),
        ("tix-cn", (1, 2, 28, 29)),
        ("tix-level", (18, 25, 29)),
        ("anthropic-output", (1, 26)),
        ("tix.output", (26,)),
        ("tix-cn.input", (26,)),
        ("tix:agentic", (15,)),
        ("tix:agentic.output", (26,)),
        ("tix:batch", (25, 26)),
        ("tix:retrieval", (26,)),
    ],
)
def test_records_of_every_formula_are_computed_again_to_the_last_digit(
    index: str, days: tuple[int, ...], records: Records, run: Run
) -> None:
    made = Made()
    for content in records(index, *days):
        made.publish(content)
    text = passed(run(made.finish()))
    assert [line[:2] for line in text.splitlines() if line[1:2] == "."] == [f"{n}." for n in range(8)]
    assert "UNSIGNED" in text
    for content in records(index, *days):
        f = json.loads(content)["fixing"]
        assert f"{f['fixing_date']} {f['status']}: price {f['price']} {f['currency']}, level {f['level']}" in text


def test_the_figures_of_the_readme(records: Records, run: Run) -> None:
    made = Made()
    made.publish(records("tix", 26)[0])
    assert "tix 2026-06-26 determined: price 0.340997000 USD, level 967.391300000" in passed(run(made.finish()))


def test_fixings_as_first_published_that_have_no_basket(records: Records, run: Run) -> None:
    made = Made()
    for content in records("tix", 2, 3, cut_off=True):
        made.publish(content)
    assert "2026-06-03 not_determined: price None" in passed(run(made.finish()))


THIN = b"coverage = 0.97"


def thin_records(records: Records, *days: int) -> tuple[bytes, list[bytes]]:
    """Return a document that wants more coverage than some dates have, and its records."""
    text = (SAMPLE / "methodology/tix/1.0.0.toml").read_bytes()
    text = text.replace(b"coverage = 0.80", THIN).replace(b"coverage = 0.50", THIN)
    return text, records("tix", *days, text=text)


def test_carried_figures_are_those_of_the_records_before(records: Records, run: Run) -> None:
    text, made_records = thin_records(records, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24)
    made = Made(documents=[text])
    for content in made_records:
        made.publish(content)
    assert "figures carried forward, or not" not in passed(run(made.finish()))
    states = [json.loads(content)["fixing"]["status"] for content in made_records]
    assert Counter(states) == {"determined": 5, "carried_forward": 4, "not_determined": 1}
    alone = Made(documents=[text])
    alone.publish(made_records[3])
    assert "not covered: figures carried forward, or not" in passed(run(alone.finish()))


@pytest.mark.parametrize(
    ("figure", "value"),
    [("price", "0.353145000"), ("level", "1001.850700000"), ("dates_stale", 2), ("reason", "other")],
)
def test_a_carried_figure_that_is_another_is_named(figure: str, value: Any, records: Records, run: Run) -> None:
    text, made_records = thin_records(records, 17, 18)
    made = Made(documents=[text])
    made.publish(made_records[0])
    made.publish(altered(made_records[1], lambda r: r["fixing"].update({figure: value})))
    refused(run(made.finish()), "2026-06-18", f"fixing, {figure}", str(value))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(market=markets(), seed=st.integers(0, 10**9))
def test_records_of_invented_markets_are_computed_again(market: Market, seed: int) -> None:
    """Hours, brackets, guards, exchange rates, late registries, caps, empty baskets and every rung of the waterfall."""
    inputs, draw = library_inputs(market.inputs), random.Random(seed)
    methodology = load(market.text.encode(), where="market")
    if market.component:
        methodology = methodology.for_component(market.component)
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerows([inputs.registry.columns, *inputs.registry.rows()])
    document = recompute.Document(market.text.encode(), "document")
    seen = {"known_at": "2026-01-01T00:00:00.000000Z"}
    for known_at in (None, market.known_at):
        days = [d for d in market.days if known_at is None or methodology.calendar.cut_off_at(d) <= known_at]
        found = determine(methodology, inputs, dates=days, known_at=known_at) if days else None
        kept: list[Any] = []
        for day in days if found else []:
            assert found
            r = json.loads(record(found, day, inputs=inputs, captures=[]).content)
            r["captures"] = [{"sha256": c, **seen} for c in sorted(set(inputs.observations["capture"]))]
            registry = recompute.registry_of(lines.getvalue().encode(), r["registry"], "registry")
            if draw.random() < 0.9:
                kept.append(recompute.Kept(recompute.Recomputation("record", r, document, registry, kept)))
        assert kept or not days


# one cell


def altered(content: bytes, change: Change) -> bytes:
    """Return a record with a change, in canonical form."""
    r = copy.deepcopy(json.loads(content))
    change(r)
    return canon(r)


def row_of(r: Document, table: str, at: dict[str, Any]) -> list[Any]:
    """Return the first row of a table in which the columns hold these cells; a callable is asked."""
    columns = r[table]["columns"]
    for row in r[table]["rows"]:
        cells = dict(zip(columns, row, strict=True))
        if all(want(cells[name]) if callable(want) else cells[name] == want for name, want in at.items()):
            found: list[Any] = row
            return found
    raise AssertionError(f"no such row of {table}: {at}")


def some(cell: Any) -> bool:
    """Return whether there is something in a cell."""
    return cell is not None


USED: dict[str, Any] = {"excluded_by": None}
MEMBER: dict[str, Any] = {"quantity": some, "price": some, "outlier_by": None}
CELLS: list[tuple[str, dict[str, Any], str, Any]] = [
    ("observations", USED, "fixing_date", "2026-06-25"),
    ("observations", USED, "source", "models.dev2"),
    ("observations", USED, "provider", "another"),
    ("observations", USED, "model", "another"),
    ("observations", USED, "component", "output_audio"),
    ("observations", USED, "service_tier", "batch"),
    ("observations", USED, "region", "eu"),
    ("observations", USED, "context_from", "200000"),
    ("observations", USED, "context_to", "4000"),
    ("observations", USED, "context_to", 4000),
    ("observations", USED, "alias_of", "another"),
    ("observations", USED, "price", "0.000000123000000000000000"),
    ("observations", USED, "price", "0.000000123"),
    ("observations", USED, "price", None),
    ("observations", USED, "unit", "per_1k_tokens"),
    ("observations", USED, "unit", "per_gallon"),
    ("observations", USED, "currency", "usd"),
    ("observations", USED, "valid_from", "2026-06-26T08:00:00.000001Z"),
    ("observations", USED, "known_at", "2027-01-01T00:00:00.000000Z"),
    ("observations", USED, "known_at", "yesterday"),
    ("observations", USED, "date_kind", "undated"),
    ("observations", USED, "capture", "0" * 64),
    ("observations", USED, "constituent", "qwen/qwen"),
    ("observations", USED, "host", "router"),
    ("observations", USED, "source_tier", 3),
    ("observations", USED, "rate", "1.000000001"),
    ("observations", USED, "standard_price", "0.000000001"),
    ("observations", USED, "excluded_by", "alias"),
    ("observations", USED, "excluded_by", "a reason of my own"),
    ("observations", {"excluded_by": "component_not_used"}, "excluded_by", None),
    ("observations", {"excluded_by": "component_not_used"}, "excluded_by", "region"),
    ("elementary", {"price": some}, "fixing_date", "2026-06-25"),
    ("elementary", {"price": some}, "constituent", "qwen/qwen"),
    ("elementary", {"price": some}, "component", "total"),
    ("elementary", {"price": some}, "parts", 33),
    ("elementary", {"price": some}, "price", "0.100000001"),
    ("elementary", {"price": some}, "price", "a lot"),
    ("elementary", {"imputed_from": "input"}, "imputed_from", None),
    ("elementary", {"price": some}, "source_tier", 3),
    ("elementary", {"price": some}, "quotes", 99),
    ("elementary", {"price": some}, "agreeing", 99),
    ("elementary", {"price": some}, "sources", 99),
    ("elementary", {"price": None}, "excluded_by", None),
    ("constituents", MEMBER, "fixing_date", "2026-06-25"),
    ("constituents", MEMBER, "constituent", "qwen/qwen"),
    ("constituents", MEMBER, "vendor", "nobody"),
    ("constituents", MEMBER, "price", "0.100000001"),
    ("constituents", MEMBER, "source_tier", 3),
    ("constituents", MEMBER, "sources", 99),
    ("constituents", MEMBER, "excluded_by", "held"),
    ("constituents", MEMBER, "outlier_by", "robust_z"),
    ("constituents", MEMBER, "used_price", "0.100000001"),
    ("constituents", MEMBER, "used_price", None),
    ("constituents", MEMBER, "used_date", "2026-06-25"),
    ("constituents", MEMBER, "used_date", "2026-06-27"),
    ("constituents", MEMBER, "quantity", "1"),
    ("constituents", MEMBER, "quantity", 1),
    ("constituents", MEMBER, "weight", "0.100000001"),
    ("constituents", {"quantity": None}, "quantity", "1"),
    ("basket", {"basket": 1}, "basket", 0),
    ("basket", {"basket": 1}, "basket", 2),
    ("basket", {"basket": 1}, "announced_on", "2026-06-11"),
    ("basket", {"basket": 1}, "takes_over_after", "2026-06-16"),
    ("basket", {"basket": 1}, "constituent", "qwen/qwen"),
    ("basket", {"basket": 1}, "vendor", "nobody"),
    ("basket", {"basket": 1}, "tokens", "1"),
    ("basket", {"basket": 1}, "base_price", "0.100000001"),
    ("basket", {"basket": 1}, "uncapped_weight", "0.000000001"),
    ("basket", {"basket": 1}, "weight", "0.000000001"),
    ("basket", {"basket": 0}, "quantity", "1"),
    ("basket", {"basket": 0}, "divisor", "1"),
]


@pytest.mark.parametrize(("table", "at", "column", "value"), CELLS, ids=[f"{t}-{c}-{v}"[:60] for t, _, c, v in CELLS])
def test_an_altered_cell_is_named(
    table: str, at: dict[str, Any], column: str, value: Any, records: Records, run: Run
) -> None:
    good = records("tix-cn", 26)[0]

    def change(r: Document) -> None:
        row_of(r, table, at)[r[table]["columns"].index(column)] = value

    made = Made()
    made.publish(altered(good, change))
    refused(run(made.finish()), "records/tix-cn/2026-06-26_", table if column != "used_date" else "used_")


@pytest.mark.parametrize(
    ("table", "at", "column", "value", "words"),
    [
        ("elementary", {"constituent": "z-ai/glm-4.6", "component": "output"}, "price", "1.000000001", "row"),
        ("constituents", {"constituent": "z-ai/glm-4.6"}, "price", "1.000000001", "row"),
        ("basket", {"basket": 1}, "weight", "0.000000001", "row"),
        ("observations", {"constituent": "z-ai/glm-4.6", "excluded_by": None}, "standard_price", "0.000000001", "row"),
    ],
)
def test_file_table_row_and_column_are_named(
    table: str, at: dict[str, Any], column: str, value: Any, words: str, records: Records, run: Run
) -> None:
    good = records("tix-cn", 26)[0]
    rows, columns = json.loads(good)[table]["rows"], json.loads(good)[table]["columns"]
    number = rows.index(row_of(json.loads(good), table, at)) + 1

    def change(r: Document) -> None:
        r[table]["rows"][number - 1][columns.index(column)] = value

    content = altered(good, change)
    made = Made()
    made.publish(content)
    file = f"records/tix-cn/2026-06-26_{digest(content)[:16]}.json"
    place = f"{file}, table {table}, row {number} ("
    refused(run(made.finish()), place, f"column {column}: found '{value}', expected ")


def test_every_figure_of_a_fixing_is_named(records: Records, run: Run) -> None:
    good = records("tix-cn", 26)[0]
    not_covered = {"volume", "volume_days"}
    for figure, value in json.loads(good)["fixing"].items():
        if figure in not_covered:
            continue
        other = value + 1 if isinstance(value, int) else "x" if value is None else value[:-1] + "x"
        if isinstance(value, str) and value[-1].isdigit():
            other = value[:-1] + str((int(value[-1]) + 1) % 10)
        change = {figure: other, **({"reason": "rain"} if figure == "rung" else {})}  # its contingency wants one
        r = json.loads(good)
        r["fixing"].update(change)
        made = Made()
        made.publish(canon(r))
        refused(run(made.finish()), "records/tix-cn/2026-06-26_", f"fixing, {figure}: found {other!r}")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("index", "tix"),
        ("version", "1.0.1"),
        ("workload", "agentic"),
        ("component", "output"),
        ("fixing_date", "2026-06-27"),
        ("cut_off", "2026-06-26T16:00:00.000000Z"),
        ("known_at", "2026-06-26T07:00:00.000000Z"),
        ("known_at", "later"),
        ("registry", "0" * 64),
        ("captures", []),
        ("record", "tokenindex record 2"),
        ("notes", ["no new basket on 2026-06-15: it rained"]),
        ("basket", {"columns": [], "rows": []}),
        ("basket", {"columns": ["basket"], "rows": [[0, 1]]}),
        ("constituents", None),
        ("methodology", {"meaning": "0" * 64, "sha256": "0" * 64}),
    ],
)
def test_every_fact_of_a_record_is_checked(key: str, value: Any, records: Records, run: Run) -> None:
    good = records("tix-cn", 26)[0]
    made = Made()
    body = made.body(good)
    content = altered(good, lambda r: r.update({key: value}))
    made.members = {name: b for name, b in made.members.items() if not name.startswith("records/")}
    r = json.loads(content)
    name = f"records/{r['index']}/{r['fixing_date']}_{digest(content)[:16]}.json"
    made.members[name] = content
    body |= {"record": digest(content), "methodology": r["methodology"]["sha256"]}
    body |= {name: r[name] for name in ("index", "version", "fixing_date")}
    made.add("publication", body)
    made.fixings.append({"entry": 1, **{n: body[n] for n in ("index", "fixing_date", "record")}})
    refused(run(made.finish()))


@pytest.mark.parametrize("table", ["observations", "elementary", "basket"])
@pytest.mark.parametrize("copies", [0, 2])
def test_a_missing_or_added_row_is_found(table: str, copies: int, records: Records, run: Run) -> None:
    r = json.loads(records("tix-cn", 26)[0])
    rows = r[table]["rows"]
    at = next(n for n, row in enumerate(rows) if row[-1] is None or table != "observations")
    rows[at : at + 1] = [rows[at]] * copies
    made = Made()
    made.publish(canon(r))
    refused(run(made.finish()), "2026-06-26_", "table ")


def test_caps_hold_also_where_a_share_is_taken_away(records: Records, run: Run) -> None:
    """Nano taken from the uncapped weight do not make the weights uncovered."""
    good = records("tix", 26)[0]

    def change(r: Document) -> None:
        row, columns = row_of(r, "basket", {"basket": 1}), r["basket"]["columns"]
        at = columns.index("uncapped_weight")
        row[at] = f"{int(row[at].replace('.', '')) - 1:010}"
        row[at] = f"{row[at][:-9]}.{row[at][-9:]}"

    made = Made()
    made.publish(altered(good, change))
    refused(run(made.finish()), "table basket", "column uncapped_weight")


@pytest.mark.parametrize("column", ["divisor", "base_price", "tokens"])
def test_a_basket_is_that_of_the_records_of_its_dates(column: str, records: Records, run: Run) -> None:
    """On its own a record does not show where a divisor comes from; beside those of the dates of the basket it does."""
    announced, rebalance, later = records("tix-cn", 12, 15, 16)

    def change(r: Document) -> None:
        at = r["basket"]["columns"].index(column)
        for row in r["basket"]["rows"]:
            if row[0] == 1 and column == "divisor":
                row[at] = str(int(row[at]) + 1)
        if column != "divisor":
            row = row_of(r, "basket", {"basket": 1})
            row[at] = row[at][:-1] + str((int(row[at][-1]) + 1) % 10)

    made = Made()
    for content in (announced, rebalance, altered(later, change)):
        made.publish(content)
    named = "quantity" if column == "base_price" else column  # the price gives the quantity, which is looked at first
    refused(run(made.finish()), "2026-06-16_", "table basket", f"column {named}")


def test_on_its_own_a_record_does_not_show_where_its_baskets_come_from(records: Records, run: Run) -> None:
    made = Made()
    made.publish(records("tix-cn", 16)[0])
    text = passed(run(made.finish()))
    assert "not covered: divisors of a basket whose rebalance date has no record here (2)" in text
    assert "not covered: members, prices, volumes of a basket whose announcement date has no record here (2)" in text


def test_a_carried_price_is_that_of_the_record_of_its_date(records: Records, run: Run) -> None:
    after = records("tix-level", 18)[0]
    found = json.loads(after)
    columns = found["constituents"]["columns"]
    carried = row_of(found, "constituents", {"used_date": lambda d: d and d < "2026-06-18", "quantity": some})
    day = int(carried[columns.index("used_date")][-2:])
    source = records("tix-level", day)[0]
    made = Made()
    made.publish(source)
    made.publish(after)
    text = passed(run(made.finish()))
    name = carried[columns.index("constituent")]

    def change(r: Document) -> None:
        row = row_of(r, "constituents", {"constituent": name})
        row[columns.index("used_price")] = "0.000000001"

    made = Made()
    made.publish(source)
    made.publish(altered(after, change))
    refused(run(made.finish()), "2026-06-18_", name, "column used_price")
    assert "tix-level 2026-06-18 reduced" in text


# the container


def zipped(members: dict[str, bytes], *, put: Callable[[zipfile.ZipInfo], object], name: str) -> bytes:
    """Return a ZIP file in which the facts of one member are changed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for member in sorted(members):
            info = zipfile.ZipInfo(member)
            if member == name:
                put(info)
            file.writestr(info, members[member])
        file.comment = b"0" * 64
    return sealed(buffer.getvalue())


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/x",
        "a\\b",
        "records/../x.json",
        "records/",
        "extra.txt",
        "ledger/1.json",
        "captures/ABC",
        "recompute.pyc",
    ],
)
def test_a_member_that_a_bundle_may_not_have_is_refused(name: str, small_bundle: dict[str, bytes], run: Run) -> None:
    refused(run({**small_bundle, name: b""}), "is not a member that a bundle may have")


@pytest.mark.parametrize(
    ("put", "words"),
    [
        (lambda i: setattr(i, "external_attr", 0o120777 << 16), "is a link"),
        (lambda i: setattr(i, "external_attr", 0x10), "is a link, a directory"),
        (lambda i: setattr(i, "date_time", (2026, 1, 1, 0, 0, 0)), "another moment"),
        (lambda i: setattr(i, "extra", b"\1\2\2\0ab"), "extra field"),
        (lambda i: setattr(i, "comment", b"hello"), "extra field or a comment"),
        (lambda i: setattr(i, "compress_type", zipfile.ZIP_BZIP2), "packed neither"),
    ],
)
def test_facts_of_a_member_are_checked(
    put: Callable[[Any], object], words: str, small_bundle: dict[str, bytes], run: Run
) -> None:
    refused(run(zipped(small_bundle, put=put, name="README.md")), "'README.md'", words)


def directory(content: bytes) -> tuple[int, int]:
    """Return where the directory of a ZIP file begins, and its length."""
    length, start = struct.unpack("<2L", content[-86 + 12 : -86 + 20])
    return start, length


def test_a_zip_bomb_is_refused_before_anything_is_unpacked(small_bundle: dict[str, bytes], run: Run) -> None:
    refused(run({**small_bundle, "captures/" + "0" * 64: bytes(10**7)}), "unpacks to more than 200 times")


def test_a_size_that_is_not_true_is_refused(small_bundle: dict[str, bytes], run: Run) -> None:
    content = bytearray(archive(small_bundle))
    start, _ = directory(bytes(content))
    size = struct.unpack("<L", content[start + 24 : start + 28])[0]
    for wrong in (size - 1, size + 1):
        for at in (start + 24, 22):
            content[at : at + 4] = struct.pack("<L", wrong)
        refused(run(sealed(bytes(content))), "README.md", "size")


def test_bytes_that_belong_to_nobody_are_refused(small_bundle: dict[str, bytes], run: Run) -> None:
    good = archive(small_bundle)
    start, length = directory(good)
    end = good[-86 : -86 + 12] + struct.pack("<2L", length, start + 7) + good[-66:]
    refused(run(sealed(good[:start] + b"unseen!" + good[start:-86] + end)), "belong to no member")
    refused(run(b"#!/bin/sh" + good), "end of the ZIP file does not describe")
    refused(run(good + b"x"), "no ZIP file")
    refused(run(good[:-1]), "no ZIP file")
    refused(run(b""), "no ZIP file")


def test_names_of_directory_and_member_must_agree(small_bundle: dict[str, bytes], run: Run) -> None:
    content = archive(small_bundle)
    at = content.index(b"README.md")
    refused(run(sealed(content[:at] + b"README.mD" + content[at + 9 :])), "README.md", "before its bytes")


def test_members_stand_in_order_and_once(small_bundle: dict[str, bytes], run: Run) -> None:
    refused(run(archive(small_bundle, order=sorted(small_bundle, reverse=True))), "in order")
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = archive(small_bundle, order=sorted([*small_bundle, "README.md"]))
    refused(run(twice), "README.md stands after README.md")


def test_an_encrypted_member_is_refused(small_bundle: dict[str, bytes], run: Run) -> None:
    content = bytearray(archive(small_bundle))
    start, _ = directory(bytes(content))
    content[start + 8] |= 1
    content[6] |= 1
    refused(run(sealed(bytes(content))), "encrypted")


def test_the_comment_is_the_digest_of_the_rest(small_bundle: dict[str, bytes], run: Run) -> None:
    content = bytearray(archive(small_bundle))
    content[-1] ^= 1
    refused(run(bytes(content)), "comment")


def test_a_byte_of_a_member_is_held_by_digest_and_crc(small_bundle: dict[str, bytes], run: Run) -> None:
    content = bytearray(archive(small_bundle, method=zipfile.ZIP_STORED))
    content[content.index(b"A bundle of the tests")] ^= 1
    refused(run(bytes(content)), "comment")
    refused(run(sealed(bytes(content))), "README.md", "CRC")


@pytest.mark.parametrize("seed", range(8))
def test_bytes_changed_at_random_never_pass_and_never_break_it(
    seed: int, small_bundle: dict[str, bytes], run: Run
) -> None:
    draw, good = random.Random(seed), archive(small_bundle)
    start, _ = directory(good)
    content = bytearray(good)
    content[draw.randrange(start, len(good) - 86)] ^= 1 << draw.randrange(8)
    refused(run(bytes(content)), "comment")
    code, text = run(sealed(bytes(content)))
    assert code in (0, 1)  # versions and attributes of the directory mean nothing here
    assert "VERIFIED" in text
    del content[draw.randrange(len(content) - 86)]
    refused(run(sealed(bytes(content))))


# the manifest


def test_a_member_that_is_not_listed_or_not_there_is_named(small_bundle: dict[str, bytes], run: Run) -> None:
    more = {**small_bundle, "captures/" + digest(b"x"): b"x"}
    refused(run(more), "captures/" + digest(b"x"), "not listed")
    less = {name: b for name, b in small_bundle.items() if name != "README.md"}
    refused(run(less), "README.md", "not in the bundle")
    refused(run({**small_bundle, "README.md": b"another"}), "README.md", "as in manifest.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.update(more=1), "the keys"),
        (lambda m: m.pop("fixings"), "the keys"),
        (lambda m: m.update(bundle="tokenindex bundle 2"), "bundle"),
        (lambda m: m["ledger"].update(number=7), "ledger"),
        (lambda m: m["ledger"].update(number=True), "number"),
        (lambda m: m["files"]["README.md"].update(size=-1), "size"),
        (lambda m: m["fixings"].pop(), "is none of the fixings"),
        (lambda m: m["fixings"][0].update(entry=2), "fixings"),
        (lambda m: m["fixings"][0].update(entry=99), "fixings"),
        (lambda m: m["fixings"][0].update(fixing_date="2026-06-31"), "fixing_date"),
        (lambda m: m.update(commitments=[]), "neither here nor committed"),
        (lambda m: m.update(commitments={}), "commitments"),
    ],
)
def test_the_manifest_has_its_form(change: Change, words: str, small_bundle: dict[str, bytes], run: Run) -> None:
    manifest = json.loads(small_bundle["manifest.json"])
    change(manifest)
    refused(run({**small_bundle, "manifest.json": canon(manifest)}), words)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"{" * 10**5,
        b'{"a":1,"a":2}',
        b'{"b":1.5}',
        b"NaN",
        b"9" * 30,
        b' {"a":1}',
        b'"\\ud800"',
    ],
)
def test_a_manifest_that_is_not_canonical_json_is_refused(
    content: bytes, small_bundle: dict[str, bytes], run: Run
) -> None:
    refused(run({**small_bundle, "manifest.json": content}), "manifest.json")


# the ledger


@pytest.fixture
def made(records: Records) -> Made:
    """An unsigned bundle of two records that a test may change before it is finished."""
    bundle = Made()
    for content in records("anthropic-output", 25, 26):
        bundle.publish(content)
    return bundle


def relisted(members: dict[str, bytes], made: Made, **changed: bytes | None) -> dict[str, bytes]:
    """Return members with some changed or removed, listed again."""
    more = {f"ledger/0000000{name[-1]}.json": b for name, b in changed.items()}
    together = {**members, **more}
    return listed({name: b for name, b in together.items() if b is not None}, made)


def entry(members: dict[str, bytes], of: int, **change: Any) -> bytes:
    """Return an entry with changes."""
    return canon({**json.loads(members[f"ledger/{of:08}.json"]), **change})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"number": 3}, "number"),
        ({"number": "2"}, "number"),
        ({"previous": "0" * 64}, "previous"),
        ({"previous": None}, "previous"),
        ({"at": "2026-07-02T15:59:59.999999Z"}, "at: found"),
        ({"at": "2026-07-02T24:00:00.000000Z"}, "a moment"),
        ({"at": "2026-02-30T00:00:00.000000Z"}, "a moment"),
        ({"kind": "gift"}, "kind"),
        ({"key": "0" * 64}, "the key in force"),
        ({"ledger": "tokenindex ledger 2"}, "ledger"),
        ({"body": {}}, "the keys"),
        ({"body": []}, "object"),
        ({"more": 1}, "the keys"),
    ],
)
def test_an_entry_that_does_not_follow_is_named(change: Document, words: str, made: Made, run: Run) -> None:
    members = made.finish()
    refused(run(relisted(members, made, e2=entry(members, 2, **change))), "ledger/00000002.json", words)


def test_a_gap_or_a_rewritten_entry_is_named(made: Made, run: Run) -> None:
    members = made.finish()
    gap = {**members, "ledger/00000004.json": members["ledger/00000002.json"]}
    refused(run(listed(gap, made)), "ledger/00000003.json is missing")
    del gap["ledger/00000001.json"]
    refused(run(listed(gap, made)), "ledger/00000001.json is missing")
    rewritten = entry(members, 1, at="2026-07-01T00:00:00.000000Z")
    refused(run(relisted(members, made, e1=rewritten)), "ledger/00000002.json, number, previous")
    spaced = members["ledger/00000002.json"].replace(b",", b", ", 1)
    refused(run(relisted(members, made, e2=spaced)), "ledger/00000002.json: not canonical")


def anchor(members: dict[str, bytes], of: int, **change: str) -> bytes:
    """Return the anchor of an entry."""
    content = members[f"ledger/{of:08}.json"]
    facts = {"number": str(of), "sha256": digest(content), "at": json.loads(content)["at"], **change}
    return "tokenindex ledger {number} {sha256} {at}\n".format(**facts).encode()


def test_anchors_and_heads_hold_the_ledger(made: Made, run: Run, tmp_path: Path) -> None:
    members = made.finish()
    members = listed({**members, "anchors/00000001.txt": anchor(members, 1)}, made)
    kept = tmp_path / "anchor.txt"
    kept.write_bytes(anchor(members, 2))
    heads = [digest(members[f"ledger/0000000{n}.json"]) for n in (1, 2)]
    assert "1 anchors agree" in passed(run(members))
    text = passed(run(members, "--anchor", str(kept), "--head", heads[1].upper()))
    assert "2 anchors agree" in text
    assert "the head given is entry 2" in text
    assert "the head given is entry 1" in passed(run(members, "--head", heads[0]))
    # an older state of the same ledger
    older = Made()
    older.entries, older.members, older.fixings = made.entries[:1], dict(made.members), made.fixings[:1]
    older.members = {n: b for n, b in made.members.items() if "records" not in n or "2026-06-25" in n}
    older.commitments = made.commitments
    replayed = older.finish()
    passed(run(replayed))
    refused(run(replayed, "--anchor", str(kept)), str(kept), "truncated")
    refused(run(replayed, "--head", heads[1]), "--head", "truncated")
    refused(run(members, "--head", "0" * 64), "--head")
    refused(
        run(listed({**replayed, "anchors/00000002.txt": anchor(members, 2)}, older)), "anchors/00000002", "truncated"
    )


@pytest.mark.parametrize(
    "change", [{"sha256": "0" * 64}, {"at": "2026-07-02T16:00:00.000001Z"}, {"number": "2"}, {"number": "x"}]
)
def test_an_anchor_of_another_ledger_is_named(change: dict[str, str], made: Made, run: Run) -> None:
    members = made.finish()
    refused(
        run(listed({**members, "anchors/00000001.txt": anchor(members, 1, **change)}, made)), "anchors/00000001.txt"
    )


# signatures


def signed_bundle(contents: Iterable[bytes], *, rotate: bool = False) -> Made:
    """Return a bundle signed from its second entry on."""
    made = Made(keys=2)
    first, *rest = contents
    made.publish(first)
    made.add_key()
    for content in rest:
        made.publish(content)
    if rotate:
        made.add_key(1)
        made.add(
            "cessation", {"index": "gone", "last_fixing_date": "2026-01-01", "reason": "none", "approved_by": ["a"]}
        )
    return made


@pytest.mark.parametrize("rotate", [False, True])
def test_a_signed_bundle_passes_and_says_its_key(rotate: bool, records: Records, run: Run, tmp_path: Path) -> None:
    made = signed_bundle(records("anthropic-output", 25, 26), rotate=rotate)
    first = key_id(made.keys[0])
    text = passed(run(made.finish()))
    assert f"4. signatures: {4 if rotate else 2} entries and the manifest (1 before the first key)" in text
    assert first in text
    assert "UNSIGNED" not in text
    (tmp_path / "key.pem").write_text(pem(made.keys[0]).replace("\n", "\r\n"))
    for wanted in (first, first.upper(), str(tmp_path / "key.pem")):
        assert "it is the one that was asked for" in passed(run(made.finish(), "--key", wanted))
    refused(run(made.finish(), "--key", key_id(made.keys[1])), "--key", first)


def test_an_unsigned_bundle_is_refused_where_a_key_is_asked_for(made: Made, run: Run) -> None:
    refused(run(made.finish(), "--key", "0" * 64), "--key: the ledger is unsigned")


def test_signatures_that_do_not_hold_are_named(records: Records, run: Run) -> None:
    made = signed_bundle(records("anthropic-output", 25, 26), rotate=True)
    members = made.finish()
    entries = {n: members[f"ledger/{n:08}.json"] for n in range(1, 6)}
    names = {n: f"signatures/{digest(content)}.sig" for n, content in entries.items()}
    one, two = made.keys
    forged = {
        names[3]: two.sign(entries[3]),  # a key that is not in force yet
        names[4]: two.sign(entries[4]),  # a new key may not bring itself
        names[5]: one.sign(entries[5]),  # a retired key signs no more
        names[2]: bytes(64),
    }
    for name, signature in forged.items():
        refused(run(listed({**members, name: signature}, made, 1)), name, "is not a signature of ledger/")
    missing = {name: b for name, b in members.items() if name != names[3]}
    refused(run(listed(missing, made, 1)), names[3], "is not in the bundle")
    refused(
        run(listed({**members, names[1]: one.sign(entries[1])}, made, 1)), names[1], "is of no entry that is signed"
    )
    refused(run(listed(members, made, 0)), "manifest.sig")
    refused(run(listed(members, made)), "manifest.sig is not in the bundle")
    other = f"keys/{key_id(private_key(5))}.pem"
    refused(run(listed({**members, other: pem(private_key(5)).encode()}, made, 1)), other)
    swapped = {**members, f"keys/{key_id(one)}.pem": pem(two).encode()}
    refused(run(listed(swapped, made, 1)), key_id(one))


@pytest.mark.parametrize(
    ("number", "change", "words"),
    [
        (1, {"valid_from": "2027-01-01T00:00:00.000000Z"}, "is valid"),
        (1, {"valid_to": "2026-07-01T00:00:00.000000Z"}, "is valid"),
        (1, {"retires": "0" * 64}, "retires"),
        (3, {"retires": None}, "retires"),
        (3, {"valid_from": "2027-01-01T00:00:00.000000Z"}, "ledger/00000005.json, at"),
        (1, {"public_key": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}, "Ed25519"),
    ],
)
def test_keys_follow_each_other(number: int, change: Document, words: str, records: Records, run: Run) -> None:
    made = signed_bundle(records("anthropic-output", 25, 26), rotate=True)
    made.entries[number]["body"] |= change
    refused(run(made.finish()), "ledger/0000000", words)


def test_a_manifest_signed_in_an_unsigned_ledger_is_refused(small_bundle: dict[str, bytes], run: Run) -> None:
    refused(run({**small_bundle, "manifest.sig": bytes(64)}), "manifest.sig is there")


# what was published


def test_an_entry_says_what_its_record_says(made: Made, run: Run) -> None:
    for name, value in (("version", "1.0.1"), ("methodology", "0" * 64)):
        wrong = copy.deepcopy(made)
        wrong.entries[1]["body"][name] = value
        refused(run(wrong.finish()), "ledger/00000002.json", name)
    made.entries[1]["body"]["fixing"]["price"] = "21.735362000"
    refused(run(made.finish()), "ledger/00000002.json, fixing", "21.735362000", "21.735361000")


def test_a_record_that_is_not_here_is_said(made: Made, run: Run) -> None:
    made.fixings.pop()
    made.members = {name: b for name, b in made.members.items() if "records/anthropic-output/2026-06-26" not in name}
    assert "published entries whose records are not in this bundle (1)" in passed(run(made.finish()))


def test_a_date_is_published_once_in_a_vintage(records: Records, run: Run) -> None:
    content = records("anthropic-output", 26)[0]
    for vintages, right in (
        (["provisional", "final"], True),
        (["final"], True),
        (["final", "final"], False),
        (["provisional", "provisional"], False),
        (["final", "provisional"], False),
    ):
        made = Made()
        for vintage in vintages:
            made.publish(content, vintage=vintage)
        if right:
            passed(run(made.finish()))
        else:
            refused(run(made.finish()), "ledger/00000002.json", "published twice")


def test_nothing_is_published_after_the_last_date(records: Records, run: Run) -> None:
    made = Made()
    made.publish(records("anthropic-output", 25)[0])
    end = {"index": "anthropic-output", "last_fixing_date": "2026-06-25", "reason": "over", "approved_by": ["a", "b"]}
    made.add("cessation", end)
    passed(run(made.finish()))
    made.publish(records("anthropic-output", 26)[0])
    refused(run(made.finish()), "ledger/00000003.json", "after the last fixing date")


@pytest.mark.parametrize("kind", ["restatement", "correction"])
def test_restatements_and_corrections(kind: str, records: Records, run: Run) -> None:
    good = records("anthropic-output", 26)[0]
    other = altered(good, lambda r: r["software"].update(tokenindex="0.2.0"))
    figures = {name: json.loads(good)["fixing"][name] for name in FIGURES}
    more: Document = {
        "supersedes": 1,
        "reason": "a better program",
        "approved_by": ["Ann", "Bob"],
        "before": figures,
        "change": "0",
        "dependants": [{"index": "tix", "fixing_date": "2026-06-26", "before": figures, "after": figures}],
    }

    def bundle(**change: Any) -> dict[str, bytes]:
        made = Made()
        made.publish(good)
        made.publish(other, kind, **{**more, **change})
        return made.finish()

    passed(run(bundle()))
    for change, words in (
        ({"supersedes": 2}, "supersedes"),
        ({"supersedes": 0}, "supersedes"),
        ({"before": {**figures, "price": "1.000000000"}}, "before"),
        ({"approved_by": ["Ann"]}, "approved_by"),
        ({"approved_by": ["Ann", "Ann"]}, "approved_by"),
        ({"dependants": [{}]}, "dependants, 1"),
        ({"reason": ""}, "reason"),
    ):
        refused(run(bundle(**change)), "ledger/00000002.json", words)
    made = Made()
    made.publish(good)
    made.publish(other, kind, **more)
    third = altered(good, lambda r: r["software"].update(tokenindex="0.3.0"))
    made.publish(third, "restatement", **more)
    if kind == "restatement":  # the first figure does not stand any more
        refused(run(made.finish()), "ledger/00000003.json, supersedes")
    else:
        passed(run(made.finish()))


def test_a_fixing_of_a_lower_rung_needs_its_contingency(records: Records, run: Run) -> None:
    content = records("tix-cn", 29)[0]
    made = Made()
    made.publish(content)
    assert "1 contingency" in passed(run(made.finish()))
    for name, value in (("status", "determined"), ("rung", 3), ("reason", "rain"), ("fixing_date", "2026-06-28")):
        wrong = copy.deepcopy(made)
        wrong.entries[0]["body"][name] = value
        refused(run(wrong.finish()), f"ledger/00000001.json, {name}")
    del made.entries[0]
    made.fixings[0]["entry"] = 1
    refused(run(made.finish()), "ledger/00000001.json", "no contingency stands before it")
    late = Made()
    body = late.body(records("tix-cn", 28)[0])
    case = {name: body[name] for name in ("index", "fixing_date", "record")}
    late.publish(records("tix-cn", 28)[0])
    late.add("contingency", {**case, "status": "reduced", "rung": 2, "reason": "late"})
    assert "a contingency of a record that nothing publishes" in passed(run(late.finish()))


def test_judgments_name_two_people_their_capture_and_what_they_changed(records: Records, run: Run) -> None:
    plain = records("anthropic-output", 26)[0]
    without = {"status": "determined", "price": "21.000000000", "level": None, "currency": "USD"}
    for content in (plain, altered(plain, lambda r: r.update(without_judgment=None))):
        made = Made()
        made.publish(content)
        passed(run(made.finish()))
    judged = altered(plain, lambda r: r.update(without_judgment=without))
    made = Made()
    body = made.body(judged)
    case = {
        **{name: body[name] for name in ("index", "fixing_date", "record")},
        "capture": json.loads(plain)["captures"][0]["sha256"],
        **dict.fromkeys(("locator", "step", "decision", "reason"), "some words"),
        "decided_by": "Ann",
        "approved_by": "Bob",
        "inputs": {"price": "1"},
        "with": body["fixing"],
        "without": without,
    }
    made.add("judgment", case)
    made.publish(judged)
    assert "not covered: figures without judgments (1)" in passed(run(made.finish()))
    for name, value, words in (
        ("approved_by", "Ann", "approved_by"),
        ("capture", "0" * 64, "capture"),
        ("with", without, "with"),
        ("without", body["fixing"], "without"),
        ("index", "tix", "index"),
    ):
        wrong = copy.deepcopy(made)
        wrong.entries[0]["body"][name] = value
        refused(run(wrong.finish()), "ledger/00000001.json", words)
    missing = Made()
    missing.publish(judged)
    refused(run(missing.finish()), "without_judgment")


def test_the_list_of_captures_only_grows(records: Records, run: Run) -> None:
    made = Made()
    heads = [{"number": 7, "sha256": "a" * 64}, {"number": 9, "sha256": "b" * 64}]
    for content, head in zip(records("anthropic-output", 25, 26), heads, strict=True):
        made.publish(content, captures=head)
    passed(run(made.finish()))
    for wrong in ({"number": 6, "sha256": "b" * 64}, {"number": 7, "sha256": "b" * 64}):
        made.entries[1]["body"]["captures"] = wrong
        refused(run(made.finish()), "ledger/00000002.json, captures")


# documents, registries and captures


def test_another_document_or_registry_is_refused(made: Made, run: Run) -> None:
    for folder, change in (("methodology/", b"\n"), ("registries/", b"a,b,c,d,e,text,vendor,,,f\n")):
        members = dict(made.members)
        name = next(name for name in members if name.startswith(folder))
        made.members[name] += change
        refused(run(made.finish()), name)
        del made.members[name]
        refused(run(made.finish()), name, "is not in the bundle")
        made.members = members


def test_captures_are_here_or_committed_to(made: Made, run: Run) -> None:
    files = {digest(p.read_bytes()): p.read_bytes() for p in (SAMPLE / "sample_data/captures").iterdir()}
    here = sorted(made.commitments)[:2]
    for name in here:
        made.members[f"captures/{name}"] = files[name]
        del made.commitments[name]
    text = passed(run(made.finish()))
    assert f"7. captures: 2 files have their digests; {len(made.commitments)} are committed to and not here" in text
    assert sum(line.startswith("   not here: ") for line in text.splitlines()) == len(made.commitments)
    gone = made.commitments.popitem()[0]
    refused(run(made.finish()), gone, "neither here nor committed to")
    made.members[f"captures/{gone}"] = b"something else"
    refused(run(made.finish()), f"captures/{gone} has not the digest in its name")


def test_a_hostile_document_ends_in_a_sentence(records: Records, run: Run) -> None:
    good = records("anthropic-output", 26)[0]
    text = (SAMPLE / "methodology/anthropic-output/1.0.0.toml").read_bytes()
    for old, new in (
        (b"agreement = 0.02", b"agreement = 1e999999999"),
        (b"price_decimals = 6", b"price_decimals = -99999"),
        (b"volume_weighted_mean", b"arithmetic_mean"),
        (b"closes = 2027-12-31", b"closes = 2020-12-31"),
        (b"[publication]", b"[[publication]]"),
        (b"[identity]", b"[" * 5000),
    ):
        hostile = text.replace(old, new)
        assert hostile != text
        r = json.loads(good)
        r["methodology"]["sha256"] = digest(hostile)
        made = Made(documents=[hostile])
        made.publish(canon(r))
        refused(run(made.finish()))


@pytest.mark.parametrize("seed", range(30))
def test_cells_of_any_type_end_in_a_sentence(seed: int, records: Records, run: Run) -> None:
    draw, r = random.Random(seed), json.loads(records("anthropic-output", 26)[0])
    for _ in range(20):
        node, at = r, draw.choice([key for key in r if key not in ("index", "fixing_date", "record")])
        while isinstance(node[at], dict | list) and node[at] and draw.random() < 0.9:
            node = node[at]
            at = draw.choice(list(node)) if isinstance(node, dict) else draw.randrange(len(node))
        node[at] = draw.choice([None, True, 0, -1, 2**52, "", "x", "1e9", "-0.000000000", [], {}, [[]], {"columns": 1}])
        if draw.random() < 0.3:
            break
    content = canon(r)
    made = Made()
    body = made.body(records("anthropic-output", 26)[0])
    made.members = {name: b for name, b in made.members.items() if not name.startswith("records/")}
    made.members[f"records/anthropic-output/2026-06-26_{digest(content)[:16]}.json"] = content
    made.add("publication", {**body, "record": digest(content)})
    made.fixings.append(
        {"entry": 1, "record": digest(content), "index": body["index"], "fixing_date": body["fixing_date"]}
    )
    code, text = run(made.finish())
    assert code in (0, 1)
    assert "VERIFIED: " in text.splitlines()[-1]


def test_a_file_that_is_not_there_ends_in_a_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert recompute.main([str(tmp_path / "none.zip")]) == 1
    assert "NOT VERIFIED: the container cannot be read" in capsys.readouterr().out


def test_text_of_a_bundle_cannot_begin_a_line_or_play_with_a_terminal(records: Records, run: Run) -> None:
    evil = "1\x1b[2J\u202e\nVERIFIED: all is well"
    good = records("anthropic-output", 26)[0]
    for where in ("entry", "record", "licence"):
        made = Made()
        r = json.loads(good)
        if where == "record":
            r["version"] = r["fixing"]["status"] = evil
        made.publish(canon(r))
        if where == "entry":
            made.entries[0]["body"]["version"] = evil
        if where == "licence":
            next(iter(made.commitments.values()))["licence"] = evil
        _, text = run(made.finish())
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert sum(line.startswith("VERIFIED") for line in text.splitlines()) == (where == "licence")
        assert text.splitlines()[-1].count("VERIFIED: ") == 1 + (where != "licence")


def test_moments_of_a_record_are_of_its_calendar(records: Records) -> None:
    """tix-cn is fixed at 16:00 in Beijing, which is 08:00 in UTC."""
    assert json.loads(records("tix-cn", 26)[0])["cut_off"] == "2026-06-26T08:00:00.000000Z"
    text = (SAMPLE / "methodology/tix-cn/1.0.0.toml").read_bytes()
    document = recompute.Document(text, "document")
    assert document.cut_off("2026-06-26") == "2026-06-26T08:00:00.000000Z"
    assert document.rebalances("2026-07-15") == [
        ("2026-05-29", "2026-06-01"),
        ("2026-06-12", "2026-06-15"),
        ("2026-07-12", "2026-07-15"),
    ]
