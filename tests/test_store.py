"""The store: what it holds, how it is read without us, and what is left when a writer is killed or a disk is full."""

from __future__ import annotations

import errno
import glob
import hashlib
import itertools
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest
from conftest import SEEN, price_rows

from tokenindex.adapters import Capture, Parsed, adapter
from tokenindex.chains import Chain
from tokenindex.digests import row_digest, row_digests
from tokenindex.errors import InputDataError, LedgerError
from tokenindex.exact import MONEY, SOURCE_MONEY
from tokenindex.files import LocalFiles
from tokenindex.home import Home
from tokenindex.store import TABLES, Batch, Store, assembled, open_store, plain
from tokenindex.tables import UTC as UTC_TIME
from tokenindex.tables import Column, Table

KINDS = ("parquet", "delta")
COMPONENTS = ("input", "output", "cache_read")
COMPRESSIONS: tuple[Literal["zstd"], Literal["uncompressed"]] = ("zstd", "uncompressed")
KILLS = int(os.environ.get("TOKENINDEX_KILLS", "8"))
"""How often a process of each store is killed."""


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    return made(request.param, tmp_path / "home")


def made(kind: str, path: Path) -> Store:
    """Return the store of a kind in a folder."""
    if kind == "delta":
        pytest.importorskip("deltalake")
    path.mkdir(exist_ok=True)
    return open_store(kind, LocalFiles(path))


def again(store: Store) -> Store:
    """Return the store as another program opens it."""
    return open_store(store.kind, store.files)  # type: ignore[attr-defined]


def batch(number: int, *, rows: int = 2, version: str = "1") -> tuple[Batch, Parsed]:
    """Return a batch of prices, seen on the day of that number."""
    content = price_rows(*(f"{name},{number}.{row},per_1m_tokens" for row, name in enumerate(COMPONENTS[:rows])))
    seen = SEEN + timedelta(days=number)
    capture = Capture.of(content, name=f"{number}.csv", adapter="prices", source="s", seen_at=seen, known_at=seen)
    return Batch(capture, version), adapter("prices").parse(content, capture)


def rows(store: Store, batches: dict[str, tuple[Batch, Parsed]]) -> dict[str, pl.DataFrame]:
    """Return the rows of some batches, all of which must be there."""
    found = store.read(batches)
    assert found.batches == set(batches)
    return assembled(found, {}, list(batches))


def whole(store: Store, batches: dict[str, tuple[Batch, Parsed]]) -> None:
    """Check that a store, as anybody sees it, gives the rows of some batches as they were parsed."""
    for one in (store, again(store)):
        for name, frame in rows(one, batches).items():
            assert frame.equals(pl.concat([getattr(parsed, name) for _, parsed in batches.values()]))


def several(count: int, **facts: Any) -> dict[str, tuple[Batch, Parsed]]:
    """Return batches by their keys."""
    made = [batch(number, **facts) for number in range(count)]
    return {one.key: (one, parsed) for one, parsed in made}


def unread(name: str) -> Any:
    """Return an adapter that must not be asked."""

    def parse(*_: object) -> Parsed:
        raise AssertionError("a capture was parsed")

    return replace(adapter(name), parse=parse)


# digests of rows -------------------------------------------------------------------------------------------------

KIND = Table(
    "KINDS",
    (
        Column("text", pl.String, "", "test", nullable=True),
        Column("whole", pl.Int64, "", "test", nullable=True),
        Column("small", MONEY, "", "test", nullable=True),
        Column("fine", SOURCE_MONEY, "", "test", nullable=True),
        Column("flag", pl.Boolean, "", "test", nullable=True),
        Column("day", pl.Date, "", "test", nullable=True),
        Column("moment", UTC_TIME, "", "test", nullable=True),
    ),
)
KIND_ROWS: list[dict[str, Any]] = [
    {
        "text": "é\0\n",
        "whole": -(2**63),
        "small": Decimal("-0.000000001"),
        "fine": Decimal("99999999999999.999999999999999999999999"),
        "flag": True,
        "day": date(1969, 12, 31),
        "moment": datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=UTC),
    },
    dict.fromkeys(KIND.schema),
    {
        "text": "",
        "whole": 0,
        "small": Decimal(10**20),
        "fine": Decimal("-3.5"),
        "flag": False,
        "day": date(9999, 12, 31),
        "moment": datetime(999, 1, 1, tzinfo=UTC),
    },
]


