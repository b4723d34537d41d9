"""Spoiling a good file where its format hurts: in a node, a cell, a line, a member, a page.

Bytes flipped at random seldom get past the parser of the format. Here the file is taken apart by its format, something
in it is spoilt, and it is put together again. What is drawn comes from one `random.Random`, so a seed names a file.
"""

from __future__ import annotations

import copy
import gzip
import io
import itertools
import json
import lzma
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

LIMIT: Final = 2**16
"""Largest unpacked member that is taken apart, in bytes: a larger one is left as it is."""


class Raw(str):
    """JSON text that is written as it stands."""


class Pairs(list[list[Any]]):
    """The members of a JSON object as pairs, so that a key may stand twice."""


NASTY: Final = [
    Raw(text)
    for text in (
        *("null", "true", "false", "0", "-1", "-0", "1e-7", "1E+5", "0.0000006000000000000000001", "NaN", "Infinity"),
        *(
            "-Infinity",
            "1e999999",
            "1e-999999999999999999999",
            "0e39",
            "-0e-500",
            "9" * 40,
            "9" * 5000,
            "0." + "3" * 60,
            "1" + "0" * 13,
        ),
        *('""', '"-1"', '"1e-7"', '"NaN"', '"0x10"', '" 2.5 "', '"1_000"', '"\\u0663"', '"\\ud800"', '"\\u0000"'),
        *('"2026-02-30"', '"9999-12-31T23:59:59-23:59"', '"0001-01-01T00:00:00+23:59"', '"00:00:00Z"', '"24:00:00"'),
        *("[]", "{}", "[[]]", "[null]", '[""]', '{"":{}}', '{"a":[1]}', "[[[[[[[[[[0]]]]]]]]]]", "[" * 70 + "]" * 70),
        *("[" * 900 + "]" * 900, '{"a":' * 950 + "1" + "}" * 950, '"' + "x" * 5000 + '"', '"a/b~c"', '"standard"'),
    )
]
CELLS: Final = [
    *(
        "",
        " ",
        "0",
        "0e39",
        "-0e-500",
        "-1",
        "1e-7",
        "NaN",
        "N/A",
        "9" * 40,
        "0." + "3" * 60,
        "2026-02-30",
        "9999-12-31",
        "1,5",
        "1;5",
    ),
    *(
        '"',
        '""',
        '"x',
        'x"y',
        '"x"y',
        '"a\nb"',
        "\x00",
        "\r",
        "a\rb",
        "\u2028",
        "\ufeff",
        "é",
        "x" * 200_000,
        "+++",
        "#",
    ),
    *("null", "true", "USD", "EUR", "input", "per_token", "=1+1", "2026-06-01T00:00:00Z", "10000-01-01"),
]


_APART: Final = (
    *(ValueError, OSError, EOFError, LookupError, RuntimeError, OverflowError, zlib.error, struct.error),
    *(tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError),
)
"""How bytes fail that cannot be taken apart, or cannot be put together."""


def family(content: bytes) -> str:
    """Return the format of `content`, told by its first bytes."""
    for start, name in ((b"PAR1", "parquet"), (b"PK", "zip"), (b"\x1f\x8b", "tar.gz"), (b"+++\n", "fenced")):
        if content.startswith(start):
            return name
    if content.lstrip()[:1] in (b"{", b"["):
        try:
            json.loads(content)
        except ValueError:
            return "lines"
        return "json"
    return "toml" if b"\n[" in content or b" = " in content.partition(b"\n")[0] else "csv"


def spoilt(content: bytes, dice: random.Random) -> bytes:
    """Return `content` with one thing in it spoilt; bytes that cannot be taken apart are spoilt as bytes."""
    try:
        return _SPOILERS[family(content)](content, dice) if dice.random() < 0.9 else flipped(content, dice)
    except _APART:
        return flipped(content, dice)


def flipped(content: bytes, dice: random.Random) -> bytes:
    """Return `content` with some bytes changed, cut out, repeated or cut off."""
    found = bytearray(content or b"\n")
    for _ in range(dice.choice((1, 1, 3, 10))):
        at = dice.randrange(len(found) + 1)
        end = min(len(found), at + dice.choice((1, 1, 4, 40)))
        match dice.randrange(5):
            case 0 | 1:
                found[at : at + 1] = bytes([dice.randrange(256)])
            case 2:
                found[at:at] = found[at:end]
            case 3 if len(found) > end - at:
                del found[at:end]
            case 4 if dice.random() < 0.1:
                del found[max(1, at) :]
    return bytes(found)


# --- JSON ----------------------------------------------------------------------------------------------------------


def tree_of(content: bytes | str) -> Any:
    """Return the JSON of `content` with numbers as they stand and objects as pairs."""
    return json.loads(
        content,
        object_pairs_hook=lambda pairs: Pairs([list(pair) for pair in pairs]),
        parse_float=Raw,
        parse_int=Raw,
        parse_constant=Raw,
    )


