"""Records and their verification: the same bytes from every honest run, and no dishonest byte that passes."""

from __future__ import annotations

import copy
import functools
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import DAY, made, relist
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenindex import verification
from tokenindex.adapters import Capture, Parsed, adapter
from tokenindex.determination import determine
from tokenindex.errors import InputDataError, VerificationError
from tokenindex.home import Home, shipped
from tokenindex.inputs import Inputs
from tokenindex.records import Record, canonical, canonical_table, record
from tokenindex.tables import Column, Table
from tokenindex.verification import TABLES, Evidence, Step, verify

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def evidence(sample: Home) -> Evidence:
    """The evidence of the sample."""
    return sample.evidence()


@pytest.fixture(scope="module")
def repeated(inputs: Inputs) -> dict[str, Any]:
    """Parsing and determination that do each thing once: the steps under test are the comparisons."""
    parse = functools.cache(lambda name, capture, content: adapter(name).parse(content, capture))
    found: dict[Any, Any] = {}

    def sizes(tables: Inputs) -> list[int]:
        return [len(getattr(tables, name)) for name in ("observations", "volumes", "sightings", "rates")]

    def parsed(name: str) -> Any:
        return replace(adapter(name), parse=lambda content, capture: parse(name, capture, content))

    def determined(methodology: Any, tables: Inputs, *, dates: list[date], known_at: datetime | None) -> Any:
        if sizes(tables) != sizes(inputs):
            return determine(methodology, tables, dates=dates, known_at=known_at)
        key = (methodology.sha256, methodology.component, tuple(dates), known_at)
        if key not in found:
            found[key] = determine(methodology, tables, dates=dates, known_at=known_at)
        return found[key]

    return {"adapter": parsed, "determine": determined}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, repeated: dict[str, Any]) -> None:
    """Verify without doing the same again."""
    for name, function in repeated.items():
        monkeypatch.setattr(verification, name, function)


def refused(content: bytes, evidence: Evidence, *, digest: str | None = None) -> VerificationError:
    """Return the difference that verification finds."""
    with pytest.raises(VerificationError) as found:
        list(verify(content, evidence=evidence, expected_sha256=digest))
    assert found.value.exit_code == 8
    assert found.value.where.startswith("step ")
    return found.value


def step(error: VerificationError) -> int:
    """Return the number of the step that failed."""
    return int(error.where.split()[1].rstrip(","))


def changed(made: Record, change: Change) -> bytes:
    """Return a record with a change, in canonical form."""
    document = copy.deepcopy(made.document)
    change(document)
    return canonical(document)


# a good record ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", ["tix", "tix-cn", "tix-level", "anthropic-output", "tix-cn.output"])
@pytest.mark.parametrize("known_at", ["home", "cut-off"])
def test_a_good_record_passes_in_nine_steps(
    sample: Home, inputs: Inputs, evidence: Evidence, index: str, known_at: str
) -> None:
    moment = sample.known_at if known_at == "home" else None
    found = determine(sample.methodology(index, DAY), inputs, dates=[DAY], known_at=moment)
    good = record(found, DAY, inputs=inputs, captures=sample.captures())
    steps = list(verify(good.content, evidence=evidence, expected_sha256=good.sha256))
    assert [s.number for s in steps] == list(range(1, 10))
    assert [str(s).partition(":")[0] for s in steps] == [f"{s.number}. {s.name}" for s in steps]
    assert all(isinstance(s, Step) and s.found for s in steps)


def test_steps_come_one_by_one(small: Record, evidence: Evidence) -> None:
    other = "1" if small.sha256[0] == "0" else "0"
    steps = verify(small.content, evidence=evidence, expected_sha256=other)
    assert next(steps).number == 1
    with pytest.raises(VerificationError, match="digest"):
        next(steps)


@pytest.mark.parametrize("digits", [1, 8, 64])
def test_a_digest_may_be_given_in_part_and_in_capitals(small: Record, evidence: Evidence, digits: int) -> None:
    steps = verify(small.content, evidence=evidence, expected_sha256=small.sha256[:digits].upper())
    assert [next(steps).number, next(steps).number] == [1, 2]


