"""Any bytes give rows or the typed error, what is spoilt costs exactly itself, and nothing is hidden without a reason.

The files come from `CASES`, so an adapter that has a case there is fuzzed here. ``fuzz.py`` searches on where this file
stops, and ``hostile.py`` measures what the adapters spend.
"""

from __future__ import annotations

import collections
import gzip
import io
import json
import random
import re
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile import hostile, tarred, toml_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import Pairs, family, separator_of, spoilt, text_of, tree_of
from test_adapters import CASES, Case, counted, fixture, quotes, read, reasons, tar, zipped_as

from tokenindex.adapters import Capture, Parsed, parquet, reading, rows
from tokenindex.adapters.reading import COLUMNS_MAX, RAGGED_MAX
from tokenindex.errors import InputDataError

Rows = collections.Counter[tuple[Any, ...]]
quick = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def answered(content: bytes, case: Case) -> Parsed | None:
    """Return what an adapter answers, or null after the typed error, and assert what holds for every answer."""
    try:
        parsed = read(content, case.adapter, file=case.file)
    except InputDataError as refused:
        assert refused.found and refused.expected and refused.remedy
        assert refused.where.startswith(case.file or case.adapter)
        return None
    digest = Capture.of(content, name="", adapter="", source="", seen_at=None, known_at=None).sha256
    for table, frame in parsed.tables().items():
        assert frame.schema == table.schema
        assert frame["capture"].unique().to_list() in ([], [digest])
        placed = frame.filter(pl.col("locator") != "") if table.name in ("SIGHTINGS", "UNREAD", "REJECTS") else frame
        assert not (placed["locator"] == "").any()
    unplaced = parsed.rejects.filter(locator="")["reason"].to_list()
    assert unplaced in ([], ["empty_snapshot"])
    return parsed


# --- whatever the bytes are ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=str)
@quick
@given(seed=st.integers(0, 2**64), again=st.integers(0, 2))
def test_a_spoilt_file_gives_rows_or_the_typed_error(case: Case, seed: int, again: int) -> None:
    dice, content = random.Random(seed), case.content
    for _ in range(1 + again):
        content = spoilt(content, dice)
    parsed = answered(content, case)
    if parsed is not None and seed % 8 == 0:
        parsed.checked(where="a spoilt file")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_hostile_file_gives_rows_or_the_typed_error(case: Case) -> None:
    for _, make in hostile(case.content, 2_000):
        answered(make(), case)


# --- one record is spoilt ------------------------------------------------------------------------------------------
# A file is taken apart into records. One of them is made unreadable: the answer must be that of the file without it, and
# a reject that says where it stood. So one bad record never takes another with it, nor adds to another's sum.

Spoiling = tuple[str, bytes, bytes]
"""Where the record stands, the file with the record unreadable, and the file without it."""


def spoilings(case: Case) -> Iterator[Spoiling]:
    """Yield every record of a file."""
    yield from _SPOILINGS[family(case.content)](case)


def _json_records(case: Case) -> Iterator[Spoiling]:
    for path in _record_paths(case):
        broken, without = (_changed(case.content, path, how) for how in (_text, _gone))
        yield _pointer(path), broken, without


def _record_paths(case: Case) -> list[tuple[str, ...]]:
    """Return the shortest paths that tell places of rows and rejects apart, and are objects all."""
    places = _places(read(case.content, case.adapter, file=case.file))
    paths = [tuple(place.split("/")[1:]) for place in places if place.startswith("/")]
    for depth in range(1, max(map(len, paths), default=0) + 1):
        found = {path[:depth] for path in paths if len(path) >= depth}
        if len(found) > 1:
            return sorted(found)
    raise AssertionError(f"{case} has no two records")


def _places(parsed: Parsed) -> set[str]:
    tables = [parsed.observations, parsed.volumes, parsed.rates, parsed.rejects]
    return {place.split(" and ")[0] for frame in tables for place in frame["locator"].to_list() if place}


def _pointer(path: tuple[str, ...]) -> str:
    return "".join("/" + part for part in path)


def _changed(content: bytes, path: tuple[str, ...], how: Callable[[Any, int], None]) -> bytes:
    tree = tree_of(content)
    holder: Any = [tree]
    at = 0
    for part in path:
        holder = holder[at][1] if isinstance(holder, Pairs) else holder[at]
        keys = [key for key, _ in holder] if isinstance(holder, Pairs) else [str(n) for n in range(len(holder))]
        at = keys.index(part.replace("~1", "/").replace("~0", "~"))
    how(holder, at)
    return text_of(tree).encode()


