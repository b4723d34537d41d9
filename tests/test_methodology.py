"""Methodology documents: what is wrong in one is named, and what is in force is frozen."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tokenindex.documents import load
from tokenindex.errors import DeterminationError, MethodologyError
from tokenindex.home import shipped
from tokenindex.methodology import differences, in_force

TIX = (shipped("methodology") / "tix" / "1.0.0.toml").read_bytes()
FROZEN = {
    "anthropic-output/1.0.0": "d967918f27ab4795a8d39f078d7c7dc4c3cff60ba31b79899701e1c4fc8b2826",
    "tix/1.0.0": "05657b6904ce1f57aaba271e47a9b23781dd687c2ac3a7a7cb17d0633954fedd",
    "tix-cn/1.0.0": "2b7991c3c8cb2b4a0da328932bc21c99f00a90acc148a9bdbe132306ba766c8c",
    "tix-level/1.0.0": "d1e5b917b1db708660d237ad6b84bf7338e241066c298d398873f288da6e7a26",
}


def test_documents_in_force_are_frozen() -> None:
    folder = shipped("methodology")
    found = {f"{p.parent.name}/{p.stem}": load(p.read_bytes(), where=p.name).sha256 for p in folder.glob("*/*.toml")}
    assert found == FROZEN


def test_the_prose_holds_no_number_of_the_document() -> None:
    for path in shipped("methodology").glob("*/README.md"):
        digits = [word for word in path.read_text(encoding="utf-8").split() if any(c.isdigit() for c in word)]
        assert not digits, path


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"agreement = 0.02", b"agrement = 0.02", ["[consolidation]", "'agrement'", "did you mean 'agreement'"]),
        (b'rule = "robust_z"', b'rule = "robustz"', ["[[outliers]] 3", "'robustz'", "did you mean 'robust_z'"]),
        (b'rule = "robust_z"\n', b"", ["no rule is named", "fixed_cutoff"]),
        (b"notional = 10_000_000", b"", ["[formula]", "missing notional", "no defaults"]),
        (b"tier = 3", b'tier = "3"', ["prices 6 tier", "'3' is a str"]),
        (b"tier = 3", b"tier = 4", ["tier"]),
        (b"tokens = 8_000", b"tokens = 8_000\nfoo = 1", ["unknown key 'foo'", "only tokens"]),
        (b"tokens = 8_000", b"tokens = true", ["True is a bool"]),
        (b"tokens = 8_000", b"tokens = 40_000", ["[[workloads]] chat", "prompts", "shortest first"]),
        (b"tokens = 8_000", b"tokens = 0", ["prompts", "lengths of 1"]),
        (b"cache_read = 155", b"cache_read = -155", ["parts", "whole numbers"]),
        (b"output = 522", b"outputs = 522", ["parts", "whole numbers"]),
        (b"tokens = 8_000", b"tokens = 7_919", ["common multiple"]),
        (b"[formula]", b"[formular]", ["unknown key 'formular'", "did you mean 'formula'"]),
        (b'currency = "USD"', b'currency = "XXX"', ["currency"]),
        (b"weekdays = [1, 2, 3, 4, 5, 6, 7]", b"weekdays = [0]", ["[calendar]", "weekdays"]),
        (b'cut_off = "16:00"', b'cut_off = "25:00"', ["cut_off"]),
        (b'offset = "+00:00"', b'offset = "UTC"', ["offset"]),
        (b"base_date = 2026-06-01", b"base_date = 2031-06-01", ["base_date", "outside the calendar"]),
        (b"announce_dates = 3", b"announce_dates = 400", ["base_date", "announced before the calendar opens"]),
        (b"model_cap = 0.15", b"model_cap = 1.5", ["caps"]),
        (b"model_cap = 0.15", b"model_cap = 0.1500000001", ["decimals"]),
        (b"floor = 0.10", b"floor = 0", ["floor"]),
        (b"min_days = 7", b"min_days = 29", ["min_days"]),
        (b"input = 242", b"inptu = 242", ["mix"]),
        (b"price_decimals = 6", b"price_decimals = 10", ["price_decimals"]),
        (b"vintages = { final = 0 }", b"vintages = { first = 0 }", ["vintages", "final last"]),
        (b"vintages = { final = 0 }", b"vintages = { provisional = 24, final = 0 }", ["vintages", "each more than"]),
        (b"window_hours = 4", b"window_hours = -1", ["window_hours"]),
        (b"threshold = 0.0001", b"threshold = 1", ["threshold"]),
        (b"approvers = 2", b"approvers = 1", ["approvers", "nobody restates alone"]),
        (b'allowed = ["release", "hold"]', b'allowed = ["invent"]', ["[judgment] allowed", "release, hold"]),
        (
            b'rule = "no_fixing"\nstatus = "not_determined"',
            b'rule = "carry_forward"\nstatus = "x"\nmax_dates = 1',
            ["no_fixing"],
        ),
        (
            b'source = "litellm"\nhosts = ["host"]\ntier = 2',
            b'source = "litellm"\nhosts = ["vendor"]\ntier = 2',
            ["two tiers"],
        ),
        (b"[identity]", b"[identity", ["TOML"]),
        (b'rule = "robust_z"', b'rule = ["robust_z"]', ["unknown rule ['robust_z']"]),
        (b"input = 242", b"input = 1000000000001", ["mix", "10**12"]),
        (b"tolerance = 0.02", b"tolerance = 1e-999999999", ["tolerance", "out of range"]),
        (b"base_level = 1000", b"base_level = 1_000_001", ["base_level"]),
        (b'index = "tix"', b'index = "tix:agentic"', ["[identity] index", "names a workload"]),
        (b'index = "tix"', b'index = "../tix"', ["[identity] index"]),
        (b'cut_off = "16:00"', b'cut_off = "16:00+09:00"', ["cut_off", "HH:MM"]),  # the zone is the offset's
    ],
)
def test_a_wrong_document_is_refused_and_the_place_is_named(old: bytes, new: bytes, words: list[str]) -> None:
    assert old in TIX
    with pytest.raises(MethodologyError) as caught:
        load(TIX.replace(old, new, 1), where="tix/1.0.0.toml")
    assert "tix/1.0.0.toml" in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_bytes_that_are_not_text_are_refused() -> None:
    with pytest.raises(MethodologyError, match="UTF-8"):
        load(b"\xff\xfe", where="x.toml")


@pytest.mark.parametrize(("index", "said"), [("tix:", "no workload ''"), ("tix.", "no component ''")])
def test_a_name_that_stops_short_is_refused(index: str, said: str) -> None:
    with pytest.raises(MethodologyError, match=said):
        load(TIX, where="x").named(index)


def test_a_comment_changes_the_bytes_and_not_the_meaning() -> None:
    plain, commented = load(TIX, where="a"), load(b"# a word\n" + TIX, where="b")
    assert plain.sha256 != commented.sha256
    assert plain.meaning == commented.meaning
    assert differences(plain, commented) == []


def test_differences_name_every_key() -> None:
    other = load(TIX.replace(b"model_cap = 0.15", b"model_cap = 0.20"), where="b")
    assert differences(load(TIX, where="a"), other) == [("formula.model_cap", "0.15", "0.20")]


def test_a_component_index_needs_no_second_document() -> None:
    tix = load(TIX, where="a")
    output, cached = tix.for_component("output"), tix.for_component("cache_read")
    assert output.index == "tix.output"
    assert (output.workload.mix, output.workload.instead) == ({"output": 1}, {})
    assert (cached.workload.mix, cached.workload.instead) == ({"cache_read": 1}, {"cache_read": "input"})
    assert output.sha256 == tix.sha256
    with pytest.raises(MethodologyError, match="input, cache_read, output"):
        tix.for_component("cache_write")


def test_the_version_in_force_is_the_latest_that_has_begun() -> None:
    first = load(TIX, where="a")
    later = replace(first.identity, version="1.1.0", effective_from=date(2026, 9, 1))
    second = replace(first, identity=later, sha256="2" * 64)
    assert in_force([second, first], index="tix", day=date(2026, 8, 31)) is first
    assert in_force([first, load(TIX, where="a copy")], index="tix", day=date(2026, 6, 1)).sha256 == first.sha256
    assert in_force([second, first], index="tix", day=date(2026, 9, 1)) is second
    assert in_force([second, first], index="tix.output", day=date(2026, 9, 1)).index == "tix.output"
    with pytest.raises(MethodologyError, match="2026-06-01"):
        in_force([first], index="tix", day=date(2026, 5, 31))
    with pytest.raises(MethodologyError, match="one of tix"):
        in_force([first], index="tixx", day=date(2026, 6, 1))
    with pytest.raises(MethodologyError, match=r"1\.0\.0, 1\.1\.0 are both in force"):
        twice = replace(second, identity=replace(second.identity, effective_from=first.identity.effective_from))
        in_force([first, twice], index="tix", day=date(2026, 7, 1))


def test_a_calendar_refuses_dates_past_its_end() -> None:
    calendar = load(TIX, where="a").calendar
    assert calendar.between(date(2026, 6, 29), date(2026, 7, 1)) == [
        date(2026, 6, 29),
        date(2026, 6, 30),
        date(2026, 7, 1),
    ]
    for day in (date(2028, 1, 1), date(2025, 5, 31)):
        with pytest.raises(DeterminationError, match="outside the calendar"):
            calendar.number(day)
    weekdays = replace(calendar, weekdays=(1, 2, 3, 4, 5), closed=(date(2026, 6, 29),))
    assert weekdays.on_or_after(date(2026, 6, 27)) == date(2026, 6, 30)
    with pytest.raises(DeterminationError, match="not a fixing date"):
        weekdays.number(date(2026, 6, 28))


def test_shipped_documents_stand_where_their_names_say() -> None:
    for path in Path(shipped("methodology")).glob("*/*.toml"):
        found = load(path.read_bytes(), where=path.name)
        assert (found.identity.index, found.version) == (path.parent.name, path.stem)