def by_hand(rows: list[dict[str, Any]]) -> str:
    """Return the digest as the description of the canonical form says, cell by cell."""
    kinds = [
        *(["text", "text"], ["whole", "integer"], ["small", "decimal 9"], ["fine", "decimal 24"]),
        *(["flag", "boolean"], ["day", "date"], ["moment", "moment"]),
    ]
    head = json.dumps({"columns": kinds, "rows": len(rows), "table": "KINDS"}, separators=(",", ":"), sort_keys=True)
    content = head.encode() + b"\0"
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    for name, kind in kinds:
        cells = [row[name] for row in rows]
        content += bytes(cell is not None for cell in cells)
        if kind == "text":
            texts = [(cell or "").encode() for cell in cells]
            content += b"".join(struct.pack("<q", len(text)) for text in texts) + b"".join(texts)
        elif kind.startswith("decimal"):
            wholes = [int(Fraction(cell or 0) * 10 ** int(kind[8:])) for cell in cells]
            content += b"".join(number.to_bytes(16, "little", signed=True) for number in wholes)
        else:
            numbers: dict[str, Callable[[Any], int]] = {
                "integer": lambda cell: cell,
                "boolean": int,
                "date": lambda cell: (cell - epoch.date()).days,
                "moment": lambda cell: (cell - epoch) // timedelta(microseconds=1),
            }
            content += b"".join(struct.pack("<q", 0 if c is None else numbers[kind](c)) for c in cells)
    return hashlib.sha256(content).hexdigest()


def test_the_digest_of_rows_is_as_it_is_described() -> None:
    frame = KIND.frame(KIND_ROWS)
    assert row_digest(KIND, frame) == by_hand(KIND_ROWS)
    assert row_digest(KIND, frame.clear()) == by_hand([])
    sizes = [1, 0, 2]
    parts = [by_hand(KIND_ROWS[:1]), by_hand([]), by_hand(KIND_ROWS[1:])]
    assert row_digests(KIND, frame, sizes) == parts
    assert len({row_digest(KIND, KIND.frame(list(order))) for order in itertools.permutations(KIND_ROWS)}) == 6
    with pytest.raises(ValueError, match="rows"):
        row_digests(KIND, frame, [1])


def test_the_digest_does_not_depend_on_how_rows_lie_in_memory(tmp_path: Path) -> None:
    frame = pl.concat([KIND.frame(KIND_ROWS)] * 50)
    expected = by_hand(KIND_ROWS * 50)
    pieces = pl.concat([frame[k : k + 7] for k in range(0, len(frame), 7)], rechunk=False)
    assert pieces.n_chunks() > 1
    assert row_digest(KIND, pieces) == expected
    assert row_digest(KIND, pl.concat([frame, frame])[len(frame) :]) == expected
    for compression in COMPRESSIONS:
        frame.write_parquet(tmp_path / "a.parquet", compression=compression, row_group_size=11)
        assert row_digest(KIND, pl.read_parquet(tmp_path / "a.parquet")) == expected
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(tmp_path / "a.parquet"), tmp_path / "b.parquet", use_dictionary=False)
    assert row_digest(KIND, pl.read_parquet(tmp_path / "b.parquet")) == expected
    assert row_digest(KIND, pl.from_arrow(pq.read_table(tmp_path / "b.parquet"))) == expected  # type: ignore[arg-type]
    code = (
        "import sys, polars as pl\nfrom tests.test_store import KIND\nfrom tokenindex.digests import row_digest\n"
        "print(row_digest(KIND, pl.read_parquet(sys.argv[1])), pl.thread_pool_size())"
    )
    root = Path(__file__).parent.parent
    environment = os.environ | {"POLARS_MAX_THREADS": "1", "PYTHONPATH": f"{root}:{root / 'tests'}"}
    words = [sys.executable, "-c", code, str(tmp_path / "a.parquet")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment, cwd=root)
    assert done.stdout.split() == [expected, "1"]


# what every store does -------------------------------------------------------------------------------------------


