"""The second verifier: one file that checks an evidence bundle with nothing but the standard library of Python.

*Reads* one bundle, a ZIP file or the folder it was unpacked into. *Writes* numbered steps and a last sentence to stdout,
and nothing to a disk. *Never* imports anything of tokenindex, trusts what a bundle says of itself, or calls covered what
it did not compute: what the tables of a record cannot show is listed as not covered.

    python3 recompute.py BUNDLE.zip [--key PEM_OR_KEYID] [--head SHA256] [--anchor FILE]

Exit code 0: everything that is here agrees. 1: the first difference is named by file, table, row and column. Amounts are
whole numbers of 1e-9 ("nano"), shares are fractions, and rounding is half-even: no float takes part. Steps 1 to 5 and 7
run on Python 3.9; re-computing figures needs the TOML reader of Python 3.11.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":  # what lies beside this file is not imported: a bundle could bring a json.py of its own
    sys.path[:] = [p for p in sys.path if os.path.realpath(p or ".") != os.path.dirname(os.path.realpath(__file__))]

import argparse
import base64
import csv
import hashlib
import io
import json
import re
import stat
import struct
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, NoReturn

try:
    import tomllib
except ImportError:  # Python 3.9 and 3.10
    tomllib = None  # type: ignore[assignment]

NANO = 10**9
HEX, DAY = "[0-9a-f]{64}", "[0-9]{4}-[0-9]{2}-[0-9]{2}"
MEMBER = re.compile(
    "README[.]md|manifest[.]json|manifest[.]sig|recompute[.]py|ledger/[0-9]{8}[.]json|anchors/[0-9]{8}[.]txt"
    f"|signatures/{HEX}[.]sig|keys/{HEX}[.]pem|captures/{HEX}|methodology/{HEX}[.]toml|registries/{HEX}[.]csv"
    f"|records/[A-Za-z0-9_~.-]*[A-Za-z0-9_]/{DAY}_[0-9a-f]{{16}}[.]json"
)
ARCHIVE_MAX, MEMBER_MAX, UNPACKED_MAX, RATIO_MAX = 2**31, 2**28, 2**34, 200
"""Bytes of the archive, of a member, of all members (unpacked one at a time, in memory), and out of one packed byte."""


class Difference(Exception):
    """Something is not as it should be; the text names the place."""


def differs(where: str, found: Any, expected: Any) -> NoReturn:
    """Raise a Difference."""
    raise Difference(f"{where}: found {ascii(found)[:200]}, expected {expected}")


def must(right: Any, text: str) -> None:
    """Raise a Difference unless something is right."""
    if not right:
        raise Difference(text)


def sha256(content: bytes) -> str:
    """Return the digest as 64 digits."""
    return hashlib.sha256(content).hexdigest()


# Ed25519, RFC 8032 section 5.1 ------------------------------------------------------------------------------------------

P, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, ROOT = -121665 * pow(121666, -1, P) % P, pow(2, (P - 1) // 4, P)  # ROOT is a square root of -1
Point = tuple[int, int, int, int]  # X, Y, Z, T with x = X/Z, y = Y/Z and xy = T/Z


def add(p: Point, q: Point) -> Point:
    """Return the sum of two points (section 5.1.4)."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def point_of(encoded: bytes) -> Point | None:
    """Return the point that 32 bytes encode (section 5.1.3), or None: a point has one encoding and no other."""
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x - u) % P:
        x = x * ROOT % P
    if len(encoded) != 32 or y >= P or (v * x * x - u) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


@lru_cache(maxsize=64)
def multiples(p: Point) -> list[list[Point]]:
    """Return 0 to 15 times 16**k times the point, for k from 0 to 63."""
    rows = []
    for _ in range(64):
        row: list[Point] = [(0, 1, 1, 0)]
        for _ in range(15):
            row.append(add(row[-1], p))
        rows.append(row)
        p = add(row[-1], p)
    return rows


def times(n: int, p: Point) -> Point:
    """Return n times a point, n below 2**256: one addition for each hexadecimal digit."""
    total = (0, 1, 1, 0)
    for row in multiples(p):
        total, n = add(total, row[n & 15]), n >> 4
    return total


def signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether the signature holds (section 5.1.7, S B = R + k A), read strictly.

    S is below the order of the group, the key is a canonical point that is not one of the eight of small order, under which
    anybody can sign anything, and the bytes of R are those that the equation gives.
    """
    a, s, base = point_of(public), int.from_bytes(signature[32:], "little"), point_of(b"\x58" + b"\x66" * 31)
    if a is None or base is None or len(signature) != 64 or s >= ORDER:
        return False
    x, y, z, _ = times(8, a)
    if x == 0 and y == z:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER
    x, y, z, _ = add(times(s, base), times(k, (P - a[0], a[1], 1, P - a[3])))
    x, y = x * pow(z, -1, P) % P, y * pow(z, -1, P) % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


def public_key(pem: bytes, where: str) -> bytes:
    """Return the 32 bytes of an Ed25519 key in a PEM text."""
    lines = b"-----BEGIN PUBLIC KEY-----\n([A-Za-z0-9+/]{59}=)\n-----END PUBLIC KEY-----"
    found = re.fullmatch(lines, pem.replace(b"\r", b"").strip())
    der = base64.b64decode(found.group(1)) if found else b""
    if der[:12] != bytes.fromhex("302a300506032b6570032100"):
        differs(where, pem, "the PEM text of an Ed25519 public key")
    return der[12:]


# 1. the container -------------------------------------------------------------------------------------------------------


class Bundle:
    """The members of a bundle, read one at a time."""

    def __init__(self, read: Callable[[str], bytes], sizes: dict[str, int], found: str) -> None:
        self._read, self.sizes, self.found, self.reading = read, sizes, found, "the container"

    def read(self, name: str) -> bytes:
        """Return the bytes of a member."""
        must(name in self.sizes, f"{name} is not in the bundle")
        self.reading = name
        return self._read(name)

    def inside(self, folder: str) -> list[str]:
        """Return the names below a folder, in order."""
        return sorted(name for name in self.sizes if name.startswith(folder + "/"))


def open_bundle(path: str) -> Bundle:
    """Return the members of a ZIP file or of a folder; nothing is unpacked yet."""
    bundle = open_folder(path) if os.path.isdir(path) else open_zip(path)
    for name, size in bundle.sizes.items():
        must(MEMBER.fullmatch(name), f"{ascii(name)[:200]} is not a member that a bundle may have")
        must(size <= MEMBER_MAX, f"{name} has {size} bytes: more than {MEMBER_MAX}")
    must(sum(bundle.sizes.values()) <= UNPACKED_MAX, f"all members together have more than {UNPACKED_MAX} bytes")
    return bundle


def open_folder(path: str) -> Bundle:
    """Return the files below a folder; a link is refused, as is anything else that is neither a file nor a folder."""
    sizes: dict[str, int] = {}
    for folder, folders, files in os.walk(path):
        for full in (os.path.join(folder, name) for name in folders + files):
            kind, member = os.lstat(full), os.path.relpath(full, path).replace(os.sep, "/")
            regular = stat.S_ISREG(kind.st_mode)
            must(regular or stat.S_ISDIR(kind.st_mode), f"{member!a} is a link, or neither a file nor a folder")
            if regular:
                sizes[member] = kind.st_size
            must(len(sizes) < 2**16, "the folder holds more files than a bundle")

    def read(name: str) -> bytes:
        with open(os.path.join(path, name), "rb") as file:
            return file.read(sizes[name] + 1)

    return Bundle(read, sizes, "an unpacked folder, so that the comment of the ZIP file is not covered")


def open_zip(path: str) -> Bundle:
    """Return the members of a ZIP file of which every byte belongs to a member, to the directory or to the end."""
    with open(path, "rb") as file:
        content = file.read(ARCHIVE_MAX + 1)
    end = len(content) - 22 - 64
    right = 0 <= end <= ARCHIVE_MAX and content[end : end + 4] == b"PK\5\6"
    must(right, "this is no ZIP file that ends with a comment of 64 digits")
    disk, first, here, count, length, start, comment = struct.unpack("<4H2LH", content[end + 4 : end + 22])
    right = (disk, first, here, comment, start + length) == (0, 0, count, 64, end)
    must(right, "the end of the ZIP file does not describe this file")
    if content[end + 22 :] != sha256(content[:end]).encode():
        differs("the comment of the ZIP file", content[end + 22 :], "the digest of the rest, " + sha256(content[:end]))
    places: dict[str, tuple[int, int, int, int, int]] = {}
    at, position, last = start, 0, ""
    for _ in range(count):
        name, place, at = zip_entry(content, at, end)
        must(name > last, f"{name} stands after {last}: members are in order, and none is there twice")
        method, crc, offset, packed, size = place
        head = struct.pack("<2L3H3L2H", 0, 0, method, 0, 0x21, crc, packed, size, len(name), 0)[6:] + name.encode()
        there = content[position : position + 26 + len(name) + 4]
        right = offset == position and there[:4] == b"PK\3\4" and there[6:] == head
        must(right, f"{name}: what stands before its bytes is not what the directory of the ZIP file says")
        position += len(there) + packed
        places[name], last = (method, crc, position - packed, packed, size), name
    must((at, position) == (end, start), "the ZIP file has bytes that belong to no member")

    def read(name: str) -> bytes:
        method, crc, begin, packed, size = places[name]
        raw = content[begin : begin + packed]
        if method:
            inflate = zlib.decompressobj(-15)
            raw = inflate.decompress(raw, size + 1)
            must(inflate.eof and not inflate.unused_data, f"{name} does not unpack to the size it is said to have")
        must(len(raw) == size and zlib.crc32(raw) == crc, f"{name}: size or CRC are not those of the ZIP directory")
        return raw

    return Bundle(read, {name: p[4] for name, p in places.items()}, "the comment is the digest of all before it")


def zip_entry(content: bytes, at: int, end: int) -> tuple[str, tuple[int, int, int, int, int], int]:
    """Return name and ``(method, crc, offset, packed, size)`` of an entry of the directory, and where the next begins."""
    must(at + 46 <= end, "the directory of the ZIP file is cut short")
    fields = struct.unpack("<4s6H3L5H2L", content[at : at + 46])
    flags, method, clock, day, crc, packed, size, length, extra, comment, disk = fields[3:14]
    name, kind = content[at + 46 : at + 46 + length].decode("latin-1"), stat.S_IFMT(fields[15] >> 16)
    right = {
        "is not an entry of the directory": fields[0] == b"PK\1\2" and disk == 0,
        "is not a member that a bundle may have": MEMBER.fullmatch(name),
        "is encrypted, or has flags that a bundle has not": flags == 0,
        "is packed neither with deflate nor not at all": method == 8 or (method == 0 and packed == size),
        "is a link, a directory or a device": kind in (0, stat.S_IFREG) and not fields[15] & 0x10,
        "has an extra field or a comment": not extra and not comment,
        "has another moment than 1980-01-01": (clock, day) == (0, 0x21),
        f"unpacks to more than {RATIO_MAX} times its size": size <= RATIO_MAX * packed + 1024,
    }
    for what, holds in right.items():
        must(holds, f"member {ascii(name)[:200]} {what}")
    return name, (method, crc, fields[16], packed, size), at + 46 + length


# 2. JSON, its forms, the manifest ---------------------------------------------------------------------------------------


def canonical(content: Any) -> bytes:
    """Return RFC 8785 canonical JSON of objects with ASCII keys, texts, integers, booleans, lists and nulls."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def small_integer(text: str) -> int:
    """Return a number of a JSON text: all are integers below 2**53."""
    number = int(text)
    if abs(number) >= 2**53:
        raise ValueError(f"the number {number} is too large")
    return number