@pytest.mark.parametrize("digest", ["", " ", "0" * 64, "x", None])
def test_another_digest_is_refused(small: Record, evidence: Evidence, digest: str | None) -> None:
    digest = small.sha256 + "0" if digest is None else digest
    error = refused(small.content, evidence, digest=digest)
    assert step(error) == 2
    assert small.sha256 in error.found


# bytes that are not a record -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"\0" * 20,
        b"record",
        b"[]",
        b"7",
        b"null",
        b'"tokenindex record 1"',
        b"{}",
        b'{"record":"tokenindex record 2"}',
        b'{"record":["tokenindex record 1"]}',
        b'{"record":"tokenindex record 1"}',
        b'{"record":"tokenindex record 1","x":NaN}',
        b'{"record":"tokenindex record 1","x":Infinity}',
        b'{"record":"tokenindex record 1","x":1e999}',
        b'{"record":"tokenindex record 1","x":"\\ud800"}',
        b'{"record":"tokenindex record 1","record":"tokenindex record 1"}',
        b'{"record":"tokenindex record 1","x":' + b"9" * 5000 + b"}",
        b'{"record":"tokenindex record 1","x":' + b"9" * 4000 + b"}",
        b'{"record":"tokenindex record 1","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=range(20),
)
def test_bytes_that_are_not_a_record(evidence: Evidence, content: bytes) -> None:
    assert step(refused(content, evidence)) == 1


def test_nesting_up_to_the_limit_of_the_interpreter(evidence: Evidence) -> None:
    """What can be read can be too deep to be written again."""
    for start, end in (("[", "]"), ('{"a":', "}")):
        for depth in range(700, 1001):
            text = '{"record":"tokenindex record 1","x":' + start * depth + "0" + end * depth + "}"
            assert step(refused(text.encode(), evidence)) == 1


def reordered(document: dict[str, Any]) -> bytes:
    """Return the JSON with its keys backwards."""
    return json.dumps(dict(reversed(document.items())), separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "write",
    [
        lambda r: r.content + b"\n",
        lambda r: b" " + r.content,
        lambda r: b"\xef\xbb\xbf" + r.content,
        lambda r: r.content.decode().encode("utf-16"),
        lambda r: r.content + r.content,
        lambda r: r.content[:-1],
        lambda r: json.dumps(r.document, sort_keys=True).encode(),
        lambda r: json.dumps(r.document, sort_keys=True, indent=2).encode(),
        lambda r: reordered(r.document),
        lambda r: r.content.replace(b'"rung":1', b'"rung":1,"rung":1'),
        lambda r: r.content.replace(b'"rung":1', b'"rung":2,"rung":1'),
        lambda r: r.content.replace(b'"determined"', b'"\\u0064etermined"'),
        lambda r: r.content.replace(b"/", b"\\/"),
        lambda r: r.content.replace(b'"rung":1', b'"rung":1e0'),
        lambda r: r.content.replace(b'"rung":1', b'"rung":01'),
        lambda r: r.content.replace(b'"carried":0', b'"carried":-0'),
    ],
    ids=range(16),
)
def test_another_writing_of_the_same_record_is_refused(
    small: Record, evidence: Evidence, write: Callable[[Record], bytes]
) -> None:
    content = write(small)
    assert content != small.content
    assert step(refused(content, evidence)) == 1


@pytest.mark.parametrize("new", [b"1.0", b"true", b'"1"', b"null"])
def test_values_that_are_equal_to_python_are_not_equal(
    small: Record, evidence: Evidence, new: bytes, quick: None
) -> None:
    """1 == 1.0 == True in Python, and not in a record."""
    error = refused(small.content.replace(b'"rung":1', b'"rung":' + new), evidence)
    assert (step(error), "rung" in error.found) == (9, True)
    assert b',1,"standard",' in small.content or b",1," in small.content
    at = small.content.index(b'"elementary"')
    place = small.content.index(b",1,", at) + 1
    error = refused(small.content[:place] + new + small.content[place + 1 :], evidence)
    assert (step(error), "table elementary, row 1, column" in error.where) == (8, True)


# flipped bytes ---------------------------------------------------------------------------------------------------