def test_a_batch_is_stored_once_and_read_as_it_was_parsed(store: Store) -> None:
    batches = several(5)
    assert store.batches() == {}
    assert store.read(list(batches)).batches == frozenset()
    for one, parsed in batches.values():
        assert store.append(one, parsed)
        assert not store.append(one, parsed)
        assert not again(store).append(one, parsed)
    whole(store, batches)
    some = dict(list(batches.items())[1:3])
    whole(store, some)
    assert len(store.batches()) == 5
    (first, *_) = batches.values()
    assert store.batches()[first[0].key].facts["sha256"] == first[0].capture.sha256


def test_a_batch_without_rows_is_there(store: Store) -> None:
    one, parsed = batch(1, rows=0)
    assert store.append(one, parsed)
    whole(store, {one.key: (one, parsed)})
    assert not again(store).append(one, parsed)


def test_the_key_tells_everything_apart_that_rows_depend_on() -> None:
    one, _ = batch(1)
    others = [replace(one, version="2")]
    changes: list[dict[str, Any]] = [
        *({"name": "x"}, {"source": "x"}, {"adapter": "volumes"}, {"licence": "MIT"}, {"reference": "x"}),
        *({"known_at": SEEN}, {"seen_at": SEEN}, {"sha256": "0" * 64}),
    ]
    others += [replace(one, capture=replace(one.capture, **change)) for change in changes]
    assert len({one.key, *(other.key for other in others)}) == 1 + len(others)
    assert one.key == batch(1)[0].key


def test_what_is_pinned_is_the_same_in_every_store_and_after_every_compaction(tmp_path: Path) -> None:
    pytest.importorskip("deltalake")
    batches = several(4)
    pinned = []
    for kind, order in (("parquet", 1), ("delta", -1)):
        store = made(kind, tmp_path / kind)
        for one, parsed in list(batches.values())[::order]:
            store.append(one, parsed)
        pinned.append(store.snapshot())
        store.compact(list(batches))
        pinned += [store.snapshot(), again(store).snapshot()]
    assert len({json.dumps(one["tables"], sort_keys=True) for one in pinned}) == 1
    assert pinned[0]["version"] != pinned[1]["version"]
    assert pinned[1] == pinned[2]
    # by hand: the digest of the pairs of batch and digest of rows, in their order
    pairs = sorted(
        [key, row_digest(TABLES["observations"], parsed.observations)] for key, (_, parsed) in batches.items()
    )
    digest = hashlib.sha256(json.dumps(pairs, separators=(",", ":")).encode()).hexdigest()
    assert pinned[0]["tables"]["observations"] == {"rows": 8, "sha256": digest}


def test_compaction_changes_files_and_no_row(store: Store) -> None:
    batches = several(7)
    other = again(store)
    for one, parsed in batches.values():
        store.append(one, parsed)
    whole(other, batches)
    done = store.compact(list(batches))
    assert done["removed"] > done["written"] > 0
    assert store.compact(list(batches)) == {"written": 0, "removed": 0}
    whole(store, batches)
    whole(other, batches)
    more = {one.key: (one, parsed) for one, parsed in (batch(20), batch(21))}
    for one, parsed in more.values():
        assert other.append(one, parsed)
    whole(store, batches | more)
    other.compact(list(batches | more))
    whole(store, batches | more)
    whole(store, dict(list((batches | more).items())[2:8:3]))
    for one, parsed in batches.values():
        assert not store.append(one, parsed)


def test_a_batch_of_an_older_version_stays_and_is_not_read_with_the_current_ones(store: Store) -> None:
    old, new = several(3, version="1"), several(3, version="2")
    for one, parsed in [*old.values(), *new.values()]:
        store.append(one, parsed)
    whole(store, new)
    store.compact(list(new))
    whole(store, new)
    whole(store, old)
    store.compact(list(old))
    whole(store, new)
    whole(store, old)


def test_batches_can_be_forgotten_and_stored_again(store: Store) -> None:
    batches = several(4)
    for one, parsed in batches.values():
        store.append(one, parsed)
    (gone, (one, parsed)), *rest = batches.items()
    other = again(store)
    assert len(other.batches()) == 4
    store.compact(list(batches), forget=[gone])
    left = dict(rest)
    for seen in (store, other, again(store)):
        assert set(seen.batches()) == set(left)
    whole(other, left)
    assert other.append(one, parsed)
    whole(store, batches)