def _is_there(content: bytes, path: tuple[str, ...]) -> bool:
    try:
        _changed(content, path, _text)
    except ValueError:  # a reject may name a field that is missing
        return False
    return True


def _text(holder: Any, at: int) -> None:
    if isinstance(holder, Pairs):
        holder[at][1] = "spoilt"
    else:
        holder[at] = "spoilt"


def _gone(holder: Any, at: int) -> None:
    del holder[at]


def _csv_records(case: Case) -> Iterator[Spoiling]:
    lines = case.content.split(b"\n")
    fences = [at for at, line in enumerate(lines) if line == b"+++"]
    first = fences[1] + 1 if fences else 0
    more = separator_of(lines[first]).encode() + b"spoilt"
    yield from _line_records(lines, first + 1, lambda line: line + more)


def _json_lines(case: Case) -> Iterator[Spoiling]:
    yield from _line_records(case.content.split(b"\n"), 0, lambda line: line[:-1])


def _line_records(lines: list[bytes], first: int, spoil: Callable[[bytes], bytes]) -> Iterator[Spoiling]:
    for at in range(first, len(lines)):
        if lines[at].strip(b" ,;\t|"):
            broken = [*lines[:at], spoil(lines[at]), *lines[at + 1 :]]
            yield f"line {at + 1}", b"\n".join(broken), b"\n".join(lines[:at] + lines[at + 1 :])