def test_a_flipped_byte_anywhere_is_found_by_the_digest(small: Record, evidence: Evidence) -> None:
    for place in range(0, len(small.content), 997):
        content = bytearray(small.content)
        content[place] ^= 1
        assert step(refused(bytes(content), evidence, digest=small.sha256)) in (1, 2)


def test_a_flipped_byte_is_found_without_the_digest(small: Record, evidence: Evidence, quick: None) -> None:
    """But for the version of tokenindex, which a later one may repeat, and a moment when nothing else was known."""
    chance = random.Random(7)
    free = set()
    for key in (b'"tokenindex":"', b'"known_at":"2026-07-01T00:00:00.000000Z","left_out"'):
        start = small.content.index(key)
        free |= set(range(start, start + len(key) + 6))
    places = {chance.randrange(len(small.content)) for _ in range(150)} | set(range(0, 4000, 23))
    for place in sorted(places - free):
        content = bytearray(small.content)
        content[place] ^= chance.choice([1, 2, 32])
        refused(bytes(content), evidence)


def test_another_moment_at_which_the_same_was_known_is_another_good_record(
    small: Record, sample: Home, inputs: Inputs, evidence: Evidence
) -> None:
    """The moment is a choice of who asks, like the date: only the published digest tells the two records apart."""
    moment = datetime(2026, 7, 1, 0, 0, 0, 1, tzinfo=UTC)
    found = determine(sample.methodology("anthropic-output", DAY), inputs, dates=[DAY], known_at=moment)
    other = record(found, DAY, inputs=inputs, captures=sample.captures()).content
    assert other == changed(small, lambda d: d.update(known_at="2026-07-01T00:00:00.000001Z"))
    assert len(list(verify(other, evidence=evidence))) == 9
    assert step(refused(other, evidence, digest=small.sha256)) == 2


def test_another_version_of_the_software_is_named(small: Record, evidence: Evidence, quick: None) -> None:
    def other(document: dict[str, Any]) -> None:
        document["software"]["tokenindex"] = "0.0.9"
        document["software"]["adapters"]["prices"] = "0"

    found = list(verify(changed(small, other), evidence=evidence))[4].found
    assert "made by 0.0.9" in found
    assert "prices 0 -> " in found


# cells, rows and columns -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_a_changed_cell_is_named_by_table_row_and_column(
    chained: Record, evidence: Evidence, table: str, quick: None
) -> None:
    columns, rows = (chained.document[table][key] for key in ("columns", "rows"))
    chance = random.Random(table)
    for column in columns:
        number, k = chance.randrange(len(rows)), columns.index(column)

        def change(document: dict[str, Any], number: int = number, k: int = k, name: str = table) -> None:
            cell = document[name]["rows"][number][k]
            document[name]["rows"][number][k] = {str: lambda: cell + "0", int: lambda: cell + 1}.get(
                type(cell), lambda: "x"
            )()

        error = refused(changed(chained, change), evidence)
        assert error.where == f"step 8, table {table}, row {number + 1}, column {column}"
        assert error.expected == repr(rows[number][k])


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    ("change", "row", "said"),
    [
        (lambda rows: rows.pop(0), 1, ""),
        (lambda rows: rows.pop(), -1, "is missing"),
        (lambda rows: rows.insert(0, rows[-1]), 1, ""),
        (lambda rows: rows.append(rows[-1]), 0, "should not be there"),
        (lambda rows: rows.append(None), 0, "should not be there"),
        (lambda rows: rows.append([]), 0, "should not be there"),
        (lambda rows: rows.reverse(), 1, ""),
        (lambda rows: rows.__setitem__(0, None), 1, "another shape"),
        (lambda rows: rows.__setitem__(0, rows[0][1:]), 1, "another shape"),
        (lambda rows: rows.__setitem__(0, [*rows[0], 1]), 1, "another shape"),
        (lambda rows: rows.__setitem__(0, {"a": 1}), 1, "another shape"),
        (lambda rows: rows.clear(), 1, "is missing"),
    ],
    ids=range(12),
)
def test_rows_that_are_added_removed_or_moved_are_named(
    chained: Record, evidence: Evidence, table: str, change: Any, row: int, said: str, quick: None
) -> None:
    size = len(chained.document[table]["rows"])
    error = refused(changed(chained, lambda document: change(document[table]["rows"])), evidence)
    assert error.where.startswith(f"step 8, table {table}, row {row if row > 0 else size + 1 + row}")
    assert said in error.found


