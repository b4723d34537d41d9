"""Contributions add up to the published change, to the last digit, on the sample month."""

from __future__ import annotations

import itertools
from datetime import date, timedelta
from decimal import Decimal

import polars as pl
import pytest

import tokenindex as ti
from tokenindex.attribution import EFFECTS
from tokenindex.errors import DeterminationError

JUNE = [date(2026, 6, 1) + timedelta(days=k) for k in range(30)]
HOME = ti.Home.sample()
INPUTS = HOME.inputs()


@pytest.mark.parametrize(
    ("index", "column"), [("tix", "level"), ("tix-cn", "level"), ("tix-level", "price"), ("tix.output", "level")]
)
def test_contributions_sum_to_the_published_change(index: str, column: str) -> None:
    found = ti.determine(HOME.methodology(index, JUNE[-1]), INPUTS, dates=JUNE, known_at=HOME.known_at)
    moved = 0
    for start, end in itertools.pairwise(JUNE):
        frame = ti.contributions(found, start=start, end=end)
        change = found.fixing(end)[column] - found.fixing(start)[column]
        assert sum(frame["contribution"], Decimal(0)) == change
        rounding = frame.filter(frame["constituent"] == "(rounding)")["contribution"].item()
        assert abs(rounding) <= Decimal("0.0002")
        moved += change != 0
    assert moved >= 3


def test_a_basket_index_moves_by_price_alone_while_its_members_stay() -> None:
    found = ti.determine(HOME.methodology("tix", JUNE[-1]), INPUTS, dates=JUNE, known_at=HOME.known_at)
    frame = ti.contributions(found, start=date(2026, 6, 24), end=date(2026, 6, 25))
    members = frame.filter(frame["constituent"] != "(rounding)")
    assert members["price_effect"].sum() < 0
    assert not (members["mix_effect"] != 0).any()


def test_a_rebalance_between_the_dates_is_refused() -> None:
    found = ti.determine(HOME.methodology("tix", JUNE[-1]), INPUTS, dates=JUNE, known_at=HOME.known_at)
    with pytest.raises(DeterminationError, match="2026-06-15"):
        ti.contributions(found, start=date(2026, 6, 14), end=date(2026, 6, 16))


def test_a_date_without_a_figure_is_refused() -> None:
    days = [date(2026, 5, 31), date(2026, 6, 1)]
    found = ti.determine(HOME.methodology("tix", JUNE[-1]), INPUTS, dates=days, known_at=HOME.known_at)
    with pytest.raises(DeterminationError, match="2026-05-31"):
        ti.contributions(found, start=days[0], end=days[1])


def test_exchange_rates_are_told_from_prices() -> None:
    """On 11 June no list price of a Chinese model moved; the yuan did, and every price in dollars moved by it."""
    found = ti.determine(HOME.methodology("tix-cn", JUNE[-1]), INPUTS, dates=JUNE, known_at=HOME.known_at)
    start, end = date(2026, 6, 10), date(2026, 6, 11)
    frame = ti.contributions(found, start=start, end=end)
    members = frame.filter(frame["constituent"] != "(rounding)")
    assert (members["price_effect"] == 0).all()
    assert members["fx_effect"].sum() == pytest.approx(Decimal("1.3271"), abs=Decimal("0.0001"))
    weighed = found.constituents_on(end).drop_nulls("weight")
    carried = weighed.filter(pl.col("used_date") < end)["constituent"].to_list()
    assert "qwen/qwen3.5-397b-a17b" in carried  # its price is of a day before, in the yuan of then
    assert sorted(members.filter(pl.col("fx_effect") == 0)["constituent"]) == sorted(carried)
    dollars = {day: found.observations_on(day).filter(pl.col("currency") == "USD") for day in (start, end)}
    change = dollars[end]["rate"].drop_nulls()[0] / dollars[start]["rate"].drop_nulls()[0]
    prices = [
        found.constituents_on(day).filter(constituent="moonshotai/kimi-k2.6")["used_price"][0] for day in (start, end)
    ]
    assert prices[1] / prices[0] == pytest.approx(change, abs=Decimal("1e-7"))


def test_vendors_add_up_to_what_their_constituents_do() -> None:
    found = ti.determine(HOME.methodology("tix-level", JUNE[-1]), INPUTS, dates=JUNE, known_at=HOME.known_at)
    start, end = date(2026, 6, 2), date(2026, 6, 3)
    alone, together = (ti.contributions(found, start=start, end=end, by=by) for by in ("constituent", "vendor"))
    sums = alone.filter(alone["vendor"] != "").group_by("vendor").agg(pl.col(EFFECTS).sum())
    assert sums.sort("vendor").equals(
        together.filter(together["vendor"] != "(rounding)").select(sums.columns).sort("vendor")
    )
    assert (alone["entry_effect"].sum(), alone["exit_effect"].sum()) == (Decimal("0.000010525"), Decimal("0.000287879"))
    entered = alone.filter(alone["entry_effect"] != 0)
    assert (entered.select("price_effect", "mix_effect", "exit_effect") == 0).to_numpy().all()


def test_contributions_by_something_else_are_refused() -> None:
    found = ti.determine(HOME.methodology("tix", JUNE[-1]), INPUTS, dates=JUNE[:2], known_at=HOME.known_at)
    with pytest.raises(DeterminationError, match="by 'host'"):
        ti.contributions(found, start=JUNE[0], end=JUNE[1], by="host")


def test_a_new_blend_is_told_from_prices() -> None:
    """On the day on which another workload takes over, with the same prices, all that moves the mean is the blend."""
    old = HOME.methodology("tix-level", JUNE[-1])
    text = old.text.replace(b"output = 32 }", b"output = 100 }", 1)
    assert text != old.text
    new = ti.load(text, where="new")
    start, end = date(2026, 6, 10), date(2026, 6, 11)
    was, now = (ti.determine(m, INPUTS, dates=[start, end], known_at=HOME.known_at) for m in (old, new))
    frame = ti.contributions(now, start=start, end=end, before=was)
    change = now.fixing(end)["price"] - was.fixing(start)["price"]
    assert sum(frame["contribution"], Decimal(0)) == change
    # by hand for one constituent: its tokens of the end, times what the new blend makes of its prices of the start
    name = "anthropic/claude-haiku-4.5"
    (row,) = frame.filter(constituent=name).to_dicts()
    parts = {
        r["component"]: (r["parts"], r["price"]) for r in was.elementary_on(start).filter(constituent=name).to_dicts()
    }
    cost = sum(n * p for n, p in parts.values())
    before = cost / 1000
    after = (cost + 68 * parts["output"][1]) / 1068
    used = now.constituents_on(end).drop_nulls("quantity").filter(pl.col("used_price").is_not_null())
    share = used.filter(constituent=name)["quantity"][0] / used["quantity"].sum()
    assert float(row["blend_effect"]) == pytest.approx(float(after - before) * float(share), rel=1e-6)
    same = ti.contributions(was, start=start, end=end)
    assert (same["blend_effect"] == 0).all()


def test_a_basket_is_not_compared_over_a_change_of_its_document() -> None:
    found = ti.determine(HOME.methodology("tix", JUNE[-1]), INPUTS, dates=JUNE, known_at=HOME.known_at)
    with pytest.raises(DeterminationError, match="basket"):
        ti.contributions(found, start=date(2026, 6, 24), end=date(2026, 6, 25), before=found)
