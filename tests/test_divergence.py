"""The worked example: in June 2026 a million tokens became 11% cheaper and prices fell by 3 to 7%; the rest was the mix."""

from __future__ import annotations

import itertools
import math
from datetime import date, timedelta
from decimal import Decimal

import pytest

import tokenindex as ti
from tokenindex.divergence import divergence
from tokenindex.errors import DeterminationError

JUNE = [date(2026, 6, 1) + timedelta(days=k) for k in range(30)]
HOME = ti.Home.sample()
INPUTS = HOME.inputs()


def determined(index: str, dates: list[date]) -> ti.Determination:
    return ti.determine(HOME.methodology(index, JUNE[-1]), INPUTS, dates=dates, known_at=HOME.known_at)


def test_level_and_indices_of_june() -> None:
    level = determined("tix-level", JUNE)
    found = divergence(basket=determined("tix", JUNE), level=level)
    last = found.frame.row(-1, named=True)
    assert last["basket"] == pytest.approx(0.9673913, abs=1e-9)
    assert last["level"] == pytest.approx(0.616077 / 0.694849, abs=1e-12)
    assert found.frame.row(0)[1:] == (1.0, 1.0, 1.0, 1.0)
    # Fisher once more, by loops over the published table
    books: dict[date, dict[str, tuple[float, int]]] = {day: {} for day in JUNE}
    for row in level.constituents.iter_rows(named=True):
        if row["used_price"] is not None and row["tokens"]:
            books[row["fixing_date"]][row["constituent"]] = (float(row["used_price"]), row["tokens"])

    def fisher(start: date, end: date) -> float:
        both = [(books[start][name], books[end][name]) for name in books[start].keys() & books[end].keys()]
        laspeyres = math.fsum(q * p1 for (_, q), (p1, _) in both) / math.fsum(q * p0 for (p0, q), _ in both)
        paasche = math.fsum(q * p1 for _, (p1, q) in both) / math.fsum(q * p0 for (p0, _), (_, q) in both)
        return math.sqrt(laspeyres * paasche)

    chain = math.prod(fisher(*pair) for pair in itertools.pairwise(JUNE))
    assert last["matched"] == pytest.approx(chain, rel=1e-12)
    assert found.chain_drift == pytest.approx(chain / fisher(JUNE[0], JUNE[-1]), rel=1e-12)
    assert (round(last["matched"], 4), round(last["multilateral"], 4), round(found.chain_drift, 4)) == (
        0.9341,
        0.9311,
        0.98,
    )


def test_the_fall_of_the_level_by_cause() -> None:
    """Day by day the effects add up to the change of the published price, to the last digit."""
    level = determined("tix-level", JUNE)
    parts = dict.fromkeys(("price_effect", "fx_effect", "mix_effect", "entry_effect", "exit_effect"), Decimal(0))
    for start, end in itertools.pairwise(JUNE):
        frame = ti.contributions(level, start=start, end=end, by="vendor")
        for name in parts:
            parts[name] += sum(frame[name], Decimal(0))
    change = level.fixing(JUNE[-1])["price"] - level.fixing(JUNE[0])["price"]
    assert sum(parts.values()) == change == Decimal("-0.078772000")
    shown = ["-0.043794151", "0", "-0.027869076", "-0.007237548", "0.000128775"]  # as the README says
    assert list(parts.values()) == list(map(Decimal, shown))


def test_series_of_the_wrong_kind_or_too_short_are_refused() -> None:
    tix, level = determined("tix", JUNE[:2]), determined("tix-level", JUNE[:2])
    with pytest.raises(DeterminationError, match="cannot be set against"):
        divergence(basket=level, level=tix)
    with pytest.raises(DeterminationError, match="fewer than two"):
        divergence(basket=determined("tix", JUNE[:1]), level=level)