def test_a_file_that_was_changed_is_not_believed(store: Store, tmp_path: Path) -> None:
    batches = several(3)
    for one, parsed in batches.values():
        store.append(one, parsed)
    files = sorted((tmp_path / "home/store/observations").glob("*.parquet"))
    for path in files[:2]:
        changed = pl.read_parquet(path).with_columns(pl.col("price") + 1)
        os.truncate(path, 10) if path is files[0] else changed.write_parquet(path)
    found = again(store).read(batches)
    assert len(found.batches) == 1
    assert set(found.frames["observations"]["batch"]) == found.batches
    for key in set(batches) - found.batches:
        assert store.append(*batches[key], damaged=True)
    whole(store, batches)


@pytest.mark.parametrize("name", ["observations", "sightings"])
def test_a_merged_file_that_was_changed_is_not_believed(store: Store, tmp_path: Path, name: str) -> None:
    content = b'{"data": [{"id": "a/b", "pricing": {"prompt": "0.000001"}}]}'
    batches = {}
    for day in range(3):
        seen = SEEN + timedelta(days=day)
        facts: dict[str, Any] = {"source": "openrouter-models", "seen_at": seen, "known_at": seen}
        capture = Capture.of(content, name="m.json", adapter="openrouter-models", **facts)
        one = Batch(capture, "1")
        batches[one.key] = (one, adapter(capture.adapter).parse(content, capture))
        assert store.append(*batches[one.key])
    store.compact(list(batches))
    whole(store, batches)
    merged = [f for f in (tmp_path / f"home/store/{name}").glob("*.parquet") if f.name.startswith(("merged", "part"))]
    for path in merged:
        path.write_bytes(path.read_bytes()[:-9])
    # a batch of which one table is spoilt is no batch
    found = again(store).read(batches)
    assert found.batches == frozenset()
    assert all(frame.is_empty() for frame in found.frames.values())
    for key in batches:
        assert store.append(*batches[key], damaged=True)
    whole(store, batches)


# the store of Parquet files --------------------------------------------------------------------------------------


def listed(path: Path, name: str) -> list[str]:
    """Return the files of a table as the entries list them, without any code of ours."""
    files: dict[str, str] = {}
    loose = []
    for file in sorted((path / "batches").glob("*.json")):
        entry = json.loads(file.read_bytes())
        if entry["kind"] == "batch":
            files |= {entry["tables"][name]["file"]: entry["batch"]} if name in entry["tables"] else {}
        else:
            files = {file: key for file, key in files.items() if file not in entry["removed"]}
            files |= {facts["file"]: "" for facts in entry["files"] if facts["table"] == name}
        loose.append(file)
    return [str(path / file) for file in files if "/older/" not in file]


def sums(frame: Any) -> tuple[int, str]:
    """Return number of rows and sum of prices of a pandas or polars frame."""
    return len(frame), str(sum((Decimal(str(price)) for price in frame["price"]), Decimal(0)).normalize())


@pytest.mark.parametrize("compacted", [False, True])
def test_other_engines_read_the_files_without_us(tmp_path: Path, compacted: bool) -> None:
    store = made("parquet", tmp_path / "home")
    old, new = several(3, version="1"), several(3, version="2")
    batches = new if compacted else old
    for one, parsed in [*(old.values() if compacted else ()), *batches.values()]:
        store.append(one, parsed)
    orphan = tmp_path / "home/store/observations/2026-07-01_0000-0.parquet"
    orphan.write_bytes((next((tmp_path / "home/store/observations").iterdir())).read_bytes())
    if compacted:
        store.compact(list(new))
        # a plain glob, once compacted; before it the files that the entries list
        assert sorted(glob.glob(str(tmp_path / "home/store/observations/*.parquet"))) == listed(  # noqa: PTH207
            tmp_path / "home", "observations"
        )
    files = listed(tmp_path / "home", "observations")
    expected = sums(pl.concat([parsed.observations for _, parsed in batches.values()]))
    assert expected == (6, str(Decimal("6.3")))
    assert sums(pl.read_parquet(files)) == expected
    import pandas as pd

    assert sums(pd.concat([pd.read_parquet(file) for file in files])) == expected
    duckdb = pytest.importorskip("duckdb")
    (found,) = duckdb.execute("SELECT count(*), sum(price) FROM read_parquet(?)", [files]).fetchall()
    assert (found[0], str(found[1].normalize())) == expected


