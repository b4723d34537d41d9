"""Hostile files of any size, and what the adapters spend on them.

A good file is taken and one thing in it is blown up: a list, an object, a number, a name, a line, a cell, a member.

    python tests/hostile.py [ADAPTER ...] [--megabytes N] [--only PATTERN]

reads every such file in a process of its own and prints its processor time and its peak of memory over the imports. It is a
measurement and asserts nothing: what the adapters answer is asserted in ``test_fuzz.py``.
"""

from __future__ import annotations

import argparse
import gzip
import io
import multiprocessing
import re
import resource
import struct
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from mutations import Pairs, Raw, family, separator_of, text_of, tree_of

import tokenindex.adapters
from tokenindex.adapters import Capture, adapter
from tokenindex.errors import InputDataError

for _name in tokenindex.adapters.OURS:
    adapter(_name)  # so that no reading is charged with the import

SEEN = datetime(2026, 8, 21, 12, tzinfo=UTC)
Files = Iterator[tuple[str, Callable[[], bytes]]]


def hostile(content: bytes, size: int) -> Files:
    """Yield name and maker of hostile files of about `size` bytes that are like the good file `content`."""
    yield from _anything(size)
    yield from _HOSTILE.get(family(content), _nothing)(content, size)


def _nothing(content: bytes, size: int) -> Files:
    yield from ()