def test_changed_columns_are_named(chained: Record, evidence: Evidence, quick: None) -> None:
    changes: tuple[Change, ...] = (
        lambda t: t["columns"].reverse(),
        lambda t: t["columns"].append("more"),
        lambda t: t.pop("columns"),
        lambda t: t.update(columns=7),
    )
    for table, changing in zip(TABLES, changes, strict=True):
        for change in (changing, changes[0]):
            error = refused(changed(chained, lambda d, c=change, t=table: c(d[t])), evidence)  # type: ignore[misc]
            assert (step(error), f"table {table}" in error.found) == (8, True)


@pytest.mark.parametrize("rows", [None, 7, "rows", {}, True])
def test_rows_of_another_kind(chained: Record, evidence: Evidence, rows: Any, quick: None) -> None:
    assert step(refused(changed(chained, lambda d: d["basket"].update(rows=rows)), evidence)) == 8


def test_every_changed_figure_of_the_fixing_is_named(small: Record, evidence: Evidence, quick: None) -> None:
    for name, figure in small.document["fixing"].items():
        for other in (None, True, "0.000000000", f"{figure}0"):
            if canonical(other) == canonical(figure):
                continue

            def change(document: dict[str, Any], name: str = name, other: Any = other) -> None:
                document["fixing"][name] = other

            error = refused(changed(small, change), evidence)
            assert (step(error), error.found.startswith(name)) == (9, True)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["fixing"].pop("price"),
        lambda d: d["fixing"].update(more=None),
        lambda d: d.update(more=None),
        lambda d: d.update(note=[]),
        lambda d: d["notes"].append("all is well"),
        lambda d: d["left_out"].update(unmapped=10**6),
        lambda d: d["left_out"].update(more=0),
        lambda d: d["basket"].update(more=None),
        lambda d: d.update(version="1.0.1"),
        lambda d: d.update(cut_off="2026-06-25T08:00:00Z"),
        lambda d: d["methodology"].update(meaning="0" * 64),
        lambda d: d["methodology"].update(more=None),
        lambda d: d.pop("notes"),
        lambda d: d.update(fixing_date="20260625"),
        lambda d: d.update(fixing_date="2026-W26-4"),
        lambda d: d.update(known_at="2026-07-01T00:00:00Z"),
    ],
    ids=range(16),
)
def test_every_other_field_is_compared(chained: Record, evidence: Evidence, change: Change, quick: None) -> None:
    assert step(refused(changed(chained, change), evidence)) == 9


# captures, documents, registries ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.append(c[-1]),
        lambda c: c.reverse(),
        lambda c: c[0].pop("name"),
        lambda c: c[0].update(licence="MIT"),
        lambda c: c[0].update(sha256="0" * 64),
        lambda c: c[0].update(sha256=c[0]["sha256"].upper()),
        lambda c: c[0].update(name="other.csv"),
        lambda c: c[0].update(source="other"),
        lambda c: c[0].update(adapter="volumes"),
        lambda c: c[0].update(adapter="nothing"),
        lambda c: c[0].update(known_at="2026-06-01T00:00:00.000000Z"),
        lambda c: c[0].update(seen_at="2026-06-01T00:00:00.000000Z"),
        lambda c: c[0].update(seen_at="2026-07-01T00:00:00"),
        lambda c: c[0].update(seen_at="0001-01-01T00:00:00+14:00"),
        lambda c: c[0].update(seen_at="soon"),
        lambda c: c[0].update(seen_at=7),
        lambda c: c.append("capture"),
        lambda c: c.append(["sha256", "name", "adapter", "source", "seen_at", "known_at"]),
        lambda c: c.append(None),
    ],
    ids=range(19),
)
def test_wrong_facts_of_a_capture_are_refused(small: Record, evidence: Evidence, change: Any) -> None:
    assert step(refused(changed(small, lambda d: change(d["captures"])), evidence)) == 3


