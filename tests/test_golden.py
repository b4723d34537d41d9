"""Golden fixings: June 2026 of every shipped index and component, as the second implementation computed it."""

from __future__ import annotations

import csv
from datetime import date
from itertools import groupby
from pathlib import Path

import pytest

import tokenindex as ti

ROWS = list(csv.DictReader((Path(__file__).parent / "golden" / "fixings.csv").read_text(encoding="utf-8").splitlines()))
MONTHS = {index: list(rows) for index, rows in groupby(ROWS, key=lambda row: row["index"])}


@pytest.fixture(scope="module")
def inputs() -> ti.Inputs:
    return ti.Home.sample().inputs()


@pytest.mark.parametrize("index", MONTHS)
def test_every_fixing_of_the_month_is_the_golden_one(index: str, inputs: ti.Inputs) -> None:
    home, days = ti.Home.sample(), [date.fromisoformat(row["fixing_date"]) for row in MONTHS[index]]
    found = ti.determine(home.methodology(index, days[-1]), inputs, dates=days, known_at=home.known_at)
    for row, fixing in zip(MONTHS[index], found.fixings.iter_rows(named=True), strict=True):
        shown = {key: "" if fixing[key] is None else str(fixing[key]) for key in row}
        assert shown == row
    assert len(days) == 30