def _zip_records(case: Case) -> Iterator[Spoiling]:
    with zipfile.ZipFile(io.BytesIO(case.content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    table = next(name for name in members if name.endswith(".csv"))
    prefix = f"{table} " if len(members) > 1 else ""
    for place, *files in _csv_records(Case(case.adapter, members[table], b"")):
        broken, without = (zipped_as({**members, table: content}) for content in files)
        yield prefix + place, broken, without


def _parquet_records(case: Case) -> Iterator[Spoiling]:
    frame = pl.read_parquet(io.BytesIO(case.content))
    for at in range(frame.height):
        nothing = pl.when(pl.int_range(pl.len()) != at).then("source").alias("source")
        rest = pl.concat([frame[:at], frame[at + 1 :]])
        yield f"row {at + 1}", _written(frame.with_columns(nothing)), _written(rest)


def _written(frame: pl.DataFrame) -> bytes:
    stream = io.BytesIO()
    frame.write_parquet(stream)
    return stream.getvalue()


def _tar_records(case: Case) -> Iterator[Spoiling]:
    members = {f"providers/p/models/{n}.toml": b"[cost]\ninput = %d\n" % n for n in range(4)}
    for name in members:
        rest = {other: content for other, content in members.items() if other != name}
        yield name, gzip.compress(tar({**members, name: b"[cost\n"})), gzip.compress(tar(rest))


_SPOILINGS: dict[str, Callable[[Case], Iterator[Spoiling]]] = {
    "json": _json_records,
    "lines": _json_lines,
    "csv": _csv_records,
    "fenced": _csv_records,
    "zip": _zip_records,
    "parquet": _parquet_records,
    "tar.gz": _tar_records,
    "toml": lambda case: iter(()),  # one file is one record
}


def _without_places(parsed: Parsed) -> Rows:
    """Return the rows of all tables but sightings, without the digest, and places only of what is counted together."""
    return collections.Counter(
        (table.name, *row)
        for table, frame in parsed.tables().items()
        if table.name in ("OBSERVATIONS", "VOLUMES", "RATES")
        for row in frame.drop("capture", "locator").iter_rows()
    )


ROW_BY_ROW = [case for case in CASES if case.adapter != "judgments"]
"""All but judgments: a file of them is refused whole, for one that is left out in silence would change a fixing."""


@pytest.mark.parametrize("case", ROW_BY_ROW, ids=str)
def test_an_unreadable_record_costs_exactly_itself(case: Case) -> None:
    for place, broken, without in spoilings(case):
        found, expected = read(broken, case.adapter, file=case.file), read(without, case.adapter, file=case.file)
        assert _without_places(found) == _without_places(expected), place
        here = [row for row in found.rejects.iter_rows(named=True) if _is_at(row["locator"], place)]
        assert here, f"{place} vanished without a reason"
        others = collections.Counter(found.rejects["reason"].to_list()) - collections.Counter(r["reason"] for r in here)
        assert others == collections.Counter(why for why in expected.rejects["reason"] if why != "empty_snapshot"), (
            place
        )


def _is_at(locator: str, place: str) -> bool:
    return locator == place or (locator.startswith(place) and locator[len(place)] in "/, #")


# --- one value is spoilt -------------------------------------------------------------------------------------------


def _nodes(case: Case) -> Iterator[tuple[str, ...]]:
    """Yield the path of each node of a JSON file on the way to a row."""
    places = _places(read(case.content, case.adapter, file=case.file))
    paths = {tuple(place.split("/")[1:]) for place in places if place.startswith("/")}
    yield from sorted({path[:depth] for path in paths for depth in range(1, len(path) + 1)})


def _worth(parsed: Parsed) -> tuple[int, Decimal]:
    """Return how many prices and rates there are, and how many tokens."""
    return parsed.observations.height + parsed.rates.height, Decimal(parsed.volumes["tokens"].sum() or 0)


def _values(case: Case) -> Iterator[tuple[str, bytes]]:
    """Yield every value of a file that a row depends on, and the file with a word in its place."""
    if family(case.content) == "json":
        for path in _nodes(case):
            if _is_there(case.content, path):
                yield _pointer(path), _changed(case.content, path, _text)
    if family(case.content) in ("csv", "fenced"):
        lines = case.content.split(b"\n")
        first = max((at for at, line in enumerate(lines) if line == b"+++"), default=-1) + 1
        sep = separator_of(lines[first]).encode()
        for at in range(first + 1, len(lines)):
            cells = lines[at].split(sep)
            for cell in range(len(cells) if b'"' not in lines[at] else 0):
                changed = sep.join([*cells[:cell], b"spoilt", *cells[cell + 1 :]])
                yield f"line {at + 1}, cell {cell}", b"\n".join([*lines[:at], changed, *lines[at + 1 :]])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_hides_a_row_has_a_reason(case: Case) -> None:
    good = read(case.content, case.adapter, file=case.file)
    hidden = []
    for place, content in _values(case):
        try:
            parsed = read(content, case.adapter, file=case.file)
        except InputDataError:
            continue
        said = set(parsed.rejects.drop("capture").rows()) - set(good.rejects.drop("capture").rows())
        if not said and _worth(parsed) < _worth(good):
            hidden.append(place)
    assert hidden == []


# --- what was found, one test each ---------------------------------------------------------------------------------

HEAD = (
    "source,provider,model,component,service_tier,region,context_from,currency,unit,tax,valid_from,date_kind,known_at"
)
ROW = "s,p,{},input,standard,,0,USD,per_token,unknown,2026-06-01,declared,2026-06-01"


def prices_csv(*rows: str) -> Parsed:
    """Return prices of the own form whose last column is the price."""
    return read("\n".join([f"{HEAD},price", *rows, ""]).encode(), "prices")


def models(parsed: Parsed) -> dict[str, Decimal | None]:
    return dict(parsed.observations.sort("model").select("model", "price").rows())


def test_a_row_that_is_cut_short_withdraws_nothing() -> None:
    # the reader filled the missing cells with nothing, and a price that is nothing says that the offer was withdrawn
    parsed = prices_csv(ROW.format("cut"), ROW.format("good") + ",3", ROW.format("gone") + ",")
    assert models(parsed) == {"gone": None, "good": Decimal(3)}
    assert reasons(parsed) == [("line 2", "ragged_row")]
    assert parsed.rejects["found"].to_list() == ["13 cells under a header of 14"]


def test_a_row_with_too_many_cells_costs_only_itself() -> None:
    parsed = prices_csv(ROW.format("good") + ",3", ROW.format("comma") + ",3,5", "footnote: all in US dollars")
    assert models(parsed) == {"good": Decimal(3)}
    assert reasons(parsed) == [("line 3", "ragged_row"), ("line 4", "ragged_row")]


def test_a_ragged_row_of_a_table_may_hide_any_price_of_its_provider() -> None:
    head = fixture("mapped.txt").partition(b"odd;")[0]
    whole, torn = read(head, "mapped"), read(head + b"acme-2;1\n", "mapped")
    assert torn.observations.height == whole.observations.height
    assert (whole.sightings["complete"].to_list(), torn.sightings["complete"].to_list()) == ([True], [True])
    hidden = torn.unread.select("provider", "model", "component", "reason").rows()
    # the mapping names one provider for the whole table
    assert (whole.unread.height, hidden) == (0, [("acme", None, None, "ragged_row")])


def test_a_file_of_ragged_rows_is_no_table() -> None:
    ragged = ["x"] * RAGGED_MAX
    assert counted(prices_csv(ROW.format("good") + ",3", *ragged)) == {"ragged_row": RAGGED_MAX}
    with pytest.raises(InputDataError, match=f"line {RAGGED_MAX + 3}: more than {RAGGED_MAX} rows"):
        prices_csv(ROW.format("good") + ",3", *ragged, "x")


@pytest.mark.parametrize("cell", ['"never closed', '"closed" too early'])
def test_quotes_that_do_not_match_are_refused_with_their_line(cell: str) -> None:
    # nobody knows where such a row ends: it may swallow the good rows behind it
    with pytest.raises(InputDataError, match=r"line 3: .*quotes that match"):
        prices_csv(ROW.format("good") + ",3", ROW.format(cell) + ",3", ROW.format("other") + ",3")


def test_quotes_inside_of_a_cell_and_odd_characters_are_text() -> None:
    names = ['5" wide', "nul\0", "line\u2028separator", "\ufeffmark", '"a ""quoted"" word"', '"two\nlines"', '"a\rb"']
    parsed = prices_csv(*(ROW.format(name) + f",{n}" for n, name in enumerate(names)))
    assert parsed.rejects.is_empty()
    found = ['5" wide', "nul\0", "line\u2028separator", "\ufeffmark", 'a "quoted" word', "two\nlines", "a\rb"]
    assert models(parsed) == {name: Decimal(n) for n, name in enumerate(found)}
    assert parsed.observations["locator"].to_list() == [f"line {n}" for n in (2, 3, 4, 5, 6, 7, 9)]


def test_a_carriage_return_alone_ends_a_row() -> None:
    parsed = prices_csv(ROW.format("torn\rname") + ",1", ROW.format("good") + ",3")
    assert models(parsed) == {"good": Decimal(3)}
    assert reasons(parsed) == [("line 2", "ragged_row"), ("line 3", "ragged_row")]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (",".join(f"c{n}" for n in range(COLUMNS_MAX + 1)) + "\n", f"more than {COLUMNS_MAX} columns"),
        ("a,b,a\n", "a column stands twice: a"),
        (f"{HEAD},price\n{ROW.format('x' * 65_537)},1\n", "line 2: a cell has more than 65536 characters"),
        (f"{HEAD},price\n{ROW.format('x' * 200_000)},1\n", "line 2: field larger than field limit"),
        ("\n\n", "there is no header"),
    ],
)
def test_a_table_without_sense_is_refused(content: str, found: str) -> None:
    # a million columns took 1.7 GB, or the interpreter with them
    with pytest.raises(InputDataError, match=found):
        read(content.encode(), "prices")


