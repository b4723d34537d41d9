"""One fixing of one date: what the library costs over a bare join, over plain pandas, and over starting polars.

    python benchmarks/fixing.py [--archive DATA_DIR] [--days 1000] [--constituents 300] [--repeats 20] [--no-cold]

(a) From ready tables, on the shipped sample, on the archive of real figures and on an invented market: `determine` for
one date without guards, with the guards of `tix`, and for a further date of the same inputs, for which the guards have
held what they hold. Against a *bare* as-of join of the quotes to the cut-off with the registry and a median by constituent
and component: of the tables *as given*, and of *ready* ones, which the library has sorted and numbered.

(b) On the sample and the invented market against the plain pandas version (`plain.py`), whose figures must agree within
1e-6. A fixing of a chain-linked index needs every basket since the base date, so the invented market has three dates: the
base date, and dates with 2 and with all rebalances behind them; *from the eve* goes on from the determination of the date
before, whose baskets are there. Plain pandas is timed for the one date alone, with all its yesterdays given.

(c) From a cold start: `python -m tokenindex.cli fix` as a process, against `python -c "import ..."` of the library that
the command really imports, and of all that the package depends on.

Targets: (a) within 5 times the bare join, (c) within 1.5 times the imports. Quoted are minima of repeats, by the clock and
in processor time: polars sorts and joins on all processors, and works on small tables with one.
"""

from __future__ import annotations

import argparse
import copy
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import market
import polars as pl
from history import built
from plain import Plain, agreement

from tokenindex import Determination, Home, Inputs, determine
from tokenindex.inputs import SELLER
from tokenindex.methodology import Methodology
from tokenindex.rules.guards import Guard
from tokenindex.tables import QUOTE_KEY

SAMPLE_DATE = date(2026, 6, 26)
GUARDS = Home.sample().methodology("tix", SAMPLE_DATE).guards
CORE = ("pandas", "polars", "pyarrow", "scipy.stats", "pandera.polars")
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


class Spent(NamedTuple):
    """The least time of several calls in milliseconds: by the clock, and of all processors together."""

    clock: float
    processor: float

    def over(self, other: Spent) -> str:
        """Return how many times the other this took, by both."""
        return f"{self.clock / other.clock:.1f}x / {self.processor / other.processor:.1f}x"

    def __str__(self) -> str:
        return f"{self.clock:.1f} / {self.processor:.1f}"


def timed(call: Callable[[], Any], repeats: int) -> Spent:
    """Return the least time of `repeats` calls, after one that is not counted."""
    call()
    clock, processor = [], []
    for _ in range(repeats):
        start, begun = time.perf_counter(), time.process_time()
        call()
        clock.append(time.perf_counter() - start)
        processor.append(time.process_time() - begun)
    return Spent(min(clock) * 1e3, min(processor) * 1e3)


def ready(inputs: Inputs, moment: datetime) -> pl.DataFrame:
    """Return the median price by constituent and component of the quotes in force at a moment, and nothing else."""
    quotes = inputs.quotes  # in order of quote and moment
    wanted = quotes.select(pl.col("quote").unique(), at=pl.lit(moment).cast(quotes.schema["valid_from"])).sort("at")
    return _medians(wanted, quotes, ["quote"], inputs)


def given(inputs: Inputs, moment: datetime) -> pl.DataFrame:
    """Return the same from the observations in any order, whose quotes have no numbers."""
    key = list(QUOTE_KEY)
    quotes = inputs.observations.select(*key, "valid_from", "price").sort("valid_from")
    wanted = quotes.select(key).unique().with_columns(at=pl.lit(moment).cast(quotes.schema["valid_from"])).sort("at")
    return _medians(wanted, quotes, key, inputs)


def _medians(wanted: pl.DataFrame, quotes: pl.DataFrame, key: list[str], inputs: Inputs) -> pl.DataFrame:
    held = wanted.join_asof(quotes, left_on="at", right_on="valid_from", by=key, check_sortedness=False)
    mapped = held.join(inputs.registry.select(*SELLER, "constituent"), on=list(SELLER))
    return mapped.group_by("constituent", "component").agg(pl.col("price").cast(pl.Float64).median())


def against_joins(
    name: str, inputs: Inputs, m: Methodology, known_at: datetime | None, day: date, repeats: int
) -> None:
    """Print one row of part (a)."""

    def fixing(guards: Sequence[Guard], *, first: bool) -> Spent:
        def call() -> None:
            held = {key: found for key, found in inputs._kept.items() if isinstance(key, tuple) and key[0] == "holds"}
            inputs.forget()  # every fixing is the first one of its date
            inputs._kept.update({} if first else held)
            determine(replace(m, guards=tuple(guards)), inputs, dates=[day], known_at=known_at)

        return timed(call, repeats)

    bare = [timed(partial(call, inputs, m.calendar.cut_off_at(day)), repeats) for call in (given, ready)]
    ours = [fixing((), first=True), fixing(GUARDS, first=True), fixing(GUARDS, first=False)]
    print(f"{name} ({len(inputs.observations):,} observations)")
    for what, spent in zip(("as given", "ready"), bare, strict=True):
        print(f"  as-of join and medians, tables {what:<20}{spent!s:>16}")
    for what, spent in zip(("without guards", "with 13 guards", "with 13 guards, a further date"), ours, strict=True):
        print(f"  library {what:<43}{spent!s:>16}   {spent.over(bare[0]):>15} as given{spent.over(bare[1]):>18} ready")


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