def parsed(content: bytes, where: str) -> Any:
    """Return the value of JSON bytes that are canonical: no other bytes may say the same."""
    try:
        numbers = dict.fromkeys(("parse_int", "parse_float", "parse_constant"), small_integer)
        value = json.loads(content.decode(), **numbers)  # type: ignore[arg-type]
        again = canonical(value)
    except (ValueError, RecursionError) as wrong:
        raise Difference(f"{where}: not canonical JSON: {ascii(str(wrong))[:200]}") from None
    if again != content:
        at = next((i for i, (a, b) in enumerate(zip(content, again)) if a != b), min(len(content), len(again)))
        raise Difference(f"{where}: not canonical JSON from byte {at + 1} on")
    return value


def is_day(text: str) -> bool:
    """Return whether a text is a date of the calendar, as in 2026-06-26."""
    try:
        return re.fullmatch(DAY, text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False


def is_moment(text: str) -> bool:
    """Return whether a text is a moment, as in 2026-06-26T16:00:00.000000Z; as texts they stand in order."""
    clock = "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9][.][0-9]{6}Z"
    return re.fullmatch(clock, text[10:]) is not None and is_day(text[:10])


FIGURES = ("status", "price", "level", "currency")
INDEX = "[A-Za-z0-9_-]+(:[A-Za-z0-9_]+)?([.][a-z0-9_]+)?"
_CASE = "index:index fixing_date:day record:digest"
_PUBLISHED = f"{_CASE} vintage:vintage version:text methodology:digest captures:head? fixing:figures"
_REPLACED = (
    f"{_PUBLISHED} supersedes:number reason:text approved_by:texts before:figures change:text dependants:dependants"
)
FORMS = {
    "manifest": "bundle:bundle files:files ledger:head commitments:commitments fixings:fixings",
    "file": "sha256:digest size:number",
    "head": "number:number sha256:digest",
    "commitment": "sha256:digest name:text licence:string?",
    "fixing": "index:index fixing_date:day record:digest entry:number",
    "entry": "ledger:ledger number:number previous:digest? at:moment kind:text key:digest? body:object",
    "figures": "status:text? price:text? level:text? currency:text?",
    "dependant": "index:index fixing_date:day before:figures after:figures",
    "key": "public_key:text valid_from:moment valid_to:moment? retires:digest?",
    "publication": _PUBLISHED,
    "restatement": _REPLACED,
    "correction": _REPLACED,
    "contingency": f"{_CASE} status:text rung:number reason:text",
    "judgment": f"{_CASE} capture:digest locator:text step:text decision:text reason:text decided_by:text approved_by:text "
    "inputs:object with:figures without:figures",
    "cessation": "index:index last_fixing_date:day reason:text approved_by:texts",
}
"""Keys and forms of the objects; ``?`` is a form or null, and one more ``s`` a list of it."""
TEXTS: dict[str, Callable[[str], Any]] = {
    "string": lambda v: True,
    "text": lambda v: v != "",
    "digest": re.compile(HEX).fullmatch,
    "index": re.compile(INDEX).fullmatch,
    "vintage": re.compile("final|provisional").fullmatch,
    "ledger": re.compile("tokenindex ledger 1").fullmatch,
    "bundle": re.compile("tokenindex bundle 1").fullmatch,
    "day": is_day,
    "moment": is_moment,
}


def fits(value: Any, form: str, where: str) -> None:
    """Refuse what is not of a form: another type, a key that is missing or not known, another kind of text."""
    if form.endswith("?"):
        if value is not None:
            fits(value, form[:-1], where)
    elif form in FORMS:
        keys = dict(key.split(":") for key in FORMS[form].split())
        if not isinstance(value, dict) or value.keys() != keys.keys():
            differs(where, sorted(value) if isinstance(value, dict) else value, "the keys " + ", ".join(sorted(keys)))
        for key, inner in keys.items():
            fits(value[key], inner, f"{where}, {key}")
    elif form == "number":
        if type(value) is not int or value < 0:
            differs(where, value, "a number")
    elif form in TEXTS:
        if not isinstance(value, str) or not TEXTS[form](value):
            differs(where, value, f"a {form}")
    elif not isinstance(value, dict if form in ("object", "files") else list):
        differs(where, value, form)
    elif form != "object":
        items: dict[Any, Any] = value if isinstance(value, dict) else dict(enumerate(value, start=1))
        for key, item in items.items():
            fits(item, form[:-1], f"{where}, {key!a}")


def check_manifest(bundle: Bundle) -> Any:
    """Step 2: the manifest lists every member, and every member has the digest and the size it lists."""
    manifest = parsed(bundle.read("manifest.json"), "manifest.json")
    fits(manifest, "manifest", "manifest.json")
    listed, here = set(manifest["files"]), set(bundle.sizes) - {"manifest.json", "manifest.sig"}
    must(listed <= here, f"{min(listed - here, default='')!a} is listed in manifest.json and not in the bundle")
    must(here <= listed, f"{min(here - listed, default='')} is in the bundle and not listed in manifest.json")
    for name, facts in sorted(manifest["files"].items()):
        content = bundle.read(name)
        found = {"sha256": sha256(content), "size": len(content)}
        if found != facts:
            differs(name, found, f"{facts} as in manifest.json")
    return manifest


# 3. the ledger, 4. signatures -------------------------------------------------------------------------------------------

KINDS = ("key", "publication", "contingency", "judgment", "restatement", "correction", "cessation")


class Entry:
    """One entry of the ledger, of the form that its kind has."""

    def __init__(self, name: str, content: bytes) -> None:
        entry = parsed(content, name)
        fits(entry, "entry", name)
        if entry["kind"] not in KINDS:
            differs(f"{name}, kind", entry["kind"], " or ".join(KINDS))
        fits(entry["body"], entry["kind"], f"{name}, body")
        self.where, self.content, self.sha256 = name, content, sha256(content)
        self.number, self.previous, self.at = entry["number"], entry["previous"], entry["at"]
        self.kind, self.key, self.body = entry["kind"], entry["key"], entry["body"]
        self.publishes = "fixing" in self.body


def check_ledger(bundle: Bundle, manifest: Any, head: str | None, anchors: list[str]) -> tuple[list[Entry], str]:
    """Step 3: the entries are a chain, and it goes as far as everybody says who has seen the ledger."""
    entries: list[Entry] = []
    previous, at = None, ""
    for number, name in enumerate(bundle.inside("ledger"), start=1):
        must(name == f"ledger/{number:08}.json", f"ledger/{number:08}.json is missing: {name} is there")
        entry = Entry(name, bundle.read(name))
        if (entry.number, entry.previous) != (number, previous):
            differs(f"{name}, number, previous", (entry.number, entry.previous), f"{number} and the digest {previous}")
        if entry.at < at:
            differs(f"{name}, at", entry.at, f"{at}, the moment of the entry before, or later")
        previous, at = entry.sha256, entry.at
        entries.append(entry)
    must(entries, "the ledger has no entries")
    if manifest["ledger"] != {"number": len(entries), "sha256": previous}:
        differs("manifest.json, ledger", manifest["ledger"], f"the head of the ledger, {len(entries)} {previous}")
    told = [(name, bundle.read(name)) for name in bundle.inside("anchors")]
    for file in anchors:
        with open(file, "rb") as text:
            told.append((file, text.read(10**4)))
    for name, line in told:
        check_anchor(name, line, entries)
    found = f"{len(entries)} entries without gaps up to {at}; {len(told)} anchors agree; head {previous}"
    if head is not None:
        known = {entry.sha256: entry.number for entry in entries}
        if head.lower() not in known:
            differs("--head", head, "an entry: the ledger is truncated, an older one is replayed, or it is another")
        found += f"; the head given is entry {known[head.lower()]}"
    return entries, found


def check_anchor(name: str, line: bytes, entries: list[Entry]) -> None:
    """Refuse a ledger that lacks the entry of an anchor, or has another one in its place."""
    found = re.fullmatch(f"tokenindex ledger ([1-9][0-9]{{0,7}}) ({HEX}) ([0-9TZ:.-]+)\r?\n?", line.decode("latin-1"))
    if not found:
        differs(name, line, "tokenindex ledger NUMBER SHA256 MOMENT")
    number = int(found.group(1))
    if name.startswith("anchors/") and name != f"anchors/{number:08}.txt":
        differs(name, number, "the number in its name")
    if number > len(entries):
        differs(name, f"entry {number}", f"{len(entries)} at most: the ledger is truncated, or an older one replayed")
    entry = entries[number - 1]
    if found.group(2, 3) != (entry.sha256, entry.at):
        there = f"{entry.sha256} {entry.at} as in {entry.where}: the anchor is of another ledger"
        differs(name, found.group(2, 3), there)


def check_signatures(bundle: Bundle, entries: list[Entry], wanted: str | None) -> tuple[str, str]:
    """Step 4: every entry from the first key on is signed by the key in force, and so is the manifest."""
    keys: dict[str, tuple[bytes, Any]] = {}
    current: str | None = None
    expected = set()
    for entry in entries:
        signer = current
        if entry.kind == "key":
            raw = public_key(entry.body["public_key"].encode(), f"{entry.where}, public_key")
            new = sha256(raw)
            if entry.body["retires"] != current:
                differs(f"{entry.where}, retires", entry.body["retires"], f"{current}, the key in force")
            must(new not in keys, f"{entry.where}, public_key: the key {new} was used before")
            keys[new], signer, current = (raw, entry.body), current or new, new  # the first key signs itself
        if entry.key != signer:
            differs(f"{entry.where}, key", entry.key, f"{signer}, the key in force")
        if signer is not None:
            raw, since = keys[signer]
            if not since["valid_from"] <= entry.at <= (since["valid_to"] or "9"):
                differs(f"{entry.where}, at", entry.at, f"a moment at which the key {signer} is valid")
            name = f"signatures/{entry.sha256}.sig"
            right = signed(raw, entry.content, bundle.read(name))
            must(right, f"{name} is not a signature of {entry.where} by the key {signer}")
            expected.add(name)
    spare = set(bundle.inside("signatures")) - expected
    must(not spare, f"{min(spare, default='')} is of no entry that is signed")
    for name in bundle.inside("keys"):
        found = sha256(public_key(bundle.read(name), name))
        must(name == f"keys/{found}.pem" and found in keys, f"{name} is no key of the ledger under its own id")
    if current is None:
        must("manifest.sig" not in bundle.sizes, "manifest.sig is there, and the ledger has no key")
        must(not wanted, "--key: the ledger is unsigned")
        return "", "UNSIGNED: nothing shows who made this bundle; whoever changed it could have made all digests anew"
    first = next(iter(keys))
    if wanted and key_id(wanted) != first:
        differs("--key", wanted, f"the first key of the ledger, {first}")
    right = signed(keys[current][0], bundle.read("manifest.json"), bundle.read("manifest.sig"))
    must(right, f"manifest.sig is not a signature of manifest.json by the key {current}")
    sure = (
        "it is the one that was asked for"
        if wanted
        else "compare it with the one its owner publishes, or give it as --key"
    )
    count = f"{len(expected)} entries and the manifest ({len(entries) - len(expected)} before the first key)"
    return first, f"{count}; first of {len(keys)} keys: {first}; {sure}"


def key_id(wanted: str) -> str:
    """Return the id of a key that was given as an id or as a PEM file."""
    if re.fullmatch(HEX, wanted.lower()):
        return wanted.lower()
    with open(wanted, "rb") as file:
        return sha256(public_key(file.read(10**4), wanted))


# 5. what was published --------------------------------------------------------------------------------------------------

RECORD = frozenset(
    "record index version component workload fixing_date cut_off known_at methodology registry software captures fixing "
    "notes basket constituents elementary observations left_out".split()
)


class Head:
    """What a record says of itself."""

    def __init__(self, name: str, content: bytes) -> None:
        record = parsed(content, name)
        right = isinstance(record, dict) and RECORD <= record.keys() <= RECORD | {"without_judgment"}
        must(right and record["record"] == "tokenindex record 1", f"{name} has not the keys of a tokenindex record 1")
        self.name, self.sha256 = name, sha256(content)
        self.index, self.day = record["index"], record["fixing_date"]
        if name != f"records/{self.index.replace(':', '~')}/{self.day}_{self.sha256[:16]}.json":
            differs(name, (self.index, self.day, self.sha256), "index, date and digest as in its name")
        self.figures = {figure: record["fixing"][figure] for figure in FIGURES}
        self.facts = {"index": self.index, "fixing_date": self.day, "version": record["version"]}
        self.facts.update(methodology=record["methodology"]["sha256"], fixing=self.figures)
        self.case = {fact: record["fixing"][fact] for fact in ("status", "rung", "reason")}
        self.judged, self.without = "without_judgment" in record, record.get("without_judgment")
        self.captures = {capture["sha256"] for capture in record["captures"]}


def check_published(entries: list[Entry], heads: dict[str, Head], manifest: Any) -> Counter[str]:
    """Step 5: the ledger publishes no date twice, and what it publishes are the figures of the records."""
    notes: Counter[str] = Counter()
    cases: dict[str, list[Entry]] = defaultdict(list)  # contingencies and judgments, by record
    standing: dict[tuple[str, str], Entry] = {}  # whose figure stands
    final: set[tuple[str, str, str]] = set()
    ended: dict[str, str] = {}
    judged: set[str] = set()
    captures: dict[str, Any] = {"number": 0, "sha256": ""}
    for entry in entries:
        body = entry.body
        place = (body.get("index", ""), body.get("fixing_date", ""))
        if entry.kind in ("contingency", "judgment"):
            alone = entry.kind == "judgment" and body["decided_by"] == body["approved_by"]
            must(not alone, f"{entry.where}, approved_by: it is the person who decided")
            cases[body["record"]].append(entry)
            judged |= {body["index"]} if entry.kind == "judgment" else set()
        elif entry.kind == "cessation":
            ended[place[0]] = body["last_fixing_date"]
        elif entry.kind == "publication":
            again = {(*place, body["vintage"]), (*place, "final")} & final
            must(not again, f"{entry.where}: {' '.join(place)} is published twice, and this entry supersedes nothing")
            must(place[1] <= ended.get(place[0], "9"), f"{entry.where}: {place[1]} lies after the last fixing date")
            final.add((*place, body["vintage"]))
        elif entry.publishes:
            check_superseded(entry, entries, standing.get(place))
        if not entry.publishes:
            continue
        if entry.kind != "correction":
            standing[place] = entry
        seen = body["captures"]
        if seen and seen != captures:
            must(seen["number"] > captures["number"], f"{entry.where}, captures: the list of captures only grows")
            captures = seen
        told, head = cases.pop(body["record"], []), heads.get(body["record"])
        if head:
            check_entry(entry, head, told, head.index in judged)
        else:
            notes["published entries whose records are not in this bundle"] += 1
    for case in (case for told in cases.values() for case in told):
        notes[f"{case.where}: a {case.kind} of a record that nothing publishes"] += 1
    check_listed(entries, heads, manifest["fixings"])
    return notes


def check_superseded(entry: Entry, entries: list[Entry], standing: Entry | None) -> None:
    """Refuse a restatement or correction of nothing, of another figure than it says, or by one person alone."""
    body, number = entry.body, entry.body["supersedes"]
    old = entries[number - 1] if 0 < number < entry.number else entry
    same = all(old.body.get(name) == body[name] for name in ("index", "fixing_date"))
    if old is entry or not old.publishes or not same or (entry.kind == "restatement" and old is not standing):
        differs(f"{entry.where}, supersedes", number, "the entry whose figure of this index and date it replaces")
    if body["before"] != old.body["fixing"]:
        differs(f"{entry.where}, before", body["before"], f"{old.body['fixing']} as in {old.where}")
    people = body["approved_by"]
    must(len(set(people)) == len(people) >= 2, f"{entry.where}, approved_by: two or more different people are needed")


def check_entry(entry: Entry, head: Head, cases: list[Entry], judged: bool) -> None:
    """Refuse an entry whose facts, contingency or judgments are not those of its record.

    A judgment is entered before the first figure of an index that it counts for; `judged` says whether there is one.
    """
    for name, there in head.facts.items():
        if entry.body[name] != there:
            differs(f"{entry.where}, {name}", entry.body[name], f"{there} as in {head.name}")
    judgments = [case for case in cases if case.kind == "judgment"]
    told = head.case["rung"] == 1 or len(judgments) < len(cases)
    must(told, f"{entry.where}: {head.name} is of rung {head.case['rung']}, and no contingency stands before it")
    for case in cases:
        right = head.case if case.kind == "contingency" else {"with": head.figures}
        for name, there in {"index": head.index, "fixing_date": head.day, **right}.items():
            if case.body[name] != there:
                differs(f"{case.where}, {name}", case.body[name], f"{there} as in {head.name}")
    for case in judgments:
        must(case.body["capture"] in head.captures, f"{case.where}, capture: it is none of {head.name}")
        if head.judged and len(judgments) == 1 and case.body["without"] != head.without:
            differs(f"{case.where}, without", case.body["without"], f"{head.without} as in {head.name}")
    wrong = head.without is None if judgments else head.without is not None and not judged
    if head.judged and wrong:
        there = f"figures, as judgments stand before {entry.where}" if judgments else "null: no judgment is on record"
        differs(f"{head.name}, without_judgment", head.without, there)


def check_listed(entries: list[Entry], heads: dict[str, Head], fixings: list[Any]) -> None:
    """Check that the manifest lists the records that are here, each with the entry that published it."""
    for fixing in fixings:
        entry = entries[fixing["entry"] - 1] if 0 < fixing["entry"] <= len(entries) else None
        named = {name: entry.body.get(name) for name in ("index", "fixing_date", "record")} if entry else {}
        if not entry or not entry.publishes or {**named, "entry": entry.number} != fixing:
            differs("manifest.json, fixings", fixing, "index, date and record as an entry of the ledger publishes them")
        must(fixing["record"] in heads, f"manifest.json, fixings: the record {fixing['record']} is not in the bundle")
    spare = {heads[digest].name for digest in heads.keys() - {fixing["record"] for fixing in fixings}}
    must(not spare, f"{min(spare, default='')} is none of the fixings of manifest.json")


# 6. records: numbers, tables, document, registry ------------------------------------------------------------------------

Row = dict[str, Any]  # the cells of a row by column, as the record writes them


def nano(text: Any) -> Any:
    """Return an amount with nine decimals as a whole number of 1e-9; None stays None."""
    return None if text is None else int(text.replace(".", ""))


def whole(text: Any) -> Any:
    """Return a number of tokens, which is text in a record; None stays None."""
    return None if text is None else int(text)


def money(amount: Any) -> Any:
    """Return nano as a record writes it; None stays None."""
    return None if amount is None else f"{'-' * (amount < 0)}{abs(amount) // NANO}.{abs(amount) % NANO:09}"


def nearest(numerator: int, denominator: int) -> int:
    """Return a quotient rounded half-even; the denominator is positive."""
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1))


