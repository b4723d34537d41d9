"""Writes fixings.csv: the sample month by the second implementation, which shares no code with the library.

Only what the guards hold back is given to it by the library: guards are tested by cases of their own.

python tests/golden/make.py
"""

from __future__ import annotations

import csv
import sys
import tomllib
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

TESTS = Path(__file__).parent.parent
sys.path.insert(0, str(TESTS))

from reference import Reference  # noqa: E402
from test_reference import library_holds, library_inputs, sample_rows  # noqa: E402

from tokenindex.documents import load  # noqa: E402

INDICES = ("tix", "tix.input", "tix.cache_read", "tix.output", "tix:agentic", "tix-level", "tix-cn", "anthropic-output")
COLUMNS = ("index", "fixing_date", "status", "price", "level", "constituents", "vendors", "coverage", "volume")


def main() -> None:
    """Determine every index on every date of June 2026, from the sample data alone."""
    rows, moment = sample_rows(), datetime(2026, 7, 1, tzinfo=UTC)
    inputs, days = library_inputs(rows), [date(2026, 6, 1 + k) for k in range(30)]
    with (TESTS / "golden" / "fixings.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for index in INDICES:
            whole, _, component = index.partition(".")
            name, _, workload = whole.partition(":")
            text = (TESTS.parent / "methodology" / name / "1.0.0.toml").read_text(encoding="utf-8")
            document = tomllib.loads(text, parse_float=Decimal)
            held = library_holds(load(text.encode(), where=name), inputs, days, moment)
            reference = Reference(document, rows, moment, component, workload=workload, holds=held)
            for day in days:
                fixing = reference.fixing(day)
                money = {k: _money(fixing[k]) for k in ("price", "level", "coverage")}
                plain = {k: fixing[k] for k in ("status", "constituents", "vendors", "volume")}
                row = {"index": index, "fixing_date": day.isoformat(), **plain, **money}
                table.writerow([row[column] for column in COLUMNS])
            print(index, file=sys.stderr)


def _money(nano: int | None) -> str:
    return "" if nano is None else f"{Decimal(nano).scaleb(-9):.9f}"


if __name__ == "__main__":
    main()