def test_a_capture_that_is_left_out_is_missed(small: Record, evidence: Evidence) -> None:
    for number in range(len(small.document["captures"])):
        content = changed(small, lambda d, n=number: d["captures"].pop(n))  # type: ignore[misc]
        try:
            list(verify(content, evidence=evidence))
        except VerificationError:
            continue
        # rates are not asked for where every price is in the currency of the index
        assert small.document["captures"][number]["adapter"] == "rates"


def test_captures_are_what_the_record_says_where_the_evidence_keeps_no_list(small: Record, evidence: Evidence) -> None:
    content = changed(small, lambda d: d["captures"][0].update(name="other.csv"))
    assert refused(content, evidence).found.startswith("name is other.csv")
    bare = replace(evidence, facts=lambda _, __: None)
    assert len(list(verify(content, evidence=bare))) == 9


def test_a_missing_and_a_changed_capture(home: Home, small: Record) -> None:
    capture = small.document["captures"][0]
    path = home.path / "captures" / capture["name"]
    whole = path.read_bytes()
    path.write_bytes(whole[:-2] + b"\n")
    error = refused(small.content, home.evidence())
    assert (step(error), capture["name"] in error.found, error.expected) == (3, True, capture["sha256"])
    path.unlink()
    error = refused(small.content, home.evidence())
    assert (step(error), capture["sha256"] in error.expected, "--home" in error.remedy) == (3, True, True)
    path.write_bytes(whole)
    relist(home, lambda looks: [look for look in looks if look["sha256"] != capture["sha256"]])
    assert step(refused(small.content, home.evidence())) == 3


def stand(home: Home, index: str, version: str, text: bytes) -> None:
    """Put a document into a home."""
    (home.path / "methodology" / index).mkdir(parents=True)
    (home.path / "methodology" / index / f"{version}.toml").write_bytes(text)


def test_another_methodology_digest(small: Record, sample: Home, evidence: Evidence) -> None:
    other = sample.methodology("tix", DAY).sha256
    digests: tuple[Any, ...] = ("0" * 64, other, "", None, 7, [], {"a": 1})
    for digest in digests:
        error = refused(changed(small, lambda d, x=digest: d["methodology"].update(sha256=x)), evidence)  # type: ignore[misc]
        assert step(error) == 4


def test_the_same_version_with_another_number(home: Home, inputs: Inputs) -> None:
    """A document that stands in for the published one, under its version, is refused by who holds the published one."""
    text = (shipped("methodology") / "anthropic-output" / "1.0.0.toml").read_bytes()
    other = text.replace(b"agreement = 0.02", b"agreement = 0.03")
    later = other.replace(b"effective_from = 2026-05-27", b"effective_from = 2026-06-20").replace(
        b"effective_from = 2026-06-01", b"effective_from = 2026-06-20"
    )
    assert text != other != later
    stand(home, "anthropic-output", "1.0.0", later)
    forged = made(home, "anthropic-output", inputs=inputs)
    honest = Home.sample()
    assert len(list(verify(forged.content, evidence=home.evidence()))) == 9
    error = refused(forged.content, honest.evidence())
    assert (step(error), forged.document["methodology"]["sha256"] in error.found) == (4, True)
    error = refused(made(honest, "anthropic-output", inputs=inputs).content, home.evidence())
    assert (step(error), "was in force" in error.found) == (4, True)


@pytest.mark.parametrize("field", ["index", "component", "fixing_date", "known_at", "registry"])
@pytest.mark.parametrize(
    "text", ["", "x", "*", "../tix", "tix", "tix-cn.output", "tix.none", "a\0b", "x" * 5000, "2031-01-01", "0001-01-01"]
)
def test_hostile_names(chained: Record, evidence: Evidence, field: str, text: str, quick: None) -> None:
    if (field, text) != ("component", ""):
        refused(changed(chained, lambda d: d.update({field: text})), evidence)


def test_a_registry_that_is_not_the_one_of_the_record(home: Home, small: Record) -> None:
    path = home.path / "registry.csv"
    path.write_text(path.read_text().replace("anthropic/claude-haiku-4.5", "anthropic/claude-haiku-5"))
    assert step(refused(small.content, Home.open(home.path).evidence())) == 4


