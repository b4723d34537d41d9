"""One fixing of one date: what the library costs over a bare join, over plain pandas, and over starting polars.

    python benchmarks/fixing.py [--days 1000] [--constituents 300] [--repeats 20] [--no-cold]

(a) From ready tables, on the shipped sample and on an invented market: `determine` for one date, against a *bare* as-of
join of the quotes to the cut-off with the registry and a median by constituent and component, and against the plain
pandas version (`plain.py`), whose figures must agree within 1e-6. A fixing of a chain-linked index needs every basket
since the base date, so the invented market has three dates: the base date, and dates with 2 and with all rebalances
behind them; *from the eve* goes on from the determination of the date before, whose baskets are there. Plain
pandas is timed for the one date alone, with all its yesterdays given.

(b) From a cold start: `python -m tokenindex.cli fix` as a process, against `python -c "import ..."` of the libraries
that the command really imports.

Targets: (a) within 5 times the bare join, (b) within 1.5 times the imports. Quoted are minima and medians of repeats.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import market
import polars as pl
from plain import Plain, agreement

from tokenindex import Determination, Home, Inputs, determine
from tokenindex.inputs import SELLER
from tokenindex.methodology import Methodology

SAMPLE_DATE = date(2026, 6, 26)
GUARDS = Home.sample().methodology("tix", SAMPLE_DATE).guards
COMMAND = ["-m", "tokenindex.cli", "fix", "tix", "--date", str(SAMPLE_DATE)]
IMPORTED = f"""
import sys, contextlib, io
from tokenindex.cli import main
before = set(sys.modules)
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    main({COMMAND[2:]!r})
files = {{m.partition(".")[0] for m, o in sys.modules.items() if "site-packages" in (getattr(o, "__file__", "") or "")}}
print(*sorted(m for m in files if not m.startswith("_") and m != "tokenindex"))
"""


def timed(call: Callable[[], Any], repeats: int) -> list[float]:
    """Return the seconds of each of `repeats` calls, after one that is not counted."""
    call()
    spent = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    return spent


def bare(inputs: Inputs, moment: datetime) -> pl.DataFrame:
    """Return the median price by constituent and component of the quotes in force at a moment, and nothing else."""
    quotes = inputs.quotes
    wanted = quotes.select(pl.col("quote").unique(), at=pl.lit(moment).cast(quotes.schema["valid_from"])).sort("at")
    # the quotes of the library stand in order of quote and moment
    held = wanted.join_asof(quotes, left_on="at", right_on="valid_from", by="quote", check_sortedness=False)
    mapped = held.join(inputs.registry.select(*SELLER, "constituent"), on=list(SELLER))
    return mapped.group_by("constituent", "component").agg(pl.col("price").cast(pl.Float64).median())


def stepped(inputs: Inputs, m: Methodology, known_at: datetime | None, day: date) -> tuple[Plain, float]:
    """Return the plain version as it stands before `day`, and the seconds that its yesterdays took."""
    plain = Plain(inputs, m, known_at)
    start = time.perf_counter()
    days = m.calendar.lookback([day, *_needed(m, day)], length=m.lookback)
    for before in days[:-1]:
        plain.fix(before)
    return plain, time.perf_counter() - start


def _needed(m: Methodology, day: date) -> list[date]:
    base = date.fromisoformat(str(m.tables["formula"]["base_date"]))
    return m.calendar.between(m.calendar.dates[max(0, m.calendar.number(base) - 3)], day)


def compare(name: str, inputs: Inputs, m: Methodology, known_at: datetime | None, day: date, repeats: int) -> None:
    """Print one row: the library, the bare join and plain pandas on the same date."""
    found = determine(m, inputs, dates=[day], known_at=known_at)

    def fresh(methodology: Methodology, earlier: Determination | None = None) -> Determination:
        inputs.forget()  # every fixing is the first one made from these tables
        return determine(methodology, inputs, dates=[day], known_at=known_at, earlier=earlier)

    ours = timed(lambda: fresh(m), repeats)
    guarded = timed(lambda: fresh(replace(m, guards=GUARDS)), repeats)
    eve = m.calendar.dates[m.calendar.number(day) - 1]
    earlier = determine(m, inputs, dates=[eve], known_at=known_at)
    goes_on = timed(lambda: fresh(m, earlier), repeats)
    join = timed(lambda: bare(inputs, m.calendar.cut_off_at(day)), repeats)
    print(f"plain pandas walks to {day} ...", file=sys.stderr)
    plain, before = stepped(inputs, m, known_at, day)
    figures: dict[str, Any] = {}

    def again() -> None:
        state = copy.copy(plain)
        state.announced = dict(plain.announced)
        figures.update(state.fix(day))

    theirs = timed(again, max(3, repeats // 4))
    gap = agreement(found.fixing(day), figures)
    print(
        f"{name:<26}{found.grid.size:>6}{len(found.baskets):>8}"
        f"{_ms(ours)}{_ms(guarded)}{_ms(goes_on)}{_ms(join)}{min(ours) / min(join):>8.1f}x{min(goes_on) / min(join):>8.1f}x"
        f"{_ms(theirs)}{min(theirs) / min(ours):>8.2f}x{before + min(theirs):>9.1f}"
        f"{(before + min(theirs)) / min(ours):>8.0f}x{gap:>9.0e}"
    )
    if gap > 1e-6:
        raise SystemExit(f"{name}: plain pandas found {figures}, the library {found.fixing(day)}")


def _ms(seconds: Sequence[float]) -> str:
    return f"{min(seconds) * 1e3:>8.1f}/{statistics.median(seconds) * 1e3:<6.1f}"


def one_date(days: int, constituents: int, repeats: int) -> None:
    """Print part (a)."""
    print("(a) one date from ready tables; milliseconds, minimum/median\n")
    print(
        f"{'':<26}{'grid':>6}{'baskets':>8}{'library':>15}{'with guards':>15}{'from the eve':>15}"
        f"{'bare join':>15}{'ratio':>9}{'eve':>9}"
        f"{'pandas, 1 date':>15}{'ratio':>9}{'walk s':>9}{'ratio':>9}{'gap':>9}"
    )
    home = Home.sample()
    inputs = home.inputs()
    tix = replace(home.methodology("tix", SAMPLE_DATE), guards=())  # plain pandas has none
    compare("sample", inputs, tix, home.known_at, SAMPLE_DATE, repeats)
    made, document = market.market(constituents=constituents, days=days), market.documents(days)[0]
    print(f"{made!r}", file=sys.stderr)
    for name, day in (
        ("market, base date", market.base_date()),
        ("market, 2 rebalances", market.base_date() + timedelta(days=min(60, days - 1))),
        ("market, last date", market.fixing_dates(days)[-1]),
    ):
        compare(name, made, document, None, day, repeats)


def process(arguments: Sequence[str]) -> float:
    """Return the seconds that a Python process takes, its modules compiled, as those of a package are."""
    environment = {name: found for name, found in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)
    return time.perf_counter() - start


def cold(repeats: int) -> None:
    """Print part (b); the two kinds of process alternate, so that a busy machine slows both."""
    names = subprocess.run([sys.executable, "-c", IMPORTED], check=True, capture_output=True, text=True).stdout.split()
    rivals = {
        "python -m tokenindex.cli fix": COMMAND,
        f"import {', '.join(names)}": ["-c", f"import {', '.join(names)}"],
    }
    rivals |= {"import polars": ["-c", "import polars"], "python -c pass": ["-c", "pass"]}
    spent: dict[str, list[float]] = {name: [] for name in rivals}
    for name in list(rivals) * (repeats + 1):
        spent[name].append(process(rivals[name]))
    print(f"\n(b) cold start, {repeats} processes each; the command imports: {', '.join(names)}\n")
    print(f"{'':<44}{'min ms':>9}{'median ms':>11}{'command / this':>24}")
    ours = spent["python -m tokenindex.cli fix"][1:]
    for name, times in spent.items():
        least, middle = min(ours) / min(times[1:]), statistics.median(ours) / statistics.median(times[1:])
        ratio = f"min {least:.2f}x  median {middle:.2f}x"
        print(f"{name:<44}{min(times[1:]) * 1e3:>9.0f}{statistics.median(times[1:]) * 1e3:>11.0f}{ratio:>30}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both parts; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=1_000)
    parser.add_argument("--constituents", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--no-cold", action="store_true", help="part (a) only")
    chosen = parser.parse_args(arguments)
    one_date(chosen.days, chosen.constituents, chosen.repeats)
    if not chosen.no_cold:
        cold(chosen.processes)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
