"""The impact of a new version: both versions determined apart, and every difference worked out again in fractions."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl
import pytest

import tokenindex as ti
from tokenindex.documents import load
from tokenindex.errors import DeterminationError
from tokenindex.home import shipped
from tokenindex.impact import Contract, Impact, impact
from tokenindex.paperwork import impact_text

JUNE = [date(2026, 6, 1) + timedelta(days=k) for k in range(30)]
HOME = ti.Home.sample()
INPUTS = HOME.inputs()
MONTH = Contract("JUN26", JUNE[0], JUNE[-1])
SPELL = Contract("first week", JUNE[0], JUNE[6])


def version(*changes: tuple[str, str], index: str = "tix") -> ti.Methodology:
    """Return the shipped document with other entries, as a new version that is in force years later."""
    text = (shipped("methodology") / index / "1.0.0.toml").read_text(encoding="utf-8")
    news = [('version = "1.0.0"', 'version = "2.0.0"'), ("effective_from = 2026", "effective_from = 2029")]
    for old, new in [*news, *changes]:
        assert old in text
        text = text.replace(old, new, 1)
    return load(text.encode(), where="new.toml")


def shipped_version(index: str = "tix") -> ti.Methodology:
    return HOME.methodology(index, JUNE[-1])


def study(
    new: ti.Methodology, *, dates: list[date] = JUNE, contracts: list[Contract] | None = None, index: str = "tix"
) -> Impact:
    named = [MONTH, SPELL] if contracts is None else contracts
    return impact(shipped_version(index), new, INPUTS, dates=dates, known_at=HOME.known_at, contracts=named)


def apart(m: ti.Methodology, dates: list[date] = JUNE) -> dict[date, dict[str, Any]]:
    """Return the fixings of one version, determined by itself from inputs that nobody else used."""
    found = ti.determine(m, HOME.inputs(), dates=dates, known_at=HOME.known_at)
    return {row["fixing_date"]: row for row in found.fixings.iter_rows(named=True)}


def nano(number: Fraction) -> Decimal:
    """Return a fraction rounded half-even to nine decimals."""
    return Decimal(round(number * 10**9)).scaleb(-9)


def mean(numbers: Sequence[Fraction]) -> Decimal:
    return nano(sum(numbers, Fraction(0)) / len(numbers))


CHANGES = {
    "a lower cap": (("model_cap = 0.15", "model_cap = 0.10"),),
    "fewer decimals": (("level_decimals = 4", "level_decimals = 2"), ("price_decimals = 6", "price_decimals = 3")),
    "fewer models": (("max_constituents = 40", "max_constituents = 12"),),
    "another waterfall": (("constituents = 15", "constituents = 41"), ("vendors = 6", "vendors = 13")),
    "nothing": (),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_difference_is_that_of_two_determinations_made_apart(name: str) -> None:
    new = version(*CHANGES[name])
    found = study(new)
    before, after = apart(shipped_version()), apart(new)
    rows = found.dates.rows(named=True)
    assert [row["fixing_date"] for row in rows] == JUNE
    sizes: dict[str, list[Fraction]] = {"price": [], "level": []}
    differ = 0
    for row in rows:
        old_row, new_row = before[row["fixing_date"]], after[row["fixing_date"]]
        for column in ("status", "price", "level"):
            assert (row[f"old_{column}"], row[f"new_{column}"]) == (old_row[column], new_row[column])
        for figure, found_sizes in sizes.items():
            a, b = Fraction(old_row[figure]), Fraction(new_row[figure])
            assert row[f"{figure}_change"] == nano(b / a - 1)
            found_sizes.append(abs(Fraction(row[f"{figure}_change"])))
        same = all(old_row[c] == new_row[c] for c in ("status", "price", "level"))
        assert row["differs"] is not same
        differ += not same
    summary = found.summary
    assert (summary["dates"], summary["differ"]) == (30, differ)
    for figure, numbers in sizes.items():
        told = summary[figure]
        assert told["differ"] == sum(before[day][figure] != after[day][figure] for day in JUNE)
        assert told["largest"] == nano(max(numbers))
        assert told["mean"] == mean(numbers)
        assert told["median"] == nano(statistics.median(numbers))
        assert told["largest_on"] == (JUNE[numbers.index(max(numbers))] if max(numbers) else None)
    levels = [[Fraction(rows[day]["level"]) for day in JUNE] for rows in (before, after)]
    for contract, days in ((MONTH, 30), (SPELL, 7)):
        row = found.contracts.row(by_predicate=pl.col("contract") == contract.name, named=True)
        means = [mean(numbers[:days]) for numbers in levels]
        assert [row["old_price"], row["new_price"]] == means
        assert (row["difference"], row["touched"]) == (means[1] - means[0], means[0] != means[1])
        assert (row["old_dates"], row["new_dates"]) == (days, days)


def test_the_month_under_a_lower_cap_as_worked_out_by_hand() -> None:
    found = study(version(*CHANGES["a lower cap"]))
    day = found.dates.row(by_predicate=pl.col("fixing_date") == date(2026, 6, 25), named=True)
    assert (day["old_level"], day["new_level"]) == (Decimal("967.3913"), Decimal("964.6739"))
    assert day["level_change"] == Decimal("-0.002808998")  # -2.7174 / 967.3913
    # levels: 15 days at 1000, then 3, 6 and 6 days: 29754.7818 / 30 and 29734.3470 / 30
    month, week = found.contracts.rows(named=True)
    assert (month["old_price"], month["new_price"]) == (Decimal("991.82606"), Decimal("991.1449"))
    assert (month["difference"], month["touched"]) == (Decimal("-0.68116"), True)
    assert (week["old_price"], week["difference"], week["touched"]) == (1000, 0, False)
    assert found.summary["touched"] == ["JUN26"]
    assert found.summary["level"] == {
        "differ": 15,
        "largest": Decimal("0.002808998"),
        "largest_on": date(2026, 6, 25),
        "mean": Decimal("0.000731710"),  # (3 · 153915 + 6 · 772597 + 6 · 2808998) / 30 = 731710.5: to the even side
        "median": Decimal("0.000076958"),  # between the 15th, 0, and the 16th, 153915: 76957.5, to the even side
    }
    assert found.keys[0] == ("formula.model_cap", "0.15", "0.10")


def test_weights_that_move_and_models_that_enter_and_leave() -> None:
    new = version(*CHANGES["fewer models"])
    found = study(new)
    sides = [ti.determine(m, INPUTS, dates=JUNE, known_at=HOME.known_at) for m in (shipped_version(), new)]
    weights = [
        {
            (r["fixing_date"], r["constituent"]): Fraction(r["weight"])
            for r in side.constituents.drop_nulls("weight").rows(named=True)
        }
        for side in sides
    ]
    names = [{name for _, name in side} for side in weights]
    assert len(names[0]) > len(names[1]) >= 12
    assert found.summary["entering"] == []
    assert sorted(found.summary["leaving"]) == sorted(names[0] - names[1])

    def move(day: date, name: str) -> Fraction:
        return weights[1].get((day, name), Fraction(0)) - weights[0].get((day, name), Fraction(0))

    for day, moved in found.dates.select("fixing_date", "weight_moved").rows():
        members = {name for side in weights for there, name in side if there == day}
        assert moved == nano(sum((abs(move(day, name)) for name in members), Fraction(0)) / 2)
    assert {row["constituent"] for row in found.constituents.rows(named=True)} == names[0] | names[1]
    for row in found.constituents.iter_rows(named=True):
        name = row["constituent"]
        moves = {day: move(day, name) for day in JUNE}
        largest = max(map(abs, moves.values()))
        first = next(day for day in JUNE if abs(moves[day]) == largest)
        assert (abs(Fraction(row["largest_move"])), row["moved_on"]) == (largest, first if largest else None)
        counts = tuple(sum((day, name) in side for day in JUNE) for side in weights)
        assert (row["old_dates"], row["new_dates"]) == counts
    sizes = [(-abs(size), name) for name, size in found.constituents.select("constituent", "largest_move").rows()]
    assert sizes == sorted(sizes)
    back = impact(new, shipped_version(), INPUTS, dates=JUNE, known_at=HOME.known_at)
    assert back.summary["entering"] == found.summary["leaving"]


def test_a_change_of_words_changes_nothing() -> None:
    found = study(version(("Token price index, all vendors", "Another name")))
    assert found.summary["differ"] == 0
    assert not found.constituents.filter(pl.col("largest_move") != 0).height
    assert found.constituents["moved_on"].null_count() == len(found.constituents)
    assert found.constituents["constituent"].is_sorted()
    assert found.contracts["touched"].to_list() == [False, False]
    assert "0 of 30 dates differ" in impact_text(found)


def test_it_does_not_matter_which_version_is_in_force() -> None:
    same = CHANGES["a lower cap"]
    frames = [study(version(*same, ("from = 2029", f"from = {year}"))).dates for year in (2020, 2026, 2040)]
    assert frames[0].equals(frames[1])
    assert frames[0].equals(frames[2])


def test_a_version_with_other_fixing_dates() -> None:
    """On three dates the new version has no fixing: a contract settles on the dates of each version."""
    new = version(("closed = []", "closed = [2026-06-20, 2026-06-21, 2026-06-27]"))
    found = study(new)
    shut = [date(2026, 6, 20), date(2026, 6, 21), date(2026, 6, 27)]
    rows = found.dates.filter(pl.col("fixing_date").is_in(shut))
    assert rows.select("old_status", "new_status", "new_level", "weight_moved", "differs").rows() == [
        ("determined", None, None, None, True)
    ] * len(shut)
    levels = [Fraction(row["level"]) for row in apart(new, [day for day in JUNE if day not in shut]).values()]
    month = found.contracts.row(0, named=True)
    assert (month["old_dates"], month["new_dates"], len(levels)) == (30, 27, 27)
    assert month["new_price"] == mean(levels)
    assert month["touched"]  # the levels are the same, and the mean is of others


def test_where_there_is_no_figure_there_is_no_difference() -> None:
    days = [date(2026, 5, 30), date(2026, 5, 31), *JUNE[:10]]
    contracts = [
        Contract("before", days[0], days[1]),
        Contract("between", JUNE[0], JUNE[2]),
        Contract("after", JUNE[8], JUNE[9]),
    ]
    found = study(version(("base_date = 2026-06-01", "base_date = 2026-06-08")), dates=days, contracts=contracts)
    rows = {row["fixing_date"]: row for row in found.dates.rows(named=True)}
    assert (rows[days[0]]["old_level"], rows[days[0]]["differs"]) == (None, False)
    assert (rows[JUNE[0]]["old_level"], rows[JUNE[0]]["new_level"], rows[JUNE[0]]["differs"]) == (1000, None, True)
    assert (rows[JUNE[0]]["level_change"], rows[JUNE[0]]["weight_moved"]) == (None, None)
    before, between, after = found.contracts.rows(named=True)
    assert (before["touched"], before["difference"], before["old_price"]) == (None, None, None)
    assert (between["touched"], between["difference"], between["old_price"]) == (True, None, 1000)
    assert (after["touched"], after["difference"]) == (False, 0)
    assert found.summary["touched"] == ["between"]
    nothing = study(version(("base_date = 2026-06-01", "base_date = 2026-06-08")), dates=days[:2], contracts=[])
    assert nothing.summary["level"] == {"differ": 0, "largest": None, "largest_on": None, "mean": None, "median": None}


def test_a_price_that_rounds_to_nothing_has_no_relative_change() -> None:
    new = shipped_version()
    found = impact(
        version(("price_decimals = 6", "price_decimals = 0")), new, INPUTS, dates=JUNE[:1], known_at=HOME.known_at
    )
    row = found.dates.row(0, named=True)
    assert (row["old_price"], row["price_change"], row["differs"]) == (0, None, True)


def test_an_index_without_a_level_settles_on_its_price() -> None:
    new = version(("window_days = 7", "window_days = 14"), index="tix-level")
    found = study(new, index="tix-level", contracts=[MONTH])
    before, after = apart(shipped_version("tix-level")), apart(new)
    assert found.figure == "price"
    row = found.contracts.row(0, named=True)
    assert row["old_price"] == mean([Fraction(before[day]["price"]) for day in JUNE])
    assert row["new_price"] == mean([Fraction(after[day]["price"]) for day in JUNE])
    assert "the mean of the price over" in impact_text(found)


def test_a_basket_that_the_new_version_cannot_form_is_said() -> None:
    found = study(version(("vendor_cap = 0.25", "vendor_cap = 0.05")), contracts=[])
    assert [str(note)[:27] for note in found.new.notes] == [
        "no new basket on 2026-06-01",
        "no new basket on 2026-06-15",
    ]
    text = impact_text(found)
    assert "- version 2.0.0: no new basket on 2026-06-15" in text
    assert "None was named." in text


@pytest.mark.parametrize(
    ("new", "dates", "contracts", "said"),
    [
        (shipped_version("tix-cn"), JUNE, [], "tix in USD and tix-cn in CNY"),
        (version(('currency = "USD"', 'currency = "EUR"')), JUNE, [], "tix in USD and tix in EUR"),
        (version(), [*JUNE, date(2031, 1, 1)], [], "2031-01-01 is outside"),
        (version(), [], [], "no dates were asked for"),
        (version(), JUNE, [Contract("JUL26", JUNE[5], date(2026, 7, 2))], "JUL26 settles on 2026-07-01"),
        (version(), JUNE, [Contract("x", JUNE[5], JUNE[4])], "x settles on no fixing date"),
    ],
)
def test_what_cannot_be_studied_is_refused(
    new: ti.Methodology, dates: list[date], contracts: list[Contract], said: str
) -> None:
    with pytest.raises(DeterminationError, match=said):
        study(new, dates=dates, contracts=contracts)


def test_the_text_tells_the_study() -> None:
    found = study(version(*CHANGES["a lower cap"]))
    text = impact_text(found)
    assert found.old.methodology.sha256 in text
    assert found.new.methodology.sha256 in text
    assert "| formula.model_cap | 0.15 | 0.10 |" in text
    assert "30 of 30 dates differ" in text
    assert "| level | 15 | 0.002808998 | 2026-06-25 | 0.000731710 | 0.000076958 |" in text
    assert "| JUN26 | 2026-06-01 | 2026-06-30 | 30 | 30 | 991.826060000 | 991.144900000 | -0.681160000 | yes |" in text
    assert "| 0.000000000 | no |" in text
    assert f"and {len(found.constituents) - 31} more" in text
    assert "known at 2026-07-01 00:00Z" in text
    early = impact(found.old.methodology, found.new.methodology, INPUTS, dates=JUNE[:1], known_at=None)
    assert "known at the cut-off of each date" in impact_text(early)