def test_bytes_that_the_adapter_refuses_are_a_difference(
    small: Record, evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(content: bytes, capture: Capture) -> Parsed:
        raise InputDataError("not what it was", where="a file")

    monkeypatch.setattr(verification, "adapter", lambda name: replace(adapter(name), parse=refuse))
    assert step(refused(small.content, evidence)) == 6


# anything anywhere -----------------------------------------------------------------------------------------------

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["", "0", "1", "tix", "prices", "2026-06-25", "cut-off", "../x", "\0", "9999-12-31", "x" * 3000])
    | st.sampled_from(["2026-07-01T00:00:00.000000Z", "0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"])
)
JSON_VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every node; of a table, only those of its first and last rows."""
    if path:
        yield path
    if isinstance(node, dict):
        for key, child in node.items():
            yield from places(child, (*path, key))
    elif isinstance(node, list):
        ends = range(len(node)) if len(node) < 30 or path[-1] != "rows" else (0, len(node) - 1)
        for k in ends:
            yield from places(node[k], (*path, k))


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), what=st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
def test_any_value_in_any_place_is_refused(
    small: Record, evidence: Evidence, quick: None, data: st.DataObject, what: str
) -> None:
    document = small.document
    found = list(places(document))
    shallow = [p for p in found if p[0] not in TABLES]
    path = data.draw(st.sampled_from(shallow) | st.sampled_from(found))
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    if what == "replace":
        parent[path[-1]] = data.draw(JSON_VALUES)
    elif what == "remove":
        parent.pop(path[-1])
    elif isinstance(parent, dict):
        parent[data.draw(st.text(max_size=5).filter(lambda key: key not in parent))] = data.draw(JSON_VALUES)
    else:
        parent.insert(path[-1], data.draw(JSON_VALUES))
    try:
        content = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        content = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    if content == small.content:
        return
    try:
        steps = list(verify(content, evidence=evidence))
    except VerificationError as error:
        assert 1 <= step(error) <= 9
        assert str(error)
        return
    # what remains free: the versions of the software, another moment, and a capture of rates that was not needed
    rates = path[0] == "captures" and what == "remove" and len(path) == 2
    assert path in (("software", "tokenindex"), ("software", "adapters", path[-1]), ("known_at",)) or rates, (
        path,
        steps,
    )


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=60) | JSON_VALUES.map(lambda found: json.dumps(found).encode()))
def test_any_bytes_are_refused(evidence: Evidence, content: bytes) -> None:
    assert step(refused(content, evidence)) == 1


# the same bytes from every honest run ----------------------------------------------------------------------------


def test_shuffled_rows_give_the_same_bytes(sample: Home, inputs: Inputs, chained: Record) -> None:
    names = ("observations", "volumes", "sightings", "rates", "registry")
    for seed in range(3):
        shuffled = Inputs(**{n: getattr(inputs, n).sample(fraction=1, shuffle=True, seed=seed) for n in names})
        found = determine(sample.methodology("tix-cn", DAY), shuffled, dates=[DAY], known_at=sample.known_at)
        captures = random.Random(seed).sample(sample.captures(), k=len(sample.captures()))
        assert record(found, DAY, inputs=shuffled, captures=captures).content == chained.content


def test_any_number_of_threads_gives_the_same_bytes(chained: Record) -> None:
    code = (
        "from datetime import date\nfrom tokenindex.home import Home\n"
        "from tokenindex.determination import determine\nfrom tokenindex.records import record\n"
        "import polars\nhome = Home.sample(); inputs = home.inputs(); day = date(2026, 6, 25)\n"
        "found = determine(home.methodology('tix-cn', day), inputs, dates=[day], known_at=home.known_at)\n"
        "print(polars.thread_pool_size(), record(found, day, inputs=inputs, captures=home.captures()).sha256)\n"
    )
    started = {
        n: subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "POLARS_MAX_THREADS": str(n),
                "PYTHONHASHSEED": str(n),
                "TZ": "Asia/Shanghai",
                "LC_ALL": "C",
            },
        )
        for n in (1, 2, 8)
    }
    for n, program in started.items():
        assert program.communicate(timeout=60)[0].split() == [str(n), chained.sha256]


@pytest.mark.parametrize("index", ["tix", "tix-level"])
@pytest.mark.parametrize("known_at", ["home", "cut-off"])
def test_a_date_alone_and_in_a_batch_of_a_year_gives_the_same_bytes(
    sample: Home, inputs: Inputs, index: str, known_at: str
) -> None:
    methodology = sample.methodology(index, DAY)
    moment = sample.known_at if known_at == "home" else None
    year = [date(2025, 7, 1) + timedelta(days=k) for k in range(365)]
    batch = determine(methodology, inputs, dates=year, known_at=moment)
    for day in (year[0], date(2026, 1, 15), date(2026, 6, 1), date(2026, 6, 15), date(2026, 6, 16), DAY, year[-1]):
        alone = determine(methodology, inputs, dates=[day], known_at=moment)
        one, of_many = (
            record(found, day, inputs=inputs, captures=sample.captures()).document for found in (alone, batch)
        )
        assert [key for key in one if one[key] != of_many[key]] == [], day


def test_a_basket_that_is_not_formed_later_is_no_note_of_today(sample: Home, inputs: Inputs) -> None:
    methodology = sample.methodology("tix", DAY)
    bare = replace(inputs, volumes=inputs.volumes.clear())
    days = [date(2026, 6, 1), date(2026, 6, 14), date(2026, 6, 15)]
    batch = determine(methodology, bare, dates=days, known_at=sample.known_at)
    for day, notes in zip(days, (1, 1, 2), strict=True):
        alone = determine(methodology, bare, dates=[day], known_at=sample.known_at)
        one, of_many = (record(found, day, inputs=bare, captures=sample.captures()) for found in (alone, batch))
        assert len(one.document["notes"]) == notes
        assert one.content == of_many.content


def test_the_record_of_a_day_does_not_know_what_came_later(sample: Home, inputs: Inputs) -> None:
    """As first published: rows that became known after the cut-off change no byte."""
    methodology = sample.methodology("tix", DAY)
    cut_off = methodology.calendar.cut_off_at(DAY)
    tables = ("observations", "volumes", "sightings", "rates")
    early = Inputs(
        **{n: getattr(inputs, n).filter(pl.col("known_at") <= cut_off) for n in tables}, registry=inputs.registry
    )
    found = [
        record(
            determine(methodology, tables, dates=[DAY], known_at=None), DAY, inputs=tables, captures=sample.captures()
        )
        for tables in (inputs, early)
    ]
    assert found[0].content == found[1].content


def test_records_hold_no_time_and_no_name_of_this_machine(small: Record, chained: Record) -> None:
    for word in (str(Path.home()), os.uname().nodename, f"{datetime.now(UTC):%Y-%m-%dT%H}"):
        for good in (small, chained):
            assert len(word) < 6 or word.encode() not in good.content


def test_the_canonical_form_is_that_of_another_package(small: Record, chained: Record) -> None:
    rfc8785 = pytest.importorskip("rfc8785")
    for good in (small, chained):
        assert rfc8785.dumps(good.document) == good.content


@settings(max_examples=200)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(max_codepoint=127)), inner),
    )
)
def test_any_canonical_form_is_that_of_another_package(found: Any) -> None:
    rfc8785 = pytest.importorskip("rfc8785")
    try:
        expected = rfc8785.dumps(found)
    except rfc8785.CanonicalizationError:  # half a surrogate pair
        return
    assert canonical(found) == expected


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=9) | st.sampled_from(["", "null", "],[", "\x7f"])


@settings(max_examples=200)
@given(st.lists(st.tuples(st.none() | _TEXT, st.none() | st.booleans(), st.none() | st.integers(-9, 9)), max_size=3))
def test_any_table_is_written_as_by_another_package(rows: list[tuple[str | None, bool | None, int | None]]) -> None:
    rfc8785 = pytest.importorskip("rfc8785")
    types = {"a": pl.String, "b": pl.Boolean, "c": pl.Int64}
    definition = Table("T", tuple(Column(name, dtype, "", "", nullable=True) for name, dtype in types.items()))
    frame = pl.DataFrame(rows, schema=definition.schema, orient="row")
    expected = rfc8785.dumps({"columns": list(types), "rows": [list(row) for row in rows]})
    assert canonical_table(frame, definition) == expected


def test_a_record_shows_itself(small: Record) -> None:
    assert repr(small) == f"<Record anthropic-output 2026-06-25 determined {small.sha256[:16]}>"