def against_pandas(
    name: str, inputs: Inputs, m: Methodology, known_at: datetime | None, day: date, repeats: int
) -> None:
    """Print one row of part (b)."""
    found = determine(m, inputs, dates=[day], known_at=known_at)

    def fresh(earlier: Determination | None = None) -> Determination:
        inputs.forget()  # every fixing is the first one made from these tables
        return determine(m, inputs, dates=[day], known_at=known_at, earlier=earlier)

    ours = timed(fresh, repeats)
    eve = m.calendar.dates[m.calendar.number(day) - 1]
    earlier = determine(m, inputs, dates=[eve], known_at=known_at)
    goes_on = timed(lambda: fresh(earlier), repeats)
    print(f"plain pandas walks to {day} ...", file=sys.stderr)
    plain, before = stepped(inputs, m, known_at, day)
    figures: dict[str, Any] = {}

    def again() -> None:
        state = copy.copy(plain)
        state.announced = dict(plain.announced)
        figures.update(state.fix(day))

    theirs = timed(again, max(3, repeats // 4))
    gap = agreement(found.fixing(day), figures)
    whole = before * 1e3 + theirs.clock
    print(
        f"{name:<24}{found.grid.size:>6}{len(found.baskets):>8}{ours.clock:>10.1f}{goes_on.clock:>13.1f}"
        f"{theirs.clock:>16.1f}{theirs.clock / ours.clock:>7.2f}x{whole / 1e3:>9.1f}{whole / ours.clock:>7.0f}x{gap:>9.0e}"
    )
    if gap > 1e-6:
        raise SystemExit(f"{name}: plain pandas found {figures}, the library {found.fixing(day)}")


def one_date(days: int, constituents: int, repeats: int, archive: Path | None) -> None:
    """Print parts (a) and (b)."""
    print("(a) one date from ready tables; milliseconds by the clock / of processor time\n")
    home = Home.sample()
    inputs, tix = home.inputs(), home.methodology("tix", SAMPLE_DATE)
    bare = replace(tix, guards=())  # plain pandas has none
    against_joins("sample", inputs, tix, home.known_at, SAMPLE_DATE, repeats)
    if archive:
        with TemporaryDirectory() as folder:
            full = built(archive, Path(folder))
            against_joins("archive", full.inputs(), tix, full.known_at, SAMPLE_DATE, repeats)
    made, document = market.market(constituents=constituents, days=days), market.documents(days)[0]
    middle = market.base_date() + timedelta(days=min(60, days - 1))
    against_joins("market, 2 rebalances", made, document, None, middle, repeats)
    print(
        f"\n(b) {made!r}\n\n{'':<24}{'grid':>6}{'baskets':>8}{'library':>10}{'from the eve':>13}"
        f"{'pandas, 1 date':>16}{'ratio':>8}{'walk s':>9}{'ratio':>8}{'gap':>9}"
    )
    against_pandas("sample", inputs, bare, home.known_at, SAMPLE_DATE, repeats)
    for name, day in (
        ("market, base date", market.base_date()),
        ("market, 2 rebalances", middle),
        ("market, last date", market.fixing_dates(days)[-1]),
    ):
        against_pandas(name, made, document, None, day, repeats)


def process(arguments: Sequence[str]) -> Spent:
    """Return the time that a Python process takes, its modules compiled, as those of a package are."""
    environment = {name: found for name, found in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)
    clock, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(clock * 1e3, processor * 1e3)


def cold(repeats: int) -> None:
    """Print part (c); the kinds of process alternate, so that a busy machine slows all."""
    names = subprocess.run([sys.executable, "-c", IMPORTED], check=True, capture_output=True, text=True).stdout.split()
    rivals = {
        "python -m tokenindex.cli fix": COMMAND,
        "import polars": ["-c", "import polars"],
        f"import {', '.join(CORE)}": ["-c", f"import {', '.join(CORE)}"],
        "python -c pass": ["-c", "pass"],
    }
    spent: dict[str, list[Spent]] = {name: [] for name in rivals}
    for name in list(rivals) * (repeats + 1):
        spent[name].append(process(rivals[name]))
    least = {name: Spent(*map(min, zip(*times[1:], strict=True))) for name, times in spent.items()}
    print(f"\n(c) cold start, {repeats} processes each, ms; the command imports: {', '.join(names)}\n")
    for name, found in least.items():
        print(f"{name:<62}{found!s:>16}{least['python -m tokenindex.cli fix'].over(found):>18}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both parts; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=1_000)
    parser.add_argument("--constituents", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--no-cold", action="store_true", help="without part (c)")
    parser.add_argument("--archive", type=Path, metavar="DATA_DIR", help="measure on the archive of real figures too")
    chosen = parser.parse_args(arguments)
    one_date(chosen.days, chosen.constituents, chosen.repeats, chosen.archive)
    if not chosen.no_cold:
        cold(chosen.processes)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