def test_spark_reads_the_files(tmp_path: Path) -> None:
    sql = pytest.importorskip("pyspark.sql")
    store, batches = made("parquet", tmp_path / "home"), several(2)
    for one, parsed in batches.values():
        store.append(one, parsed)
    session = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        assert sums(session.read.parquet(*listed(tmp_path / "home", "observations")).toPandas())[0] == 4
    finally:
        session.stop()


def test_files_of_killed_writers_are_not_there_and_are_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, batches = made("parquet", tmp_path / "home"), several(2)
    (first, second) = batches.values()
    store.append(*first)

    def killed(_: Chain, make: Callable[[Sequence[object]], object], **__: object) -> None:
        make([])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Chain, "append", killed)
        store.append(*second)
    folder = tmp_path / "home/store/observations"
    assert len(list(folder.iterdir())) == 2
    assert set(again(store).batches()) == {first[0].key}
    assert again(store).append(*second)  # under another name: who knows what stands there
    assert len(list(folder.iterdir())) == 3
    store.compact(list(batches))
    assert len(list(folder.iterdir())) == 1
    whole(store, batches)


def test_a_writer_whose_file_was_collected_before_its_entry_writes_it_anew(tmp_path: Path) -> None:
    """The chain orders both: a compaction that comes between a file and its entry is seen by the writer."""
    store, batches = made("parquet", tmp_path / "home"), several(3)
    first, second, third = batches.values()
    store.append(*first)
    writer, other = again(store), again(store)
    assert isinstance(writer, plain.ParquetStore)
    created = writer.files.create

    class Slow(LocalFiles):
        def create(self, name: str, content: bytes) -> bool:
            if name.startswith("batches/") and list((tmp_path / "home/batches").iterdir())[1:] == []:
                assert other.append(*third)
                assert other.compact(list(batches))["removed"] >= 2
            return created(name, content)

    writer.files = Slow(tmp_path / "home")
    writer.chain.files = writer.files
    assert writer.append(*second)
    whole(store, batches)


def test_files_that_are_merged_while_they_are_read_are_read_again(tmp_path: Path) -> None:
    store, batches = made("parquet", tmp_path / "home"), several(3)
    for one, parsed in batches.values():
        store.append(one, parsed)
    reader, other = again(store), again(store)
    assert isinstance(reader, plain.ParquetStore)

    class Slow(LocalFiles):
        def read_each(self, names: Any) -> Iterator[bytes | None]:
            other.compact(list(batches))
            return super().read_each(names)

    reader.batches()
    reader.files = Slow(tmp_path / "home")
    assert reader.read(batches).batches == set(batches)


def test_large_files_are_not_merged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "SEGMENT_ROWS", 6)
    store, batches = made("parquet", tmp_path / "home"), several(10)
    folder = tmp_path / "home/store/observations"
    closed: set[str] = set()
    for number, (one, parsed) in enumerate(batches.values(), start=1):
        store.append(one, parsed)
        store.compact(list(batches))
        there = {file.name for file in folder.iterdir()}
        assert closed <= there
        if number % 3 == 0:
            closed = there
    assert len(closed) == 3
    whole(store, batches)
    gone = next(iter(batches))
    store.compact(list(batches), forget=[gone])
    whole(store, {key: one for key, one in batches.items() if key != gone})


def test_files_are_read_a_bounded_number_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "GROUP_BYTES", 1)
    store, batches = made("parquet", tmp_path / "home"), several(5)
    for one, parsed in batches.values():
        store.append(one, parsed)
    whole(store, batches)


def test_an_entry_that_was_changed_is_refused(tmp_path: Path) -> None:
    store, batches = made("parquet", tmp_path / "home"), several(3)
    for one, parsed in batches.values():
        store.append(one, parsed)
    path = tmp_path / "home/batches/00000001.json"
    path.write_bytes(path.read_bytes().replace(b'"rows":2', b'"rows":3'))
    with pytest.raises(LedgerError, match="entry 2"):
        again(store).batches()