def litellm(**fields: str) -> bytes:
    """Return a list of two models, of which one has these fields as JSON text, one each."""
    text = ", ".join(f'"{name}": {found}' for name, found in fields.items())
    good = '"good": {"litellm_provider": "p", "input_cost_per_token": 1}'
    return f'{{"model": {{"litellm_provider": "p", {text}}}, {good}}}'.encode()


GOOD = ("p", "good", "input", "standard", 0, None, "1")


def test_of_a_field_that_stands_twice_neither_wins() -> None:
    # the last one won in silence
    twice = litellm(input_cost_per_token='1, "output_cost_per_token": 5, "input_cost_per_token": 2')
    parsed = read(twice, "litellm")
    assert quotes(parsed) == [GOOD, ("p", "model", "output", "standard", 0, None, "5")]
    assert reasons(parsed) == [("/model/input_cost_per_token", "not_a_price")]
    assert parsed.rejects["found"].to_list() == ["2 contradicting fields of one name"]


def test_a_record_that_stands_twice_is_read_if_both_say_the_same() -> None:
    one = '"model": {"litellm_provider": "p", "input_cost_per_token": 1}'
    other = one.replace(": 1}", ": 2}")
    assert quotes(read(f"{{{one}, {one}}}".encode(), "litellm")) == [("p", "model", "input", "standard", 0, None, "1")]
    parsed = read(f"{{{one}, {other}, {one}}}".encode(), "litellm")
    assert quotes(parsed) == []
    assert reasons(parsed) == [("/model", "not_an_object")]