def text_of(tree: Any) -> str:
    """Return the JSON text of a tree."""
    if isinstance(tree, Raw):
        return str(tree)
    if isinstance(tree, Pairs):
        return "{" + ", ".join(f"{json.dumps(key)}: {text_of(found)}" for key, found in tree) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(text_of, tree)) + "]"
    return json.dumps(tree)


def places(tree: Any) -> Iterator[tuple[Any, int]]:
    """Yield every place of a tree, as the list or pairs that hold it and its position there."""
    waiting = [tree]
    while waiting:
        holder = waiting.pop()
        for at, found in enumerate(holder):
            yield holder, at
            found = found[1] if isinstance(holder, Pairs) else found
            if isinstance(found, list):
                waiting.append(found)


def _get(holder: Any, at: int) -> Any:
    return holder[at][1] if isinstance(holder, Pairs) else holder[at]


def _put(holder: Any, at: int, found: Any) -> None:
    if isinstance(holder, Pairs):
        holder[at][1] = found
    else:
        holder[at] = found


def spoil_node(holder: Any, at: int, dice: random.Random, others: list[tuple[Any, int]]) -> None:
    """Spoil the node at a place of a tree; a node from another place of the tree may be put there."""
    found = _get(holder, at)
    match dice.randrange(8):
        case 0 | 1:
            _put(holder, at, dice.choice(NASTY))
        case 2:
            del holder[at]
        case 3:
            holder.insert(dice.randrange(len(holder) + 1), copy.deepcopy(holder[at]))
        case 4:
            _put(holder, at, copy.deepcopy(_get(*dice.choice(others))))
        case 5:
            other = str(found) if isinstance(found, Raw) else Raw("12") if isinstance(found, str) else [found]
            _put(holder, at, dice.choice([other, [found], Pairs([["price", found]])]))
        case 6 if isinstance(holder, Pairs):
            holder[at][0] = dice.choice(["", "price", "a/b", "~", "\x00", "default", holder[at][0] + "x", "input"])
        case _:
            copied = copy.deepcopy(holder[at])
            if isinstance(holder, Pairs):
                copied[1] = dice.choice(NASTY)
            holder.append(copied)


def _spoil_json(content: bytes, dice: random.Random) -> bytes:
    tree = [tree_of(content)]
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        found = list(places(tree))
        if found:
            spoil_node(*dice.choice(found), dice, found)
    return (text_of(tree[0]) if tree else "").encode("utf-8", "surrogatepass")


def _spoil_lines(content: bytes, dice: random.Random) -> bytes:
    lines = content.splitlines() or [b"{}"]
    at = dice.randrange(len(lines))
    if dice.random() < 0.8:
        lines[at] = _spoil_json(lines[at], dice)
    else:
        lines[at : at + dice.randrange(2)] = [lines[dice.randrange(len(lines))]]
    return b"\n".join(lines) + b"\n"


# --- tables of text ------------------------------------------------------------------------------------------------


def separator_of(content: bytes) -> str:
    """Return the character that parts the cells of the header."""
    head = content.partition(b"\n")[0].decode("utf-8", "replace")
    return max(",;\t|", key=head.count)


def _spoil_csv(content: bytes, dice: random.Random) -> bytes:
    text, sep = content.decode("utf-8", "surrogateescape"), separator_of(content)
    lines = text.split("\n")
    for _ in range(dice.choice((1, 1, 2, 4))):
        at = dice.randrange(max(1, len(lines) - 1)) if dice.random() < 0.8 else 0
        cells = lines[at].split(sep)
        cell = dice.randrange(len(cells))
        match dice.randrange(9):
            case 0 | 1 | 2:
                cells[cell] = dice.choice(CELLS)
            case 3:
                del cells[cell]
            case 4:
                cells.insert(cell, dice.choice(CELLS))
            case 5:
                cells[cell] += dice.choice(('"', "\x00", "\r", "\n", sep * 3, sep * 2000))
            case 6:
                cells[cell] = cells[dice.randrange(len(cells))]
            case 7:
                lines.insert(dice.randrange(len(lines)), lines[at])
            case _:
                cells = dice.choice((cells * 2, [], lines[dice.randrange(len(lines))].split(sep)))
        lines[at] = sep.join(cells)
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def _spoil_toml(content: bytes, dice: random.Random) -> bytes:
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    at = dice.randrange(len(lines))
    key = lines[at].partition("=")[0]
    nasty = "[[[[1]]]] \" ''' {a={a={a=1}}} 1979-05-27T07:32:00Z nan inf 1e999999 [".split()
    match dice.randrange(6):
        case 0 | 1:
            lines[at] = f"{key}= {dice.choice((*nasty, *NASTY))}"
        case 2:
            lines[at] = dice.choice(
                ("[" + key.strip(" []") + "]", "[[cost.tiers]]", "a.b.c" + ".d" * 30 + "=1", "[]", "[a")
            )
        case 3:
            lines.insert(dice.randrange(len(lines)), lines[at])
        case 4:
            del lines[at]
        case _:
            lines[at] = f"{dice.choice(('cost', 'tiers', 'x', ''))}.{lines[at]}"
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def _spoil_fenced(content: bytes, dice: random.Random) -> bytes:
    head, fence, table = content.removeprefix(b"+++\n").partition(b"+++\n")
    if dice.random() < 0.5:
        head = _spoil_toml(head, dice)
    else:
        table = _spoil_csv(table, dice)
    return b"+++\n" + head + dice.choice((fence, fence, fence, fence, b"")) + table


