"""One definition gives every schema, and the check at the boundary refuses what does not fit."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from tokenindex.errors import InputDataError
from tokenindex.tables import OBSERVATIONS, REJECTS, SIGHTINGS, TABLES, VOLUMES

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SEEN = {"source": "desk", "seen_at": NOON, "complete": True, "known_at": NOON, "capture": "c", "locator": ""}
VOLUME = {
    "source": "desk",
    "scope": "router",
    "provider": "p",
    "model": "m",
    "component": "total",
    "service_tier": "standard",
    "period_start": NOON.date(),
    "period_end": NOON.date(),
    "tokens": 5,
    "partial": False,
    "known_at": NOON,
    "capture": "c",
    "locator": "line 2",
}


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_units_and_meanings_stand_in_the_arrow_schema(table: object) -> None:
    schema = table.arrow(table.empty()).schema  # type: ignore[attr-defined]
    for column in table.columns:  # type: ignore[attr-defined]
        field = schema.field(column.name)
        assert field.metadata[b"unit"].decode() == column.unit
        assert field.metadata[b"meaning"].decode() == column.meaning
        assert field.nullable == column.nullable


def test_money_and_tokens_are_exact_arrow_types() -> None:
    types = {f.name: str(f.type) for f in VOLUMES.arrow(VOLUMES.empty()).schema}
    assert (types["spend"], types["tokens"]) == ("decimal128(38, 9)", "int64")


def test_good_rows_pass() -> None:
    assert VOLUMES.check(VOLUMES.frame([VOLUME]), where="f").height == 1
    assert SIGHTINGS.check(SIGHTINGS.frame([SEEN]), where="f").height == 1


def test_a_bad_row_is_named_by_file_row_column_and_what_was_found() -> None:
    frame = VOLUMES.frame([VOLUME, {**VOLUME, "tokens": -1, "locator": "line 3"}])
    with pytest.raises(InputDataError) as caught:
        VOLUMES.check(frame, where="volumes.csv")
    for word in ("volumes.csv", "line 3", "column tokens", "-1"):
        assert word in str(caught.value)


def test_the_first_bad_rows_are_shown_and_the_rest_counted() -> None:
    frame = VOLUMES.frame([{**VOLUME, "tokens": -n} for n in range(1, 11)])
    with pytest.raises(InputDataError, match="and 7 more"):
        VOLUMES.check(frame, where="volumes.csv")


def test_a_bad_lazy_frame_is_refused_too() -> None:
    with pytest.raises(InputDataError):
        VOLUMES.check(VOLUMES.frame([{**VOLUME, "tokens": -1}]).lazy(), where="volumes.csv")


def test_missing_columns_and_wrong_types_are_refused() -> None:
    with pytest.raises(InputDataError):
        VOLUMES.check(VOLUMES.frame([VOLUME]).drop("tokens"), where="f")
    with pytest.raises(InputDataError):
        VOLUMES.check(VOLUMES.frame([VOLUME]).with_columns(pl.col("tokens").cast(pl.Float64)), where="f")


def test_conform_orders_types_and_fills_nullable_columns() -> None:
    partial = pl.DataFrame({"reason": ["r"], "locator": ["l"], "found": ["f"], "capture": ["c"]})
    assert REJECTS.conform(partial).columns == [c.name for c in REJECTS.columns]
    assert OBSERVATIONS.conform(OBSERVATIONS.empty().drop("alias_of")).schema == OBSERVATIONS.schema