def test_a_list_that_stands_twice_is_refused() -> None:
    data = '"data": [{"id": "m", "pricing": {"prompt": "1"}}]'
    with pytest.raises(InputDataError, match='no array "data"'):
        read(f"{{{data}, {data.replace('1', '2')}}}".encode(), "openrouter-models")


def test_an_endless_whole_number_costs_only_its_price() -> None:
    # it took the file with it, or not: the interpreter has a limit of its own that anybody may change
    parsed = read(litellm(input_cost_per_token="9" * 5000, output_cost_per_token="5"), "litellm")
    assert quotes(parsed) == [GOOD, ("p", "model", "output", "standard", 0, None, "5")]
    assert reasons(parsed) == [("/model/input_cost_per_token", "not_a_price")]


def test_the_limits_of_the_interpreter_change_nothing() -> None:
    content = litellm(input_cost_per_token="9" * 2000, output_cost_per_token="9" * 700, a="[" * 60 + "]" * 60)
    before = sys.get_int_max_str_digits()
    found = []
    for digits in (640, 0):
        sys.set_int_max_str_digits(digits)
        found.append(read(content, "litellm").tables())
        sys.set_int_max_str_digits(before)

    def far_below(calls: int) -> None:
        found.append(read(content, "litellm").tables()) if calls == 0 else far_below(calls - 1)

    far_below(600)
    assert all(frame.equals(found[0][table]) for other in found for table, frame in other.items())


@pytest.mark.parametrize(("depth", "refused"), [(62, False), (63, True)])
def test_objects_inside_of_each_other_are_counted(depth: int, refused: bool) -> None:
    content = litellm(a="[" * depth + "]" * depth)
    if refused:
        with pytest.raises(InputDataError, match="nested too deeply"):
            read(content, "litellm")
    else:
        assert quotes(read(content, "litellm")) == [GOOD]


def test_the_name_of_a_field_may_be_long() -> None:
    # the time to match one grew with the square of its length
    content = litellm(**{"cost_per_" * 100_000 + "token": "1", "x" * 10**6: "1"})
    parsed = read(content, "litellm")
    assert quotes(parsed) == [GOOD]
    assert counted(parsed) == {"unknown_field": 2}


def test_tiers_that_are_no_list_are_not_passed_over() -> None:
    parsed = read(litellm(tiered_pricing='{"0": {"input_cost_per_token": 1}}'), "litellm")
    assert reasons(parsed) == [("/model/tiered_pricing", "not_an_array")]
    parsed = read(litellm(tiered_pricing="[7]"), "litellm")
    assert reasons(parsed) == [("/model/tiered_pricing/0", "not_an_object")]
    prices = {"input_mtok": {"base": 1, "tiers": {"start": 5, "price": 2}}}
    provider = {"id": "p", "models": [{"id": "m", "prices": prices, "price_variants": {"prices": {"input_mtok": 3}}}]}
    parsed = read(json.dumps([provider]).encode(), "genai-prices")
    assert reasons(parsed) == [
        ("/0/models/0/price_variants", "not_an_array"),
        ("/0/models/0/prices/input_mtok/tiers", "not_an_array"),
    ]


def test_variants_of_one_tier_are_read_once_each() -> None:
    # every price was looked for in every variant
    variants = [{"when": {"processing": "batch"}, "prices": {f"p{n}": 1, "input_mtok": n}} for n in range(20_000)]
    provider = {"id": "p", "models": [{"id": "m", "prices": {}, "price_variants": variants}]}
    parsed = read(json.dumps([provider]).encode(), "genai-prices")
    assert quotes(parsed) == [("p", "m", "input", "batch", 0, None, "0")]
    assert counted(parsed) == {"superseded_entry": 19_999}


def test_a_broken_line_of_json_costs_only_itself() -> None:
    call = '"type": "GENERATION", "startTime": "2026-06-01T00:00:00Z", "model": "m", "usageDetails": {"input": 7}'
    row = f'{{"id": "%d", {call}}}'
    lines = [row % 1, row.replace("}}", "}") % 2, "[" * 500, row % 3, "7"]
    parsed = read("\n".join([*lines, ""]).encode(), "langfuse-observations")
    assert parsed.volumes.select("tokens", "locator").rows() == [(14, "line 1 and 1 more")]
    assert reasons(parsed) == [("line 2", "not_json"), ("line 3", "not_json"), ("line 5", "not_an_object")]
    with pytest.raises(InputDataError, match="line 1: "):
        read(b'{\n"a": [\n1\n]\n}\n', "langfuse-observations")


