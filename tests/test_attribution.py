"""Contributions add up to the published change, to the last digit, on the sample month."""

from __future__ import annotations

import itertools
from datetime import date, timedelta
from decimal import Decimal

import pytest

import tokenindex as ti
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