# the store of Delta tables ---------------------------------------------------------------------------------------


def test_delta_tables_are_those_of_deltalake(tmp_path: Path) -> None:
    deltalake = pytest.importorskip("deltalake")
    store, batches = made("delta", tmp_path / "home"), several(230, rows=1)
    for one, parsed in batches.values():
        store.append(one, parsed)
    table = deltalake.DeltaTable(tmp_path / "home/store/observations")
    assert table.version() == 230
    assert table.metadata().configuration["delta.appendOnly"] == "true"
    assert (tmp_path / "home/store/observations/_delta_log/_last_checkpoint").exists()
    with pytest.raises(deltalake.exceptions.DeltaError, match="append"):
        table.delete()
    # rows of a batch that does not count: a writer that was killed
    frame = pl.read_parquet(next((tmp_path / "home/store/observations").glob("*.parquet")))
    deltalake.write_deltalake(table, frame.with_columns(batch=pl.lit("killed")), mode="append")
    whole(store, batches)
    more, parsed = batch(500)
    assert store.append(more, parsed)  # after a commit that is not ours
    batches |= {more.key: (more, parsed)}
    whole(store, batches)
    counting = pl.scan_delta(str(tmp_path / "home/store/batches")).select("stored")
    seen = pl.scan_delta(str(tmp_path / "home/store/observations")).join(
        counting, left_on="batch", right_on="stored", how="semi"
    )
    expected = sums(pl.concat([parsed.observations for _, parsed in batches.values()]))
    assert sums(seen.collect()) == expected
    uris = {
        name: deltalake.DeltaTable(tmp_path / f"home/store/{name}").file_uris() for name in ("observations", "batches")
    }
    duckdb = pytest.importorskip("duckdb")
    query = "SELECT count(*), sum(price) FROM read_parquet(?) o SEMI JOIN read_parquet(?) b ON o.batch = b.stored"
    (found,) = duckdb.execute(query, [uris["observations"], uris["batches"]]).fetchall()
    assert (found[0], str(found[1].normalize())) == expected
    store.compact(list(batches))
    whole(store, batches)
    assert len(deltalake.DeltaTable(tmp_path / "home/store/observations").file_uris()) == 1
    # every version is still there: nothing was vacuumed
    assert deltalake.DeltaTable(tmp_path / "home/store/observations", version=3).count() == 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_can_stand_in_any_folder(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "delta":
        pytest.importorskip("deltalake")
    (tmp_path / "ü #?&").mkdir()
    monkeypatch.chdir(tmp_path / "ü #?&")
    store, batches = made(kind, Path("h ome")), several(3)
    for one, parsed in batches.values():
        store.append(one, parsed)
    whole(store, batches)
    store.compact(list(batches))
    whole(store, batches)
    assert [path.name for path in tmp_path.iterdir()] == ["ü #?&"]
    assert os.listdir() == ["h ome"]  # noqa: PTH208
    if kind == "delta":
        with pytest.raises(LedgerError, match="%"):
            made(kind, Path("h%41ome"))


@pytest.mark.parametrize("name", KINDS)
def test_a_file_that_was_changed_is_left_out_of_a_compaction(name: str, tmp_path: Path) -> None:
    store, batches = made(name, tmp_path / "home"), several(3)
    for one, parsed in batches.values():
        store.append(one, parsed)
    spoilt = sorted((tmp_path / "home/store/observations").glob("*.parquet"))[0]
    spoilt.write_bytes(spoilt.read_bytes()[:-9])
    (lost,) = set(batches) - again(store).read(batches).batches
    store.compact(list(batches))
    for opened in (store, again(store)):
        assert opened.read(batches).batches == set(batches) - {lost}
    assert store.append(*batches[lost], damaged=lost in store.batches())
    whole(store, batches)
    if name == "parquet":
        store.compact(list(batches))
        assert len(list((tmp_path / "home/store/observations").glob("*.parquet"))) == 1


def test_the_clock_of_a_delta_table_is_not_asked(tmp_path: Path) -> None:
    store, batches = made("delta", tmp_path / "home"), several(3)
    for one, parsed in batches.values():
        store.append(one, parsed)
    for path in (tmp_path / "home/store").rglob("*.json"):
        os.utime(path, (0, 0))
    whole(store, batches)


def test_rows_are_flushed_before_the_log_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, batches = made("delta", tmp_path / "home"), several(2)
    (first, second) = batches.values()
    store.append(*first)
    steps: list[str] = []
    flush, link = os.fsync, os.link

    def flushed(file: int) -> None:
        steps.append("flush")
        flush(file)

    def linked(there: Path, here: Path) -> None:
        steps.append(here.parent.name)
        link(there, here)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "link", linked)
    store.append(*second)
    assert [step for step in steps if step != "flush"] == ["observations", "_delta_log", "batches", "_delta_log"]
    for number, step in enumerate(steps):
        assert step == "flush" or steps[number - 1] == "flush" == steps[number + 1]