def test_what_is_no_span_is_rejected() -> None:
    content = {"resourceSpans": [{"scopeSpans": [{"spans": [7]}, {"spans": 7}]}, 7, {"scopeSpans": {"spans": []}}]}
    assert reasons(read(json.dumps(content).encode(), "otel-genai")) == [
        ("/resourceSpans/0/scopeSpans/0/spans/0", "not_an_object"),
        ("/resourceSpans/0/scopeSpans/1/spans", "not_an_array"),
        ("/resourceSpans/1", "not_an_object"),
        ("/resourceSpans/2/scopeSpans", "not_an_array"),
    ]


def test_a_capture_has_only_so_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    # a reject takes a hundred times the memory of the three bytes that make one
    monkeypatch.setattr(rows, "ROWS_MAX", 5)
    assert counted(read(b"[{},{},{},{},{}]", "genai-prices")) == {"no_provider": 5}
    with pytest.raises(InputDataError, match="more than 5 rows and rejects"):
        read(b"[{},{},{},{},{},{}]", "genai-prices")


# --- archives and Parquet ------------------------------------------------------------------------------------------

PATH = "providers/p/models/{}.toml"
TOML = b"[cost]\ninput = 1\n"


def archive(members: list[tuple[str, bytes]], links: list[tuple[str, str]] | None = None) -> Parsed:
    return read(tarred([(PATH.format("good"), TOML), *members], links or []), "models-dev", file="m.tar.gz")


@pytest.mark.parametrize(
    "content", [b"a." * 100 + b"a = 1\n", b"[" + b"a." * 100 + b"a]\n", b"a = {" + b"b." * 100 + b"b = 1}\n"]
)
def test_a_key_of_many_parts_costs_only_its_file(content: bytes) -> None:
    # sixteen kilobytes of it took a quarter of a gigabyte
    parsed = archive([(PATH.format("bad"), content)])
    assert [quote[1] for quote in quotes(parsed)] == ["good"]
    assert reasons(parsed) == [(PATH.format("bad"), "not_toml")]
    with pytest.raises(InputDataError, match="more than 64 dots"):
        read(b"+++\n" + content + b"+++\na\n1\n", "mapped")


@pytest.mark.parametrize("name", [name for name, _ in toml_of(1)])
def test_hostile_toml_costs_only_its_file(name: str) -> None:
    parsed = archive([(PATH.format("bad"), dict(toml_of(20_000))[name]())])
    assert [quote[1] for quote in quotes(parsed)] == ["good"]


def test_links_are_followed_only_so_far() -> None:
    links = [(PATH.format(0), "good.toml"), *((PATH.format(n + 1), f"{n}.toml") for n in range(60))]
    parsed = archive([], links)
    assert {quote[1] for quote in quotes(parsed)} == {"good", *(str(n) for n in range(40))}
    assert counted(parsed) == {"unresolvable_link": 21}


def test_a_long_name_is_rejected() -> None:
    # the time to match one grew with the square of its length
    parsed = archive([("providers/p/models/" * 20 + "x.toml", TOML)])
    assert [quote[1] for quote in quotes(parsed)] == ["good"]
    assert counted(parsed) == {"oversized_name": 1}
    with pytest.raises(InputDataError, match="a long name has more than 4096 bytes"):
        archive([("providers/p/models/" * 2000, TOML)])


def entry(kind: bytes, content: bytes, *, size: bytes = b"", name: str = PATH.format("x")) -> bytes:
    """Return one entry of a tar file."""
    info = tarfile.TarInfo(name)
    info.size, info.type = len(content), kind
    header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = size or header[124:136]
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + content + b"\0" * (-len(content) % 512)


END = b"\0" * 1024


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (entry(b"x", b"0" * 2000) + END, "an extended header is none"),  # quadratic in the standard library
        (entry(b"x", b"9" * 400 + b" a=b\n") + END, "an extended header is none"),
        (entry(b"x", b"11 size=-1\n") + entry(b"0", TOML) + END, "changes the size"),
        (entry(b"0", TOML, size=b"-0000001000\0") + END, "a number of a header is none"),
        (entry(b"0", TOML, size=b"\xff" * 12) + END, "a number of a header is none"),  # a negative one
        (entry(b"0", TOML, size=b"77777777777\0") + END, "cut short"),
        (entry(b"0", TOML), "it has no end"),
        (entry(b"0", TOML)[:-100], "it has no end|cut short"),
        (entry(b"0", TOML) + END + entry(b"0", TOML), "it goes on after its end"),
        (b"\1" + entry(b"0", TOML)[1:] + END, "does not fit its checksum"),
    ],
)
def test_a_broken_tar_file_is_refused_whole(raw: bytes, found: str) -> None:
    with pytest.raises(InputDataError, match=found):
        read(gzip.compress(raw), "models-dev", file="m.tar.gz")