def _anything(size: int) -> Files:
    yield "brackets", lambda: b"[" * size
    yield "objects in objects", lambda: b'{"a":' * (size // 5)
    yield "digits", lambda: b"9" * size
    yield "one line", lambda: b"x" * size + b"\n"
    yield "line ends", lambda: b"\n" * size
    yield "commas", lambda: b"," * size + b"\n"
    yield "quotes", lambda: b'"' * size + b"\n"
    yield "zeroes", lambda: b"\0" * size
    for nothing in ("{}", "[]", "0", '""', "null"):
        yield f"list of {nothing}", lambda nothing=nothing: _many("[", nothing, "]", size)  # type: ignore[misc]
    yield "object of {}", lambda: _numbered(size)
    yield "gzip bomb", lambda: gzip.compress(b"\0" * min(size * 1000, 2 * 10**8), 9)
    yield "zip bomb", lambda: zipped("table.csv", b"a," * min(size * 500, 10**8))


def _many(start: str, item: str, end: str, size: int) -> bytes:
    return (start + ",".join([item] * (size // (len(item) + 1))) + end).encode()


def _numbered(size: int) -> bytes:
    return ("{" + ",".join(f'"{n}":{{}}' for n in range(size // 12)) + "}").encode()


# --- JSON ----------------------------------------------------------------------------------------------------------


def _of_json(content: bytes, size: int) -> Files:
    for path in _shapes(tree_of(content)):
        name = "/".join(map(str, path)) or "/"
        for kind, inflate in _INFLATE.items():
            if inflate(_at(tree_of(content), path), 1) is not None:
                yield f"{kind} {name}", lambda path=path, inflate=inflate: _inflated(content, path, inflate, size)  # type: ignore[misc]


def _shapes(tree: Any, path: tuple[Any, ...] = (), seen: set[Any] | None = None) -> Iterator[tuple[Any, ...]]:
    """Yield a path for each kind of node, told by depth, name and type: items of a list have no name."""
    seen = set() if seen is None else seen
    if not path:
        yield path
    for key, found in tree if isinstance(tree, Pairs) else enumerate(tree) if isinstance(tree, list) else ():
        kind = len(path), key if isinstance(tree, Pairs) else None, type(found)
        if kind not in seen:
            seen.add(kind)
            yield (*path, key)
            yield from _shapes(found, (*path, key), seen)


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        tree = next(found for key, found in tree if key == part) if isinstance(tree, Pairs) else tree[part]
    return tree


def _inflated(content: bytes, path: tuple[Any, ...], inflate: Callable[[Any, int], Any], size: int) -> bytes:
    tree = tree_of(content)
    blown = inflate(_at(tree, path), size)
    if not path:
        return text_of(blown).encode()
    holder = _at(tree, path[:-1])
    if isinstance(holder, Pairs):
        next(pair for pair in holder if pair[0] == path[-1])[1] = blown
    else:
        holder[path[-1]] = blown
    return text_of(tree).encode()


def _repeated(node: Any, size: int) -> Any:
    """A list whose items are repeated, an object whose members are repeated under new names."""
    if not isinstance(node, list) or not node:
        return None
    times = 1 + size // max(1, len(text_of(node)))
    if isinstance(node, Pairs):
        return Pairs([[f"{key}{n or ''}", found] for n in range(times) for key, found in node])
    return node * times


def _tiny(node: Any, size: int) -> Any:
    if isinstance(node, Pairs):
        return Pairs([[str(n), Raw("0")] for n in range(size // 12)])
    return [Raw("{}")] * (size // 4) if isinstance(node, list) else None


def _counted(node: Any, size: int) -> Any:
    """A list of objects in which each number is another one."""
    if isinstance(node, Pairs) or not isinstance(node, list) or not node or not isinstance(node[-1], Pairs):
        return None
    times = 1 + size // max(1, len(text_of(node[-1])))
    return [_renumbered(node[-1], n) for n in range(times)]


def _renumbered(node: Any, n: int) -> Any:
    if isinstance(node, Pairs):
        return Pairs([[key, _renumbered(found, n)] for key, found in node])
    if isinstance(node, list):
        return [_renumbered(found, n) for found in node]
    return Raw(str(n + 1)) if isinstance(node, Raw) else f"{node}-{n}" if isinstance(node, str) else node


def _labelled(node: Any, size: int) -> Any:
    """A list of objects in which each name is another one."""
    if isinstance(node, Pairs) or not isinstance(node, list) or not node or not isinstance(node[-1], Pairs):
        return None
    times = 1 + size // max(1, len(text_of(node[-1])))
    return [Pairs([*node[-1], *([f"{key}{n}", found] for key, found in node[-1])]) for n in range(times // 2)]


def _named(node: Any, size: int) -> Any:
    """An object with a member under a long name."""
    if not isinstance(node, Pairs) or not node:
        return None
    return Pairs([*node, *([f"{key}_" * (size // (len(node) * (len(key) + 1))), found] for key, found in node)])


def _long(node: Any, size: int) -> Any:
    if isinstance(node, Raw):
        return Raw("0." + "3" * size)
    return "9" * size if isinstance(node, str) else None


def _whole(node: Any, size: int) -> Any:
    return Raw("1" + "0" * min(size, 4000)) if isinstance(node, Raw) else None


def _mixed(node: Any, size: int) -> Any:
    return "a_[0,1]^(" * (size // 9) if isinstance(node, str) else None


_INFLATE: dict[str, Callable[[Any, int], Any]] = {
    "repeated": _repeated,
    "tiny": _tiny,
    "counted": _counted,
    "labelled": _labelled,
    "named": _named,
    "long": _long,
    "whole": _whole,
    "mixed": _mixed,
}


def _of_lines(content: bytes, size: int) -> Files:
    first, _, rest = content.partition(b"\n")
    for name, make in _of_json(first, size):
        yield name, lambda make=make: make().replace(b"\n", b" ") + b"\n" + rest  # type: ignore[misc]
    yield "good lines", lambda: (first + b"\n") * (size // len(first))
    for line in (b"{}", b"[]", b"0", b"{", b" "):
        yield f"lines of {line.decode()}", lambda line=line: (line + b"\n") * (size // (len(line) + 1)) + content  # type: ignore[misc]


# --- tables of text, TOML ------------------------------------------------------------------------------------------


def _of_csv(content: bytes, size: int) -> Files:
    head, _, rest = content.partition(b"\n")
    sep, row = separator_of(content).encode(), rest.partition(b"\n")[0]
    cells = row.split(sep)

    def with_cell(cell: bytes) -> bytes:
        return b"\n".join([head, sep.join([cell, *cells[1:]]), row, b""])

    yield "good rows", lambda: head + b"\n" + (row + b"\n") * (size // (len(row) + 1))
    yield (
        "good rows, each another",
        lambda: (
            head
            + b"\n"
            + b"".join(
                row.replace(cells[at], cells[at] + b"%d" % n, 1) + b"\n"
                for at in [min(1, len(cells) - 1)]
                for n in range(size // (len(row) + 5))
            )
        ),
    )
    yield "empty rows", lambda: head + b"\n" + (sep * head.count(sep) + b"\n") * (size // (head.count(sep) + 1))
    yield "short rows", lambda: head + b"\nx" * (size // 2) + b"\n"
    yield "long cell", lambda: with_cell(b"x" * size)
    yield "digits in a cell", lambda: with_cell(b"9" * size)
    yield "quoted line ends", lambda: with_cell(b'"' + b"\n" * size + b'"')
    yield "quote that never ends", lambda: with_cell(b'"') + (row + b"\n") * (size // (len(row) + 1))
    yield "quotes in a cell", lambda: with_cell(b'"' + b'""' * (size // 2) + b'"')
    yield "cells in a row", lambda: head + b"\n" + sep * size + b"\n"
    yield "columns", lambda: sep.join([head, *(b"c%d" % n for n in range(size // 8))]) + b"\n" + row + b"\n"
    yield "columns of one name", lambda: head + (sep + b"a") * (size // 2) + b"\n" + row + b"\n"
    yield (
        "digits in every row",
        lambda: (
            head
            + b"\n"
            + b"".join(sep.join(b"9" * 5 + b"%d" % n for _ in cells) + b"\n" for n in range(size // (12 * len(cells))))
        ),
    )


def toml_of(size: int) -> Files:
    """Yield hostile TOML of about `size` bytes."""
    yield "dotted key", lambda: b"a." * (size // 2) + b"a = 1\n"
    yield "dotted table", lambda: b"[" + b"a." * (size // 2 - 2) + b"a]\n"
    yield "many dotted keys", lambda: b"".join(b"a." * 40 + b"k%d = 1\n" % n for n in range(size // 92))
    yield "lists in lists", lambda: b"a = " + b"[" * size
    yield "tables in tables", lambda: b"a = " + b"{a=" * (size // 3)
    yield "many keys", lambda: b"".join(b"k%d = 1\n" % n for n in range(size // 12))
    yield "many tables", lambda: b"".join(b"[t%d]\n" % n for n in range(size // 9))
    yield "tables of tables", lambda: b"[[a]]\n[[a.b]]\n" * (size // 14)
    yield "escapes", lambda: b'a = "' + b"\\n" * (size // 2) + b'"\n'
    yield "long text", lambda: b'a = """' + b'""a' * (size // 3) + b'"""\n'
    yield "long list", lambda: b"a = [" + b"1," * (size // 2) + b"]\n"
    yield "long number", lambda: b"a = 0." + b"3" * size + b"\n"
    yield "comments", lambda: b"#\n" * (size // 2)
    yield "blanks", lambda: b"a = [" + b" \n" * (size // 2) + b"]\n"


def _of_toml(content: bytes, size: int) -> Files:
    yield from toml_of(size)


def _of_fenced(content: bytes, size: int) -> Files:
    head, _, table = content.removeprefix(b"+++\n").partition(b"+++\n")
    for name, make in _of_csv(table, size):
        yield name, lambda make=make: b"+++\n" + head + b"+++\n" + make()  # type: ignore[misc]
    for name, make in toml_of(min(size, 2**14 - 10)):
        yield f"mapping: {name}", lambda make=make: b"+++\n" + make() + b"+++\n" + table  # type: ignore[misc]
    yield "mapping: long", lambda: b"+++\n" + b"#\n" * (size // 2) + b"+++\n" + table


# --- containers ----------------------------------------------------------------------------------------------------


def zipped(name: str, content: bytes, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip file of one member."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr(name, content)
    return stream.getvalue()


_METHODS = {"deflated": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}


def _of_zip(content: bytes, size: int) -> Files:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def packed(name: str, made: bytes, compression: int) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", compression) as archive:
            for other, member in members.items():
                archive.writestr(other, made if other == name else member)
        return stream.getvalue()

    for name in members:
        for method, number in _METHODS.items():
            yield f"{name}: bomb, {method}", lambda name=name, number=number: packed(name, b"\n" * (size * 10), number)  # type: ignore[misc]
    yield "zip in zip", lambda: packed(next(iter(members)), content, zipfile.ZIP_DEFLATED)
    yield "many members", lambda: _members(size)
    yield "lzma with a large dictionary", lambda: _lzma(content)


def _members(size: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for n in range(size // 120):
            archive.writestr(str(n), b"")
    return stream.getvalue()


def _lzma(content: bytes) -> bytes:
    """Return a zip file whose one member asks for a dictionary of 4 GB."""
    found = bytearray(zipped("table.csv", b"a,b\n" * 1000, zipfile.ZIP_LZMA))
    at = found.index(b"table.csv") + len(b"table.csv")
    found[at + 5 : at + 9] = struct.pack("<I", 2**32 - 1)
    return bytes(found)


def tarred(members: list[tuple[str, bytes]], links: list[tuple[str, str]], pax: dict[str, str] | None = None) -> bytes:
    """Return a tar.gz of members and symbolic links."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(content), pax or {}
            archive.addfile(info, io.BytesIO(content))
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return gzip.compress(stream.getvalue(), 1)


def _of_tar(content: bytes, size: int) -> Files:
    path = "providers/p/models/{}.toml".format
    good = b"[cost]\ninput = 1\n"
    many = size // 512
    yield "many members", lambda: tarred([(path(n), good) for n in range(many)], [])
    yield "one name", lambda: tarred([(path(0), good)] * many, [])
    yield "chain of links", lambda: tarred([(path(0), good)], [(path(n + 1), f"{n}.toml") for n in range(many)])
    yield "circle of links", lambda: tarred([], [(path(n), f"{(n + 1) % many}.toml") for n in range(many)])
    yield "long name", lambda: tarred([(path("a/" * (size // 2)), good)], [])
    yield "long name of many parts", lambda: tarred([("providers/p/models/" * (size // 19) + "x", good)], [])
    yield "long link", lambda: tarred([(path(0), good)], [(path(1), "a/" * (size // 2))])
    yield "pax header", lambda: tarred([(path(0), good)], [], {"a": "0" * size})
    yield "pax header of digits", lambda: _pax(b"0" * size)
    yield (
        "pax header of many",
        lambda: _pax(b"".join(b"%d a%d=1\n" % (len(str(n)) + 7, n) for n in range(10, size // 10))),
    )
    yield "zeroes", lambda: gzip.compress(b"\0" * size * 10, 1)
    for name, make in toml_of(min(size, 2**20)):
        yield f"member: {name}", lambda make=make: tarred([(path(0), make())], [])  # type: ignore[misc]
    for name, make in toml_of(2**15):
        yield f"members: {name}", lambda make=make: tarred([(path(n), make()) for n in range(size // 2**15)], [])  # type: ignore[misc]


def _pax(header: bytes) -> bytes:
    info = tarfile.TarInfo("x")
    info.size, info.type = len(header), tarfile.XHDTYPE
    padded = header + b"\0" * (-len(header) % 512)
    return gzip.compress(info.tobuf(tarfile.USTAR_FORMAT) + padded + tarfile.TarInfo("y").tobuf() + b"\0" * 1024, 1)


def _of_parquet(content: bytes, size: int) -> Files:
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    good = pq.read_table(pa.BufferReader(content))
    one = good.slice(0, 1)

    def written(table: pa.Table, **how: Any) -> bytes:
        stream = io.BytesIO()
        pq.write_table(table, stream, **how)
        return stream.getvalue()

    def repeated(times: int) -> pa.Table:
        frame = pl.from_arrow(one)
        assert isinstance(frame, pl.DataFrame)
        return frame.select(pl.all().repeat_by(times).explode()).to_arrow(compat_level=pl.CompatLevel.oldest())

    def with_first(cells: pa.Array) -> pa.Table:
        table = repeated(len(cells))
        return table.set_column(0, table.column_names[0], cells)

    yield "one row many times", lambda: written(repeated(size), compression="zstd")
    yield (
        "long text many times",
        lambda: written(
            with_first(pa.DictionaryArray.from_arrays(pa.array([0] * 10_000, pa.int32()), pa.array(["x" * size]))),
            compression="zstd",
        ),
    )
    yield (
        "long text, packed",
        lambda: written(with_first(pa.array(["x" * (size * 50)] * 5)), compression="zstd", use_dictionary=False),
    )
    yield "many columns", lambda: written(pa.table({f"c{n}": [1] for n in range(size // 400)}))
    yield "many row groups", lambda: written(repeated(size // 3000), row_group_size=1)


_HOSTILE: dict[str, Callable[[bytes, int], Files]] = {
    "json": _of_json,
    "lines": _of_lines,
    "csv": _of_csv,
    "toml": _of_toml,
    "fenced": _of_fenced,
    "zip": _of_zip,
    "tar.gz": _of_tar,
    "parquet": _of_parquet,
}


# --- the measurement -----------------------------------------------------------------------------------------------

ADDRESSES = 8 * 2**30
SECONDS = 20


def _measure(adapter_name: str, file: str, content: bytes, answer: Any) -> None:
    facts = {"name": file or "hostile", "adapter": adapter_name, "source": "s", "seen_at": SEEN, "known_at": SEEN}
    capture, parse = Capture.of(content, **facts), adapter(adapter_name).parse
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        parsed = parse(content, capture)
        found = ", ".join(f"{table.name} {frame.height}" for table, frame in parsed.tables().items() if frame.height)
    except InputDataError as refused:
        found = f"refused: {refused.found[:60]!r}"
    except BaseException as wrong:  # noqa: BLE001 - whatever comes is the finding
        found = f"CRASH {type(wrong).__name__}: {str(wrong)[:60]}"
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    answer.put((seconds, peak / 1024, found))


def measured(adapter_name: str, file: str, content: bytes) -> tuple[float, float, str]:
    """Return seconds, megabytes over the peak before, and the answer, of one reading in a process of its own."""
    server = multiprocessing.get_context("forkserver")  # the threads of polars do not survive a plain fork
    server.set_forkserver_preload(["hostile"])
    answer = server.SimpleQueue()
    process = server.Process(target=_measure, args=(adapter_name, file, content, answer))
    process.start()
    process.join(SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
        return SECONDS, 0.0, "TIME OUT"
    return answer.get() if process.exitcode == 0 else (0.0, 0.0, f"ABORT {process.exitcode}")


def main() -> None:
    from test_adapters import CASES

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("adapter", nargs="*")
    arguments.add_argument("--megabytes", type=float, default=1.0)
    arguments.add_argument("--only", default="", help="only files whose name holds this regular expression")
    arguments.add_argument("--slow", type=float, default=0.0, help="print only what takes as many seconds per megabyte")
    asked = arguments.parse_args()
    size = int(asked.megabytes * 10**6)
    for case in CASES:
        if asked.adapter and case.adapter not in asked.adapter:
            continue
        for name, make in hostile(case.content, size):
            if not re.search(asked.only, name):
                continue
            content = make()
            seconds, megabytes, found = measured(case.adapter, case.file, content)
            if seconds >= asked.slow * asked.megabytes or found.startswith(("CRASH", "ABORT", "TIME")):
                spent = f"{len(content) / 1e6:7.2f} MB {seconds:6.2f} s {megabytes:7.0f} MB"
                print(f"{case!s:38} {name[:60]:60} {spent}  {found}", flush=True)


if __name__ == "__main__":
    main()