# killed, two at once, no room ------------------------------------------------------------------------------------

WRITER = """
import sys
sys.path[:0] = sys.argv[4:]
from pathlib import Path
from tests.test_store import batch
from tokenindex.files import files_at
from tokenindex.store import open_store
store = open_store(sys.argv[1], files_at(sys.argv[2]))
numbers = range(*map(int, sys.argv[3].split(",")))
print("ready", flush=True)
for number in numbers:
    store.append(*batch(number))
    print(number, flush=True)
    if number % 20 == 19:
        store.compact(list(store.batches()))
"""


def writer(kind: str, place: Path | str, numbers: str) -> subprocess.Popen[str]:
    """Start a process that appends batches of these numbers and compacts now and then."""
    root = Path(__file__).parent.parent
    words = [sys.executable, "-c", WRITER, kind, str(place), numbers, str(root), str(root / "tests")]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_that_is_killed_leaves_whole_batches_and_loses_none_that_it_told_of(
    kind: str, tmp_path: Path
) -> None:
    chance = random.Random(20260701)
    start = 0
    for _ in range(KILLS):
        store = made(kind, tmp_path / "home")
        with writer(kind, tmp_path / "home", f"{start},100000") as process:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0, 0.8))
            os.kill(process.pid, signal.SIGKILL)
            told = [int(line) for line in process.stdout.read().split() if line]
        last = max(told, default=start - 1)
        # all that was told, and at most the one that was on its way
        expected = [batch(number) for number in range(last + 1)]
        keys = {one.key for one, _ in expected}
        there = set(again(store).batches())
        assert keys <= there <= keys | {batch(last + 1)[0].key}
        whole(again(store), {one.key: (one, parsed) for one, parsed in expected})
        start = last + 1


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_at_once_lose_nothing(kind: str, tmp_path: Path) -> None:
    store = made(kind, tmp_path / "home")
    # some of the same batches, some of their own; both compact
    with writer(kind, tmp_path / "home", "0,30") as one, writer(kind, tmp_path / "home", "10,40") as two:
        assert one.communicate(timeout=120)[0].split()[-1] == "29"
        assert two.communicate(timeout=120)[0].split()[-1] == "39"
    assert (one.returncode, two.returncode) == (0, 0)
    whole(store, several(40))
    store.compact(list(store.batches()))
    whole(store, several(40))


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_stores_nothing_and_reads_on(
    kind: str, tmp_path: Path, prices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "delta":
        pytest.importorskip("deltalake")
    facts: dict[str, Any] = {"adapter_name": "prices", "source": "s", "seen_at": SEEN, "known_at": SEEN}
    flush = os.fsync
    for point in range(100):
        home = Home.init(tmp_path / f"{kind} {point}", store=kind)
        left = [point]

        def full(file: int, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            flush(file)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            try:
                home.ingest(prices, **facts)
            except OSError as wrong:
                assert wrong.errno == errno.ENOSPC
            else:
                break
            shown = Home.open(home.path)
            assert len(shown.inputs().observations) in (0, 2 * len(shown.captures()))
        Home.open(home.path).ingest(prices, **facts)
        assert len(Home.open(home.path).inputs().observations) == 2
    assert point > 8


def test_a_home_that_cannot_be_written_to_is_read(home_with_lost_store: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(LocalFiles, "create", refused)
    assert len(home_with_lost_store.inputs().observations) == 2


@pytest.fixture
def home_with_lost_store(empty: Home, prices: Path) -> Home:
    """A home with a capture whose rows are lost."""
    empty.ingest(prices, adapter_name="prices", source="s", seen_at=SEEN, known_at=SEEN)
    for file in (empty.path / "store/observations").iterdir():
        file.unlink()
    return Home.open(empty.path)


# homes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_home_names_its_store(kind: str, tmp_path: Path, prices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "delta":
        pytest.importorskip("deltalake")
    home = Home.init(tmp_path / "home", store=kind)
    assert Home.open(home.path).store is not None
    assert Home.open(home.path).store.kind == kind  # type: ignore[union-attr]
    home.ingest(prices, adapter_name="prices", source="s", seen_at=SEEN, known_at=SEEN)
    expected = home.inputs().observations
    assert len(expected) == 2
    monkeypatch.setattr("tokenindex.home.adapter", unread)
    assert Home.open(home.path).inputs().observations.equals(expected)


def test_an_unknown_store_is_refused(empty: Home) -> None:
    (empty.path / "home.toml").write_text('store = "excel"\n')
    with pytest.raises(InputDataError, match="parquet, delta"):
        _ = Home.open(empty.path).store
    assert Home.sample().store is None


def test_the_same_bytes_at_other_facts_are_another_batch(empty: Home) -> None:
    """A writer that was killed before its look was listed left rows that say when they were known then."""
    content = b'{"data": [{"id": "a/b", "pricing": {"prompt": "0.000001"}}]}'
    facts: dict[str, Any] = {"adapter": "openrouter-models", "source": "r", "seen_at": SEEN, "name": "m.json"}
    early, late = (Capture.of(content, known_at=SEEN + timedelta(days=days), **facts) for days in (0, 3))
    reader = adapter(early.adapter)
    stored = replace(early, name=f"{SEEN.date()}_{early.sha256[:12]}_m.json")
    assert empty.store
    empty.store.append(Batch(stored, reader.version), reader.parse(content, stored))
    empty.keep(content, late)
    assert set(Home.open(empty.path).inputs().observations["known_at"]) == {late.known_at}


def test_a_file_is_read_by_the_name_under_which_it_is_kept(empty: Home, tmp_path: Path) -> None:
    """An adapter that reads the name gives the same rows at ingestion and ever after."""
    content = b'{"default": {}, "gpt-4o": {"pricing_config": {"pay_as_you_go": {"request_token": {"price": 0.00025}}}}}'
    names = ("openai.json", "azure-openai.json")
    found = []
    for day, name in enumerate(names):
        (tmp_path / name).write_bytes(content)
        moment = SEEN + timedelta(days=day)
        parsed = empty.ingest(tmp_path / name, adapter_name="portkey", source="p", seen_at=moment, known_at=moment)
        assert parsed
        found.append(parsed.observations)
    assert empty.inputs().observations.equals(pl.concat(found))
    without = Home(empty.files)
    without.__dict__["store"] = None
    assert without.inputs().observations.equals(pl.concat(found))


def test_lists_are_read_from_copies_of_a_thousand_entries(empty: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokenindex.chains.GATHERED", 3)
    chain = Chain(empty.files, "numbers")
    for number in range(8):
        chain.append(lambda _, number=number: {"n": number})  # type: ignore[misc]
    assert chain.gather() == 2
    assert chain.gather() == 0
    read: list[str] = []
    reads = LocalFiles.read

    def counted(self: LocalFiles, name: str) -> bytes | None:
        read.append(name)
        return reads(self, name)

    monkeypatch.setattr(LocalFiles, "read", counted)
    assert [e.fields["n"] for e in Chain(empty.files, "numbers").entries()] == list(range(8))
    assert [name for name in read if name.startswith("gathered/")] == [
        "gathered/numbers/00000003.jsonl",
        "gathered/numbers/00000006.jsonl",
    ]
    assert "numbers/00000002.json" not in read
    copy = empty.path / "gathered/numbers/00000003.jsonl"
    good = copy.read_bytes()
    for spoilt in (good.replace(b'"n":1', b'"n":9'), good[:-30], b"", good + good):
        copy.write_bytes(spoilt)
        with pytest.raises(LedgerError):
            Chain(empty.files, "numbers").entries()