def test_a_tar_file_in_its_several_forms() -> None:
    long = "providers/p/models/" + "n" * 120 + ".toml"
    raw = b"".join(
        [
            entry(b"g", b"52 comment=0123456789012345678901234567890123456789\n"),
            entry(b"5", b"", name="providers/p/models"),
            entry(b"0", b"", name="providers/p/models/"),
            entry(b"L", long.encode() + b"\0", name="././@LongLink"),
            entry(b"0", TOML),
            entry(b"x", b"%d path=%s\n" % (len(long) + 10, long.replace("n" * 120, "pax").encode().ljust(len(long)))),
            entry(b"0", TOML),
            entry(b"\0", TOML, name=PATH.format("old")),
            entry(b"6", b"", name=PATH.format("pipe")),
            entry(b"0", TOML, name="/" + PATH.format("absolute")),
            entry(b"0", TOML, name="a/../../" + PATH.format("up")),
            END,
        ]
    )
    parsed = read(gzip.compress(raw), "models-dev", file="m.tar.gz")
    assert sorted(quote[1] for quote in quotes(parsed)) == ["absolute", "n" * 120, "old", "up"]
    assert counted(parsed) == {"not_a_file": 1}


@pytest.mark.parametrize("name", ["deflated", "bzip2", "lzma"])
def test_a_zip_file_is_deflated_and_small(name: str) -> None:
    # the other methods allocate the gigabytes that a forged header asks for, and fail in ways of their own
    method = {"deflated": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}[name]
    content = zipped_as({"eurofxref-hist.csv": fixture("eurofxref_hist.csv")}, method)
    if name == "deflated":
        assert read(content, "ecb").rates.height > 0
        content = content.replace(b"PK\x01\x02", b"PK\x01\x02" * 101, 1)
        with pytest.raises(InputDataError, match="more than 100 members"):
            read(content, "ecb")
    else:
        with pytest.raises(InputDataError, match="packed in another way"):
            read(content, "ecb")


def parquet_of(**columns: Any) -> bytes:
    """Return a Parquet file of rates with other columns or cells."""
    frame = read(fixture("rates.csv"), "rates").rates.drop("capture", "locator")
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    size = max(map(len, columns.values()), default=len(table))
    table = table.take(pa.array([0] * size))
    for name, cells in columns.items():
        at = table.column_names.index(name) if name in table.column_names else table.num_columns
        table = table.remove_column(at) if at < table.num_columns else table
        table = table.add_column(at, name, cells)
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd")
    return stream.getvalue()


def test_a_parquet_file_is_measured_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    # 100 kilobytes of one text in every row were ten gigabytes, and the end of the interpreter
    assert read(parquet_of(), "rates").rates.height == 1
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000, pa.int32()), pa.array(["x" * 100_000]))
    with pytest.raises(InputDataError, match="unpacks to more than 268435456 bytes"):
        read(parquet_of(source=text), "rates")
    monkeypatch.setattr(parquet, "UNPACKED_MAX", 10**6)
    with pytest.raises(InputDataError, match="unpacks to more than 1000000 bytes"):
        read(parquet_of(source=pa.array(["x" * 600_000, "y" * 600_000])), "rates")
    with pytest.raises(InputDataError, match="the column 'source' is nested"):
        read(parquet_of(source=pa.array([["x"] * 9])), "rates")
    monkeypatch.setattr(parquet, "ROWS_MAX", 9)
    with pytest.raises(InputDataError, match="more than 9 rows"):
        read(parquet_of(source=pa.array(["x"] * 10)), "rates")


def test_pages_without_sense_are_refused() -> None:
    content = parquet_of()
    first = pq.read_metadata(pa.BufferReader(content)).row_group(0).column(0)
    at = min(first.data_page_offset, first.dictionary_page_offset)
    for header in (b"\x00", b"\x15\x00\x15", b"\x19" * 40, b"\x1c" * 40, b"\x15" + b"\xff" * 40):
        broken = content[:at] + header + content[at + len(header) :]
        with pytest.raises(InputDataError, match="the Parquet file is broken"):
            read(broken, "rates")