# --- containers ----------------------------------------------------------------------------------------------------


def _spoil_zip(content: bytes, dice: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist() if info.file_size <= LIMIT]
    members = members or [("table.csv", b"a\n1\n")]
    at = dice.randrange(len(members))
    name, member = members[at]
    methods = [zipfile.ZIP_DEFLATED] * 6 + [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
    match dice.randrange(8):
        case 0:
            members[at] = dice.choice(("", "../x", "/etc/passwd", name + "/", "\x00", name + "x")), member
        case 1:
            members.append((name + dice.choice(("", "2")), member))
        case 2:
            members[at] = name, b"\0" * dice.choice((10**5, 10**6))
        case 3:
            members[at] = name, content
        case 4 if len(members) > 1:
            del members[at]
        case _:
            members[at] = name, spoilt(member, dice)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, member in members:
            info = zipfile.ZipInfo(name.replace("\x00", "_") or "_")  # nothing warns of a name that stands twice
            info.compress_type = dice.choice(methods)
            if info.filename not in archive.NameToInfo:
                archive.writestr(info, member)
    found = stream.getvalue()
    return flipped(found, dice) if dice.random() < 0.2 else found


def _spoil_tar(content: bytes, dice: random.Random) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
        raw = stream.read(2**20)
    found = flipped(raw, dice) if dice.random() < 0.2 else _spoil_members(raw, dice)
    packed = gzip.compress(found, 1)
    return flipped(packed, dice) if dice.random() < 0.1 else packed


def _spoil_members(raw: bytes, dice: random.Random) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as archive:
        some = list(itertools.islice(archive, 50))  # a forged size makes the archive endless
        members = [(info, stream.read() if (stream := _file(archive, info)) else b"") for info in some]
    names = [info.name for info, _ in members] or [""]
    for _ in range(dice.choice((1, 1, 3))):
        info, member = dice.choice(members)
        match dice.randrange(8):
            case 0:
                info.name = dice.choice(
                    ("", "..", "/etc/passwd", "../" + info.name, info.name + "/", "a/" * 200, "é\udcff")
                )
            case 1:
                info.name = dice.choice(names)
            case 2:
                info.type = dice.choice((*tarfile.SUPPORTED_TYPES, b"Z"))
            case 3:
                info.type, info.linkname = dice.choice((b"1", b"2")), dice.choice((*names, "..", "/", "", "x" * 300))
            case 4:
                info.pax_headers = {
                    dice.choice(("size", "path", "GNU.sparse.map", "x")): dice.choice(("-1", "9" * 30, "a", ""))
                }
            case _:
                members[members.index((info, member))] = info, spoilt(member, dice)
    stream = io.BytesIO()
    with tarfile.open(
        fileobj=stream, mode="w", format=dice.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))
    ) as archive:
        for info, member in members:
            info.size = len(member)
            archive.addfile(info, io.BytesIO(member))
    return stream.getvalue()


def _file(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Any:
    return archive.extractfile(info) if info.isreg() and info.size <= LIMIT else None


def _spoil_parquet(content: bytes, dice: random.Random) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if dice.random() < 0.7:
        return flipped(content, dice)
    table = pq.read_table(pa.BufferReader(content), use_threads=False)
    at = dice.randrange(table.num_columns)
    other = dice.choice(
        [
            pa.array([dice.choice(CELLS) for _ in range(table.num_rows)], pa.string()),
            pa.nulls(table.num_rows),
            pa.array([[{"a": 1}]] * table.num_rows),
            pa.array([1.5] * table.num_rows),
            pa.array(["x"] * table.num_rows).dictionary_encode(),
            pa.array([b"\xff\x00"] * table.num_rows, pa.binary()),
            pa.array([-(2**62)] * table.num_rows, pa.timestamp("s", "UTC")),
            pa.array([2**62] * table.num_rows),
        ]
    )
    table = table.set_column(at, dice.choice((table.column_names[at], "x", table.column_names[0])), other)
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


_SPOILERS: Final[dict[str, Callable[[bytes, random.Random], bytes]]] = {
    "json": _spoil_json,
    "lines": _spoil_lines,
    "csv": _spoil_csv,
    "toml": _spoil_toml,
    "fenced": _spoil_fenced,
    "zip": _spoil_zip,
    "tar.gz": _spoil_tar,
    "parquet": _spoil_parquet,
}