def lower_median(amounts: list[int]) -> int:
    """Return the middle one of some amounts, the lower of two."""
    return sorted(amounts)[(len(amounts) - 1) // 2]


CELLS = {
    "an amount with nine decimals": (
        "-?[0-9]{1,29}[.][0-9]{9}",
        "rate standard_price price used_price base_price weight",
    ),
    "a whole number": ("0|[1-9][0-9]{0,37}", "tokens quantity divisor context_from context_to"),
    "a price with 24 decimals": ("-?[0-9]{1,14}[.][0-9]{24}", "observed_price"),
    "a moment": ("[-0-9]{10}T[0-9:]{8}[.][0-9]{6}Z", "valid_from known_at"),
    "a time of day": ("[0-2][0-9](:[0-5][0-9]){2}", "time_from time_to"),
    "a currency": ("[A-Z]{3}", "currency"),
    "a unit": ("per_token|per_1k_tokens|per_1m_tokens|cents_per_token", "unit"),
}
CELL = {column: (re.compile(form), what) for what, (form, columns) in CELLS.items() for column in columns.split()}


class Sheet:
    """A table of a record; a difference in it names the row and the column."""

    def __init__(self, record: Any, table: str, where: str, *key: str) -> None:
        columns, rows = record[table]["columns"], record[table]["rows"]
        right = len(set(columns)) == len(columns) and all(len(row) == len(columns) for row in rows)
        must(right, f"{where}, table {table}: a row has not one cell for each column")
        self.rows: list[Row] = [dict(zip(columns, row)) for row in rows]
        self.name, self.key = f"{where}, table {table}", key
        names = Counter(tuple(row[column] for column in key) for row in self.rows)
        must(len(names) == len(rows), f"{self.name}: {ascii(names.most_common(1))[:200]}: a row stands there twice")
        forms = {column: CELL.get(column) for column in columns}
        if table == "observations":
            forms["price"] = CELL["observed_price"]
        for column, (form, what) in ((column, form) for column, form in forms.items() if form):
            for row in self.rows:
                cell = row[column]
                if cell is not None and not (isinstance(cell, str) and form.fullmatch(cell)):
                    differs(self.place(row, column), cell, what)

    def place(self, row: Row, column: str) -> str:
        """Return where a cell stands."""
        number = next(n for n, other in enumerate(self.rows, start=1) if other is row)
        return f"{self.name}, row {number} ({ascii([row[c] for c in self.key])[1:-1]}), column {column}"

    def same(self, row: Row, **expected: Any) -> None:
        """Refuse a row in which a cell is not what was re-computed."""
        for column, value in expected.items():
            if row[column] != value or type(row[column]) is not type(value):
                differs(self.place(row, column), row[column], f"{value!a}, which is re-computed")


def exact(text: str) -> Decimal:
    """Return a number of a document, as it is written."""
    number = Decimal(text)
    if not number.is_finite() or abs(number.adjusted()) > 40:
        raise ValueError(f"the number {text[:40]} is not one that a document may hold")
    return number


class Document:
    """A methodology document and its calendar."""

    def __init__(self, content: bytes, name: str) -> None:
        self.tables: dict[str, Any] = tomllib.loads(content.decode(), parse_float=exact)
        self.meaning = sha256(json.dumps(self.tables, sort_keys=True, default=str, separators=(",", ":")).encode())
        self.formula, calendar, self.name = self.tables["formula"], self.tables["calendar"], name
        self.has_basket = self.formula["rule"] == "fixed_basket"
        rules = (self.formula["rule"], self.tables["consolidation"]["rule"])
        if rules not in (("fixed_basket", "tiered_lower_median"), ("volume_weighted_mean", "tiered_lower_median")):
            differs(f"{name}, rules of formula and consolidation", rules, "rules that this program knows")
        length = (calendar["closes"] - calendar["opens"]).days + 1
        every = (calendar["opens"] + timedelta(days=k) for k in range(length))
        days = [day for day in every if day.isoweekday() in calendar["weekdays"] and day not in calendar["closed"]]
        self.dates = [day.isoformat() for day in days]
        self.number = {day: n for n, day in enumerate(self.dates)}
        decimals = [range(10).index(self.tables["publication"][f"{figure}_decimals"]) for figure in ("price", "level")]
        self.price_step, self.level_step = (int(10 ** (9 - number)) for number in decimals)

    def cut_off(self, day: str) -> str:
        """Return the cut-off of a fixing date as a moment in UTC."""
        clock, offset = self.tables["calendar"]["cut_off"], self.tables["calendar"]["offset"]
        local = datetime.combine(date.fromisoformat(day), time.fromisoformat(clock))
        away = datetime.strptime(offset, "%z").utcoffset() or timedelta(0)
        return (local - away).isoformat(timespec="microseconds") + "Z"

    def rebalances(self, day: str) -> list[tuple[str, str]]:
        """Return announcement and rebalance dates up to a day: the base date, then the first from a day of each month."""
        base, found = self.formula["base_date"], set()
        for month in range(base.year * 12 + base.month - 1, int(day[:4]) * 12 + int(day[5:7])):
            start = date(month // 12, month % 12 + 1, self.formula["rebalance_day"]).isoformat()
            found.add(next((d for d in self.dates if d >= start), "9"))
        days = [base.isoformat(), *sorted(d for d in found if d > base.isoformat())]
        return [(self.dates[self.number[d] - self.formula["announce_dates"]], d) for d in days if d <= day]


REGISTRY = "source provider model vendor constituent kind host valid_from valid_to reference".split()


def registry_of(content: bytes, digest: str, name: str) -> list[Row]:
    """Return the rows of a registry; their canonical form has the digest that records name."""
    lines = list(csv.reader(io.StringIO(content.decode(), newline="")))
    right = lines and sorted(lines[0]) == sorted(REGISTRY) and all(len(line) == len(REGISTRY) for line in lines)
    must(right, f"{name}: its columns are not those of a registry")
    rows = [{column: cell or None for column, cell in zip(lines[0], line)} for line in lines[1:]]
    ordered = sorted(([row[c] for c in REGISTRY] for row in rows), key=lambda row: [(c is None, c or "") for c in row])
    found = sha256(canonical({"columns": REGISTRY, "rows": ordered}))
    if found != digest:
        differs(f"{name}, digest of its rows", found, digest)
    return rows


# 6. records: prices -----------------------------------------------------------------------------------------------------

NO_QUOTE = frozenset(
    "unmapped not_in_universe source_not_allowed component_not_used withdrawn source_unseen unreadable "
    "service_tier prompt_length".split()
)
UNPRICED = frozenset(("not_positive", "price_bounds", "no_exchange_rate", "price_too_large"))
SCREENED = frozenset(("region", "date_kind", "alias"))
FACTORS = {"per_token": 10**6, "per_1k_tokens": 10**3, "per_1m_tokens": 1, "cents_per_token": 10**4}
OFFER = ("source", "provider", "model", "component", "service_tier", "region")
QUOTE = (*OFFER, "context_from", "time_from", "time_to", "time_zone")
PRICE_MAX = 10**15  # one million currency units per million tokens, in nano
SECONDS = 86_400


def standard_price(row: Row) -> int | None:
    """Return nano index currency per million tokens: unit first, then currency, each rounded; None if that cannot be."""
    price, rate = row["price"], nano(row["rate"])
    if price is None or rate is None:
        return None
    raw, factor = abs(int(price.replace(".", ""))), FACTORS[row["unit"]]
    amount = nearest(nearest(raw * factor, 10**15) * rate, NANO)
    if raw > PRICE_MAX * 10**15 // factor or amount > PRICE_MAX:
        return None
    return -amount if price.startswith("-") else amount


def window(row: Row) -> tuple[int, int]:
    """Return the second at which the hours of a quote begin, and how many they are; those of a day if it has none."""
    if row["time_from"] is None:
        return 0, SECONDS
    parts = [[int(part) for part in row[clock].split(":")] for clock in ("time_from", "time_to")]
    begin, end = (hours * 3600 + minutes * 60 + rest for hours, minutes, rest in parts)
    return begin, (end - begin - 1) % SECONDS + 1


def overlapping(rows: list[Row]) -> bool:
    """Return whether two quotes of an offer serve the same prompt or hour; hours of two zones are taken to."""
    ends: dict[int, int] = defaultdict(int)
    windows: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for row in rows:
        start, end = whole(row["context_from"]), whole(row["context_to"])
        ends[start] = max(ends[start], 10**18 if end is None else end)
        if row["time_from"] is not None:
            windows[start].append(window(row))
    brackets = sorted(ends)
    torn = any(ends[a] > b for a, b in zip(brackets, brackets[1:]))
    for hours in map(sorted, windows.values()):
        following = [begin for begin, _ in hours[1:]] + [hours[0][0] + SECONDS]
        torn = torn or any(begin + lasts > after for (begin, lasts), after in zip(hours, following))
    return torn or len({row["time_zone"] or "" for row in rows if row["time_from"] is not None}) > 1


def consolidated(offers: list[Row], agreement: Fraction, min_agreeing: Fraction) -> Row:
    """Return the elementary price: the lower median of the best tier, if enough of that tier agree with it."""
    best = min((o["tier"] for o in offers if o["price"] is not None), default=9)
    doubted = min((o["tier"] for o in offers if o["held"]), default=9)
    quoted = [o for o in offers if o["tier"] == best and o["price"] is not None]
    if not quoted or doubted < best:  # a worse source is not asked because a better one is doubted
        reason = "no_usable_price" if doubted == 9 else "held"
        return {"price": None, "source_tier": None, "quotes": 0, "agreeing": 0, "sources": 0, "excluded_by": reason}
    median = lower_median([o["price"] for o in quoted])
    agreeing = [o["source"] for o in quoted if abs(o["price"] - median) <= agreement * median]
    enough = len(agreeing) > min_agreeing * len(quoted)
    facts = {"source_tier": best, "quotes": len(quoted), "agreeing": len(agreeing), "sources": len(set(agreeing))}
    return {"price": money(median) if enough else None, "excluded_by": None if enough else "sources_disagree", **facts}


def blended(parts: list[Row]) -> Row:
    """Return price, worst tier, fewest sources and reason of a model, from its elementary prices and their parts."""
    prices = [nano(row["price"]) for row in parts]
    total = None if None in prices else sum(price * row["parts"] for price, row in zip(prices, parts))
    price = None if total is None else nearest(total, sum(row["parts"] for row in parts))
    there = {c: [row[c] for row in parts if row[c] is not None] for c in ("source_tier", "sources", "excluded_by")}
    least = {c: min(there[c], default=None) for c in ("sources", "excluded_by")}
    return {"price": money(price), "source_tier": max(there["source_tier"], default=None), **least}


# 6. records: baskets ----------------------------------------------------------------------------------------------------


def hand_out(parts: list[Fraction], total: int, room: list[int]) -> list[int]:
    """Return whole numbers in proportion that sum to the total: largest remainder first, none above its room."""
    every = sum(parts)
    shares = [part * total / every for part in parts]
    found = [share.numerator // share.denominator for share in shares]
    turn = sorted(range(len(parts)), key=lambda i: (found[i] - shares[i], i))
    for i in [i for i in turn if shares[i] != found[i]] + turn:
        if sum(found) < total and found[i] < room[i]:
            found[i] += 1
    return found


def filled(spent: dict[str, int], total: Fraction, cap: Fraction) -> dict[str, Fraction]:
    """Return shares of the total in proportion to expenditure, none above the cap."""
    capped: set[str] = set()
    while len(capped) < len(spent):
        rate = (total - cap * len(capped)) / sum(e for name, e in spent.items() if name not in capped)
        over = {name for name, e in spent.items() if name not in capped and rate * e > cap}
        if not over:
            return {name: cap if name in capped else rate * e for name, e in spent.items()}
        capped |= over
    return dict.fromkeys(spent, cap)


def capped_weights(spent: dict[str, int], vendor: Row, cap: Fraction, vendor_cap: Fraction) -> dict[str, int]:
    """Return weights in nano: shares under both caps, the rest pro rata; rounded first by vendor, then by model."""
    of: dict[str, dict[str, int]] = defaultdict(dict)
    for name in sorted(spent, key=lambda name: (vendor[name], name)):
        of[vendor[name]][name] = spent[name]
    full: set[str] = set()
    over = {""}
    while over:
        left = {name: e for maker in of if maker not in full for name, e in of[maker].items()}
        shares = filled(left, 1 - vendor_cap * len(full), cap)
        over = {maker for maker in of if maker not in full and sum(shares[name] for name in of[maker]) > vendor_cap}
        full |= over
    for maker in full:
        shares.update(filled(of[maker], vendor_cap, cap))
    sums = [sum((shares[name] for name in models), Fraction(0)) for models in of.values()]
    totals = hand_out(sums, NANO, [int(min(vendor_cap, cap * len(models)) * NANO) for models in of.values()])
    weights: dict[str, int] = {}
    for models, total in zip(of.values(), totals):
        weights.update(zip(models, hand_out([shares[name] for name in models], total, [int(cap * NANO)] * len(models))))
    return weights


def cost(members: list[Row], used: dict[str, int]) -> Fraction:
    """Return the cost of a basket; members without a price move as the others do, on average."""
    facts = [(whole(row["quantity"]), nano(row["base_price"]), row["constituent"]) for row in members]
    there = [(quantity, base, used[name]) for quantity, base, name in facts if name in used]
    whole_base = sum(quantity * base for quantity, base, _ in facts)
    return Fraction(sum(q * now for q, _, now in there) * whole_base, sum(q * base for q, base, _ in there))


# 6. records: the whole road ---------------------------------------------------------------------------------------------

PERCENT = {"p01": 1, "p25": 25, "p75": 75, "p99": 99}
CARRIED = "prices carried from a date whose record is not here, and their tiers"


class Kept:
    """What records of later dates are compared with."""

    def __init__(self, r: Recomputation) -> None:
        columns = ("price", "outlier_by", "source_tier", "used_price", "used_date", "tokens")
        self.constituents = {row["constituent"]: tuple(row[c] for c in columns) for row in r.constituents.rows}
        self.day, self.ground, self.captures, self.baskets = r.day, r.ground, r.captures, r.baskets
        self.cut_off, self.fixing = r.record["cut_off"], r.fixing


class Recomputation:
    """Step 6 for one record: what its tables admit, from the observations to the published value."""

    def __init__(self, name: str, record: Any, document: Document, registry: list[Row], earlier: list[Kept]) -> None:
        self.name, self.record, self.document, self.earlier = name, record, document, earlier
        self.day, self.fixing, self.tables = record["fixing_date"], record["fixing"], document.tables
        self.ground = (record["methodology"], record["registry"], record["known_at"])
        self.captures = {(c["sha256"], c["known_at"]) for c in record["captures"]}
        self.observations = Sheet(record, "observations", name, *QUOTE)
        self.elementary = Sheet(record, "elementary", name, "constituent", "component")
        self.constituents = Sheet(record, "constituents", name, "constituent")
        self.basket = Sheet(record, "basket", name, "basket", "constituent")
        self.not_covered = Counter(
            {
                "volumes (tokens of models and of the window, its days): only the captures show them": 1,
                "prices in force, withdrawn, unseen or held, and exchange rates: only the captures show them": 1,
                "changes of prices since the date before, and which are outliers: only the captures show them": 1,
            }
        )
        self.check_identity()
        self.check_universe(registry)
        self.check_observations()
        self.check_elementary()
        self.check_constituents()
        self.check_baskets()
        self.check_weights()
        self.check_fixing()

    def agrees(self, **expected: Any) -> None:
        """Refuse a fixing in which a figure is not what was re-computed."""
        for figure, value in expected.items():
            if self.fixing[figure] != value or type(self.fixing[figure]) is not type(value):
                differs(f"{self.name}, fixing, {figure}", self.fixing[figure], f"{value!a}, which is re-computed")

    def at(self, day: str) -> list[Kept]:
        """Return the records of an earlier date that were made of the same document, registry and captures known then."""

        def same_captures(kept: Kept) -> bool:
            later = self.captures - kept.captures if self.record["known_at"] == "cut-off" else set()
            return kept.captures == self.captures - later and all(known > kept.cut_off for _, known in later)

        return [k for k in self.earlier if k.day == day and k.ground == self.ground and same_captures(k)]

    def check_identity(self) -> None:
        """Check index, version, workload, calendar and moments against the document."""
        record, identity, document = self.record, self.tables["identity"], self.document
        name, _, component = record["index"].partition(".")
        workload = name.partition(":")[2] or self.tables["workloads"][0]["name"]
        self.workload = next(w for w in self.tables["workloads"] if w["name"] == workload)
        must(not component or component in self.workload["mix"], f"{self.name}, index: {component} is not in the mix")
        right = {
            "index": identity["index"] + f":{workload}" * (":" in name) + f".{component}" * bool(component),
            "version": identity["version"],
            "workload": workload,
            "component": component,
            "methodology": {"sha256": record["methodology"]["sha256"], "meaning": document.meaning},
            "cut_off": document.cut_off(self.day),
        }
        for key, value in right.items():
            if record[key] != value:
                differs(f"{self.name}, {key}", record[key], f"{value} by the document")
        in_force = self.day in document.number and self.day >= identity["effective_from"].isoformat()
        must(in_force, f"{self.name}: {self.day} is not a fixing date on which the document is in force")
        self.horizon = record["cut_off"] if record["known_at"] == "cut-off" else record["known_at"]
        late = is_moment(self.horizon) and self.horizon >= record["cut_off"]
        must(late, f"{self.name}, known_at: not a moment from the cut-off on")
        self.agrees(index=record["index"], version=record["version"], fixing_date=self.day)
        self.agrees(currency=self.tables["measures"]["currency"])
        self.mix: dict[str, int] = {component: 1} if component else self.workload["mix"]
        self.instead = {part: other for part, other in self.workload["instead"].items() if part in self.mix}
        self.shares: dict[tuple[Any, ...], Fraction] = {}

    def check_universe(self, registry: list[Row]) -> None:
        """Check that the tables hold the models of the registry that the document measures, no more and no fewer."""
        kinds, vendors = self.tables["measures"]["kinds"], self.tables["measures"]["vendors"]
        measured = [row for row in registry if row["kind"] in kinds and (not vendors or row["vendor"] in vendors)]
        self.vendor = {row["constituent"]: row["vendor"] for row in measured}
        valid = [row for row in measured if (row["valid_from"] or "") <= self.day < (row["valid_to"] or "9")]
        self.mapped = {(row["source"], row["provider"], row["model"]): row for row in valid}
        rows = [(name, part) for name in sorted(self.vendor) for part in sorted(self.mix)]
        for sheet, wanted in ((self.constituents, [(name,) for name in sorted(self.vendor)]), (self.elementary, rows)):
            found = [tuple(row[column] for column in sheet.key) for row in sheet.rows]
            if found != wanted:
                other = min(set(found) ^ set(wanted), default="another order")
                differs(f"{sheet.name}, column {sheet.key[-1]}", other, "each measured model of the registry, once")
        for sheet in (self.observations, self.elementary, self.constituents):
            for row in sheet.rows:
                sheet.same(row, fixing_date=self.day)

    def check_observations(self) -> None:
        """Check mapping, tier, standard price and reason of every observation, and that none was known too late."""
        tiers = {(p["source"], host): p["tier"] for p in self.tables["inputs"]["prices"] for host in p["hosts"]}
        digests, sheet = {digest for digest, _ in self.captures}, self.observations
        rates = {self.fixing["currency"]: money(NANO)}  # one rate for each currency, whatever it is
        for row in sheet.rows:
            mapped = self.mapped.get((row["source"], row["provider"], row["model"]), {})
            tier = tiers.get((row["source"], mapped.get("host")))
            sheet.same(row, constituent=mapped.get("constituent"), host=mapped.get("host"), source_tier=tier)
            sheet.same(row, rate=rates.setdefault(row["currency"], row["rate"]))
            sheet.same(row, standard_price=money(standard_price(row)))
            for column, latest in (("known_at", self.horizon), ("valid_from", self.record["cut_off"])):
                if not is_moment(row[column]) or row[column] > latest:
                    differs(sheet.place(row, column), row[column], f"{latest} or before")
            if row["capture"] not in digests:
                differs(sheet.place(row, "capture"), row["capture"], "one of the captures of the record")
            self.check_reason(row)

    def check_reason(self, row: Row) -> None:
        """Check the first reason that keeps a row out, as far as the row shows it."""
        found = row["excluded_by"]
        for reason, applies in self.reasons(row):
            if reason == found and applies is not False:
                return
            if applies:
                differs(self.observations.place(row, "excluded_by"), found, f"{reason!r}, which is re-computed")
        if found not in (None, "judgment", *(guard["rule"] for guard in self.tables["guards"])):
            differs(self.observations.place(row, "excluded_by"), found, "None or a guard: that reason does not apply")

    def reasons(self, row: Row) -> Iterator[tuple[str, bool | None]]:
        """Yield the reasons in their order, and whether each applies; None where the tables do not show it."""
        standard = nano(row["standard_price"])
        yield "source_not_allowed", row["source_tier"] is None
        yield "component_not_used", row["component"] not in (*self.mix, *self.instead.values())
        yield "withdrawn", row["price"] is None or None
        yield "source_unseen", None
        yield "unreadable", None
        yield "service_tier", row["service_tier"] not in self.workload["service_tiers"]
        yield "prompt_length", self.share(row) == 0
        for screen in self.tables["screens"]:
            rule = screen["rule"]
            if rule in ("region", "date_kind"):
                yield rule, row[rule] not in screen["allowed"]
            elif rule == "not_alias":
                yield "alias", row["alias_of"] is not None
            elif rule == "positive_price":
                yield "not_positive", Fraction(row["price"]) <= 0
            elif rule == "price_bounds":
                low, high = Fraction(screen["lowest"]) * NANO, Fraction(screen["highest"]) * NANO
                yield rule, standard is not None and not low <= standard <= high
            else:
                differs(f"{self.document.name}, screens", rule, "a screen that this program knows")
        yield "no_exchange_rate", row["rate"] is None
        yield "price_too_large", standard is None
        yield "not_positive", standard is not None and standard <= 0

    def share(self, row: Row) -> Fraction:
        """Return the share of the tokens of its component that a quote serves, by the lengths of prompts."""
        key = (row["component"], row["context_from"], row["context_to"], row["marginal"])
        if key not in self.shares:
            start, end = whole(key[1]), whole(key[2])
            served, total = Fraction(0), 0
            for prompts in self.workload["prompts"]:
                length, part = prompts["tokens"], prompts["parts"].get(key[0], 0)
                until = length if end is None else min(end, length)
                inside = Fraction(until - min(start, length), length) if key[3] else start < length == until
                served, total = served + part * inside, total + part
            self.shares[key] = served / total if total else served
        return self.shares[key]

    def offers(self) -> dict[tuple[str, str], list[Row]]:
        """Return source, tier, price or None, and whether it is held, of every offer, by constituent and component."""
        quotes: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for row in self.observations.rows:
            reason = row["excluded_by"]
            if reason not in NO_QUOTE and (reason not in SCREENED or row["time_from"] is not None):
                quotes[tuple(row[column] for column in OFFER)].append(row)
        found = defaultdict(list)
        for rows in quotes.values():
            reasons, first = {row["excluded_by"] for row in rows}, rows[0]
            if not reasons <= SCREENED:  # else nothing but hours that are not looked at
                held = bool(reasons - UNPRICED - SCREENED - {None})
                price = self.offer_price(rows) if reasons == {None} else None
                offer = {"source": first["source"], "tier": first["source_tier"], "price": price, "held": held}
                found[first["constituent"], first["component"]].append(offer)
        return found

    def offer_price(self, rows: list[Row]) -> int | None:
        """Return the mean of the quotes of an offer by what they serve; None if something is not served, or twice."""
        if overlapping(rows):
            return None
        served, paid = Fraction(0), Fraction(0)
        for row in rows:
            beside = [r for r in rows if r["context_from"] == row["context_from"] and r["time_from"] is not None]
            hours = window(row)[1] if row["time_from"] is not None else SECONDS - sum(window(r)[1] for r in beside)
            part = self.share(row) * hours / SECONDS
            served, paid = served + part, paid + part * nano(row["standard_price"])
        return round(paid) if served == 1 else None

    def check_elementary(self) -> None:
        """Check every elementary price; where a component is not sold its stand-in is taken."""
        offers, rule = self.offers(), self.tables["consolidation"]
        bounds = Fraction(rule["agreement"]), Fraction(rule["min_agreeing"])
        nothing: Row = dict.fromkeys(("price", "source_tier", "quotes", "agreeing", "sources"))
        nothing["excluded_by"] = "not_quoted"
        for row in self.elementary.rows:
            own, other = row["component"], self.instead.get(row["component"])
            taken = own if (row["constituent"], own) in offers else other
            there = offers.get((row["constituent"], taken or ""))
            imputed = other if there and taken != own else None
            self.elementary.same(row, parts=self.mix[own], imputed_from=imputed)
            self.elementary.same(row, **(consolidated(there, *bounds) if there else nothing))

    def check_constituents(self) -> None:
        """Check the blended price of every model, and the price in use: its own, or an earlier one that is carried."""
        groups, sheet = defaultdict(list), self.constituents
        for row in self.elementary.rows:
            groups[row["constituent"]].append(row)
        self.tier: dict[str, int | None] = {}
        number, reach = self.document.number, self.tables["inputs"]["carry_dates"]
        for row in sheet.rows:
            name = row["constituent"]
            sheet.same(row, vendor=self.vendor[name], **blended(groups[name]))
            self.tier[name] = row["source_tier"]
            if row["price"] is not None and row["outlier_by"] is None:
                sheet.same(row, used_price=row["price"], used_date=self.day)
            elif row["used_date"] is None:
                sheet.same(row, used_price=None)
            else:
                if not 0 < number[self.day] - number.get(row["used_date"], -(10**9)) <= reach:
                    differs(sheet.place(row, "used_date"), row["used_date"], f"one of the {reach} dates before")
                there = [kept.constituents[name] for kept in self.at(row["used_date"])]
                self.tier[name] = there[0][2] if there else None
                if there:
                    sheet.same(row, used_price=there[0][0] if there[0][1] is None else None)
                self.not_covered[CARRIED] += not there

    def check_baskets(self) -> None:
        """Check when every basket was announced and took over, its members, weights, quantities and divisor."""
        self.baskets: dict[int, list[Row]] = defaultdict(list)
        for row in self.basket.rows:
            self.baskets[row["basket"]].append(row)
        pairs = self.document.rebalances(self.day) if self.document.has_basket else []
        notes = " ".join(self.record["notes"])
        made = [pair for pair in pairs if f"no new basket on {pair[1]}:" not in notes]
        self.not_covered["rebalances that a note of the record says could not be made"] += len(pairs) - len(made)
        if list(self.baskets) != list(range(len(made))):
            differs(f"{self.basket.name}, column basket", list(self.baskets)[:9], f"{len(made)}, one a rebalance")
        for (announced, day), members in zip(made, self.baskets.values()):
            for row in members:
                self.basket.same(row, announced_on=announced, takes_over_after=day, divisor=members[0]["divisor"])
            self.check_members(members)
            self.check_announced(announced, members)
            self.check_divisor(day, members)

    def check_members(self, members: list[Row]) -> None:
        """Check the weights of a basket, free and under the caps, and the quantities they give."""
        rule, names = self.document.formula, [row["constituent"] for row in members]
        right = names == sorted(names) and len(names) <= rule["max_constituents"] and set(names) <= self.vendor.keys()
        must(right, f"{self.basket.name}, column constituent: too many, not in order, or not measured")
        spent = {row["constituent"]: nano(row["base_price"]) * whole(row["tokens"]) for row in members}
        # a model whose quantity rounds to nothing is left out, and its share with it
        short = [NANO - sum(nano(row[column]) for row in members) for column in ("uncapped_weight", "weight")]
        most = (rule["max_constituents"] - len(members)) * PRICE_MAX // (2 * 10**6 * rule["notional"])
        if short[0] <= 0 or not 0 <= short[1] <= most or len(members) == rule["max_constituents"]:
            caps = Fraction(rule["model_cap"]), Fraction(rule["vendor_cap"])
            weights = capped_weights(spent, self.vendor, *caps)
            free = hand_out([Fraction(amount) for amount in spent.values()], NANO, [NANO] * len(spent))
            for row, uncapped in zip(members, free):
                self.basket.same(row, uncapped_weight=money(uncapped), weight=money(weights[row["constituent"]]))
        else:
            self.not_covered["weights of a basket that may have left out a model of next to no weight"] += 1
        for row in members:
            quantity = nearest(nano(row["weight"]) * rule["notional"] * 10**6, nano(row["base_price"]))
            self.basket.same(row, vendor=self.vendor[row["constituent"]], quantity=str(quantity))

    def check_announced(self, announced: str, members: list[Row]) -> None:
        """Check the members, prices and volumes of a basket against the record of its announcement date."""
        kept = self.at(announced)
        self.not_covered["members, prices, volumes of a basket whose announcement date has no record here"] += not kept
        if kept:
            there = kept[0].constituents
            fresh = {n: (nano(c[3]), whole(c[5])) for n, c in there.items() if c[4] == announced and c[5] is not None}
            ranked = sorted(fresh, key=lambda name: (-fresh[name][0] * fresh[name][1], name))
            largest = set(ranked[: self.document.formula["max_constituents"]])
            for row in members:
                name = row["constituent"]
                must(name in largest, f"{self.basket.place(row, 'constituent')}: not one of the largest on {announced}")
                self.basket.same(row, base_price=there[name][3], tokens=there[name][5])

    def check_divisor(self, day: str, members: list[Row]) -> None:
        """Check the divisor: on the rebalance date the new basket stands at the level of the one before."""
        number = members[0]["basket"]
        if day == self.day:
            rows = [row for row in self.constituents.rows if row["used_price"] is not None]
            used = {row["constituent"]: nano(row["used_price"]) for row in rows}
            level = Fraction(self.document.formula["base_level"]) * NANO
            if number:
                before = self.baskets[number - 1]
                level = Fraction(self.level(before, used))
            for row in members:
                self.basket.same(row, divisor=str(round(cost(members, used) * NANO / level)))
            return
        kept = self.at(day)
        self.not_covered["divisors of a basket whose rebalance date has no record here"] += not kept
        if kept:
            old = kept[0].baskets.get(number, [])
            must(
                len(old) == len(members),
                f"{self.basket.name}, basket {number}: it has other members in the record of {day}",
            )
            for row, there in zip(members, old):
                self.basket.same(row, **there)

    def level(self, basket: list[Row], used: dict[str, int]) -> int:
        """Return the level of a basket in nano points, rounded as it is published."""
        step, divisor = self.document.level_step, int(basket[0]["divisor"])
        return round(cost(basket, used) * NANO / divisor / step) * step

    def check_weights(self) -> None:
        """Check quantity and weight of every constituent: those of the basket in force, or its tokens."""
        self.in_force: list[Row] = []
        for number, rows in self.baskets.items():
            takes = rows[0]["takes_over_after"]
            self.in_force = rows if takes < self.day or (number == 0 and takes == self.day) else self.in_force
        member = {row["constituent"]: row for row in self.in_force}
        for row in self.constituents.rows:
            basket = member.get(row["constituent"], {"quantity": None, "weight": None})
            self.constituents.same(row, quantity=basket["quantity"] if self.document.has_basket else row["tokens"])
            row["basis"] = nano(basket["weight"]) if self.document.has_basket else whole(row["tokens"])
        self.members = [row for row in self.constituents.rows if row["basis"] is not None]
        every = sum(row["basis"] for row in self.members)
        for row in self.constituents.rows:
            share = None if row["basis"] is None else money(nearest(row["basis"] * NANO, every))
            self.constituents.same(row, weight=share)

    def check_fixing(self) -> None:
        """Check the counts and shares of the fixing, then its price and level, and the rung that allows them."""
        used, number = [row for row in self.members if row["used_price"] is not None], self.document.number

        def part(rows: list[Row], of: list[Row]) -> Any:
            return money(nearest(sum(r["basis"] for r in rows) * NANO, sum(r["basis"] for r in of))) if used else None

        ages = [number[self.day] - number[row["used_date"]] for row in used]
        volume, tokens = whole(self.fixing["volume"]), sum(whole(row["tokens"]) or 0 for row in used)
        counts = {
            "constituents": len(used),
            "vendors": len({row["vendor"] for row in used}),
            "coverage": part([row for row in used if row["used_date"] == self.day], self.members),
        }
        self.agrees(**counts, members=len(self.members), carried=sum(age > 0 for age in ages))
        self.agrees(oldest_price_dates=max(ages, default=None))
        self.agrees(volume_coverage=money(nearest(tokens * NANO, volume)) if volume else None)
        if all(self.tier[row["constituent"]] for row in used):
            for tier in (1, 2, 3):
                rows = [row for row in used if self.tier[row["constituent"]] == tier]
                self.agrees(**{f"weight_tier_{tier}": part(rows, used)})
        self.check_rung(counts, self.calculated(used))

    def calculated(self, used: list[Row]) -> Row:
        """Return price, level and percentiles as the formula gives them."""
        found: Row = dict.fromkeys(("price", "level", *PERCENT))
        ladder = sorted((nano(row["used_price"]), row["constituent"], whole(row["quantity"])) for row in used)
        every, below = sum(quantity for _, _, quantity in ladder), 0
        for price, _, quantity in ladder:
            below += quantity
            reached = [name for name, percent in PERCENT.items() if below * 100 >= every * percent and not found[name]]
            found.update(dict.fromkeys(reached, money(price)))
        if used and self.document.has_basket:
            prices = {name: price for price, name, _ in ladder}
            paid, every = cost(self.in_force, prices), sum(whole(row["quantity"]) for row in self.in_force)
            found["level"] = money(self.level(self.in_force, prices))
        elif used:
            paid = Fraction(sum(price * quantity for price, _, quantity in ladder))
        if used:
            found["price"] = money(round(paid / every / self.document.price_step) * self.document.price_step)
        return found

    def check_rung(self, counts: Row, figures: Row) -> None:
        """Check status, rung and reason, and that the figures are those that the rung publishes."""
        reason = None if figures["price"] else self.why_none()
        for rung, rule in enumerate(self.tables["waterfall"], start=1):
            if rule["rule"] == "minimums":
                short = [n for n in counts if figures["price"] and Fraction(counts[n]) < Fraction(rule[n])]
                reason = reason or (f"below_minimum {', '.join(short)}" if short else None)
                if figures["price"] and not short:
                    why = reason if rung > 1 else None
                    return self.agrees(**figures, dates_stale=0, rung=rung, status=rule["status"], reason=why)
            elif rule["rule"] == "carry_forward":
                carried = self.carried(rule["max_dates"])
                if carried is None:
                    self.not_covered["figures carried forward, or not: the dates before have no record here"] += 1
                if carried or (carried is None and self.fixing["rung"] == rung):
                    stale = self.fixing["dates_stale"]
                    must(stale in range(1, rule["max_dates"] + 1), f"{self.name}, fixing, dates_stale: {stale} dates")
                    return self.agrees(**carried or {}, rung=rung, status=rule["status"], reason=reason)
            elif rule["rule"] == "no_fixing":
                nothing = dict.fromkeys(("dates_stale", *figures))
                return self.agrees(**nothing, rung=rung, status=rule["status"], reason=reason)
            else:
                differs(f"{self.document.name}, waterfall", rule["rule"], "a rule that this program knows")
        raise Difference(f"{self.name}, fixing: no rung of the waterfall holds")

    def why_none(self) -> str:
        """Return the reason why nothing could be calculated."""
        if self.document.has_basket and self.day < self.document.formula["base_date"].isoformat():
            return "before_base_date"
        if not self.document.has_basket and self.fixing["volume_days"] < self.tables["volumes"]["min_days"]:
            return "too_few_volume_days"
        return "no_price" if self.members else "no_basket" if self.document.has_basket else "no_volume"

    def carried(self, reach: int) -> Row | None:
        """Return the last calculated figures of at most so many dates before; empty if none, None if that is not known."""
        minimums = sum(rule["rule"] == "minimums" for rule in self.tables["waterfall"])
        number = self.document.number[self.day]
        for stale in range(1, min(reach, number) + 1):
            kept = self.at(self.document.dates[number - stale])
            if not kept:
                return None
            if kept[0].fixing["rung"] <= minimums:
                return {**{name: kept[0].fixing[name] for name in ("price", "level", *PERCENT)}, "dates_stale": stale}
        return {}


def recompute(bundle: Bundle, heads: dict[str, Head]) -> Counter[str]:
    """Step 6: re-compute every record; return what could not be covered, and how often."""
    documents: dict[str, Document] = {}
    registries: dict[str, list[Row]] = {}
    kept: dict[str, list[Kept]] = defaultdict(list)
    missing: Counter[str] = Counter()
    for head in sorted(heads.values(), key=lambda head: (head.day, head.name)):
        record = json.loads(bundle.read(head.name))
        digest, registry = record["methodology"]["sha256"], record["registry"]
        if digest not in documents:
            name = f"methodology/{digest}.toml"
            must(sha256(bundle.read(name)) == digest, f"{name} has not the digest in its name")
            documents[digest] = Document(bundle.read(name), name)
        if registry not in registries:
            name = f"registries/{registry}.csv"
            registries[registry] = registry_of(bundle.read(name), registry, name)
        bundle.reading = head.name
        done = Recomputation(head.name, record, documents[digest], registries[registry], kept[head.index])
        kept[head.index].append(Kept(done))
        missing += done.not_covered + Counter({"figures without judgments": int(head.without is not None)})
        figures = f"price {head.figures['price']} {head.figures['currency']}, level {head.figures['level']}"
        say(f"   {head.index} {head.day} {head.figures['status']}: {figures}, {len(done.members)} members")
    return missing


# 7. captures, and the whole ---------------------------------------------------------------------------------------------


def check_captures(bundle: Bundle, heads: dict[str, Head], manifest: Any) -> list[str]:
    """Step 7: captured files have the digests that name them; those that are not here are committed to."""
    for name in bundle.inside("captures"):
        must(name == f"captures/{sha256(bundle.read(name))}", f"{name} has not the digest in its name")
    here = {name.partition("/")[2] for name in bundle.inside("captures")}
    away = {c["sha256"]: f"{c['name']} ({c['licence']})" for c in manifest["commitments"] if c["sha256"] not in here}
    for head in heads.values():
        missing = head.captures - here - away.keys()
        must(not missing, f"{head.name}, captures: {min(missing, default='')} is neither here nor committed to")
    found = f"7. captures: {len(here)} files have their digests; {len(away)} are committed to and not here"
    return [found, *(f"   not here: {digest} {ascii(name)[1:-1]}" for digest, name in sorted(away.items()))]


def verify(bundle: Bundle, options: argparse.Namespace) -> str:
    """Say the steps one by one, and return the last sentence; a Difference ends it."""
    with open(__file__, "rb") as file:
        own = sha256(file.read())
    say(f"0. this program: SHA-256 {own}: compare it with the published one, no bundle can vouch for its verifier")
    say(f"1. container: {len(bundle.sizes)} members, {sum(bundle.sizes.values())} bytes; {bundle.found}")
    manifest = check_manifest(bundle)
    twin = manifest["files"].get("recompute.py", {}).get("sha256") == own
    say(f"2. manifest: {len(manifest['files'])} files have their digests, none is missing, none unlisted")
    say("   its recompute.py is " + ("this program" if twin else "ANOTHER PROGRAM than this one"))
    entries, found = check_ledger(bundle, manifest, options.head, options.anchor)
    say(f"3. ledger: {found}")
    first, found = check_signatures(bundle, entries, options.key)
    say(f"4. signatures: {found}")
    heads = {head.sha256: head for head in (Head(name, bundle.read(name)) for name in bundle.inside("records"))}
    notes = check_published(entries, heads, manifest)
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(Counter(entry.kind for entry in entries).items()))
    say(f"5. published: {kinds}; {len(heads)} records are here, and their figures are those of the entries")
    for note, n in sorted(notes.items()):
        say(f"   note: {note} ({n})")
    say("6. records: " + ("re-computed from their tables" if tomllib else "UNCHECKED: this Python cannot read TOML"))
    for what, n in sorted(recompute(bundle, heads).items() if tomllib else ()):
        say(f"   not covered: {what} ({n})")
    for line in check_captures(bundle, heads, manifest):
        say(line)
    must(tomllib, "no difference was found, but no figure was re-computed: run it again with Python 3.11 or newer")
    who = f"signed from the key {first} on" if first else "that is NOT SIGNED BY ANYBODY"
    return f"VERIFIED: {len(heads)} records agree with their tables and a ledger {who}; see what is not covered."


def say(line: str) -> None:
    """Print one line; text of the bundle in it can neither begin another line nor play with a terminal."""
    print("".join(c if " " <= c <= "~" else ascii(c)[1:-1] for c in line), flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Verify the bundle that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="recompute.py", description="Verify an evidence bundle of tokenindex.")
    parser.add_argument("bundle", help="the ZIP file, or the folder it was unpacked into")
    parser.add_argument("--key", help="id of the first key of the ledger, or its PEM file: it must be that one")
    parser.add_argument("--head", help="digest of an entry that the ledger is known to have")
    parser.add_argument("--anchor", action="append", default=[], metavar="FILE", help="an anchor kept elsewhere")
    options = parser.parse_args(arguments)
    reading = "the container"
    try:
        bundle = open_bundle(options.bundle)
        try:
            say(verify(bundle, options))
            return 0
        finally:
            reading = bundle.reading
    except Difference as wrong:
        say(f"NOT VERIFIED: {wrong}")
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError) as wrong:
        what = f"{type(wrong).__name__} {ascii(str(wrong))[:200]}"
        say(f"NOT VERIFIED: {reading} is not of the form that a bundle has: {what}")
    except (OSError, MemoryError, zlib.error, struct.error) as wrong:
        say(f"NOT VERIFIED: {reading} cannot be read: {type(wrong).__name__} {ascii(str(wrong))[:200]}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