def test_any_byte_of_a_parquet_file_may_be_another() -> None:
    # asked where a column lies, Arrow ended the interpreter over a histogram of the wrong size
    content = parquet_of()
    case = Case("rates", content, b"")
    for at in range(len(content)):
        answered(content[:at] + bytes([content[at] ^ (1, 255)[at % 2]]) + content[at + 1 :], case)


def test_days_and_moments_outside_of_the_calendar_are_rejects(capfd: pytest.CaptureFixture[str]) -> None:
    # polars panicked over them
    days = pa.array([-(2**31), -719_163, -719_162, 20_605, 2_932_896, 2_932_897, 2**31 - 1], pa.date32())
    parsed = read(parquet_of(rate_date=days), "rates")
    assert parsed.rates["rate_date"].to_list() == [date(2026, 6, 1)]  # the form reads the years 1000 to 2999
    assert parsed.rejects["reason"].to_list() == ["not_a_date"] * 6
    assert parsed.rejects["found"].to_list() == [
        *("-2147483648", "-719163", "0001-01-01", "9999-12-31", "2932897", "2147483647"),
    ]
    for unit in ("ms", "us", "ns"):
        moments = pa.array([-(2**63), 2**63 - 1, 0], pa.timestamp(unit, "UTC"))
        assert set(counted(read(parquet_of(known_at=moments), "rates"))) <= {"not_a_date", "known_after_capture"}
    assert "panicked" not in capfd.readouterr().err


def test_a_mapping_names_few_words_for_one_thing() -> None:
    # each cell is compared with every one of them
    content = fixture("mapped.txt")
    words = ", ".join(f'"w{n}"' for n in range(101)).encode()
    with pytest.raises(InputDataError, match="a list of 101 words"):
        read(re.sub(rb"(?m)^not_offered = .*$", b"not_offered = [" + words + b"]", content), "mapped")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[" * 65 + "]" * 65, "line 1 column 65"),
        ('{"[[[[": \n' + '["]]", ' * 64 + "0" + "]" * 64 + "}", "line 2 column 442"),
        ('["\\\\\\"[", ' * 65 + "0" + "]" * 65, "line 1 column 641"),
        ('{"a": "\\ud83d\\ude00",\n "b": "\\ud83d"}', "line 2 column 8"),
        ('{"a": "\\ude00"}', "line 1 column 8"),
        ('{"a": "\\ud83d\\ud83d\\ude00"}', "line 1 column 8"),
        ('{"a": "\\ud83d \\ude00"}', "line 1 column 8"),
        ('{"a": "\\\\ud83d\\n\\uD83D\\n"}', "line 1 column 17"),
    ],
)
def test_errors_in_json_say_where(text: str, found: str) -> None:
    with pytest.raises(InputDataError, match=f"{found}; expected"):
        read(text.encode(), "litellm")


def test_whole_characters_in_json_are_read() -> None:
    content = rb'{"a\ud83d\uDE00\\ud83d\u00e9": {"litellm_provider": "p", "input_cost_per_token": 1}}'
    assert read(content, "litellm").observations["model"].to_list() == ["a\U0001f600\\ud83d\u00e9"]


@given(st.text('\\u\ud83d\ude00x"', max_size=6) | st.text(max_size=6))
def test_half_characters_are_found_as_by_looking_at_the_text(text: str) -> None:
    written = json.dumps({text: 1})
    halves = re.search("[\ud800-\udfff]", json.loads(written, object_pairs_hook=lambda pairs: pairs[0][0]))
    assert (reading._half(written) is not None) == (halves is not None)


@pytest.mark.parametrize("zero", ["0e39", "-0e70", "0E-500", "0.000e999", "0" * 500, "0." + "0" * 500])
def test_a_zero_is_zero_whatever_its_exponent(zero: str) -> None:
    # every adapter of prices or rates failed on it, outside of the typed errors
    assert models(prices_csv(ROW.format("m") + f",{zero}")) == {"m": Decimal(0)}
    if not zero.startswith("00"):
        assert quotes(read(litellm(input_cost_per_token=zero), "litellm")) == [
            GOOD,
            ("p", "model", "input", "standard", 0, None, "0"),
        ]
    rates = f"source,base,quote,rate_date,rate,known_at\ns,EUR,USD,2026-06-01,{zero},2026-06-01\n".encode()
    assert counted(read(rates, "rates")) == {"not_a_rate": 1}
