"""The same calculation as a competent analyst would write it: pandas, float64, one date after the other.

    from plain import Plain

Compares nothing by itself: `fixing.py` and `batch.py` time it and check that it agrees with the library. It is what the
library is measured against, so it is written in the ordinary way and not slowed down: the tables are turned into pandas
once, a date is a boolean filter, a sort, a merge and a few group-bys, and yesterday's figures are kept from step to step.

It leaves out what the library does besides: reasons of every row left out, percentiles, volume coverage, tier weights,
exactness, the record; and complete snapshots, overlapping volume revisions per cut-off, formulas other than
`fixed_basket`, and prices by hour or by a length of prompt that the workload reaches (no input of the benchmarks has them).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd
import polars as pl

from tokenindex import Inputs
from tokenindex.methodology import Methodology
from tokenindex.rules.formulas import FixedBasket
from tokenindex.tables import QUOTE_KEY
from tokenindex.units import PER_MTOK

KEY: Final = list(QUOTE_KEY)
SELLER: Final = ["source", "provider", "model"]


@dataclass
class Basket:
    """Quantities by constituent, the prices that gave them, their weights, and the divisor."""

    members: pd.DataFrame
    divisor: float = 0.0

    def cost(self, used: pd.Series) -> float:
        """Return the cost of the basket; members without a price move as the others do."""
        m = self.members
        price = used.reindex(m.index)
        there = price.notna()
        base = m["quantity"] * m["base_price"]
        if not there.any():
            return float("nan")
        return float((m["quantity"] * price)[there].sum() * base.sum() / base[there].sum())


@dataclass
class Plain:
    """The calculation of one index with a fixed basket; `fix` is called for the dates in order."""

    inputs: Inputs
    methodology: Methodology
    known_at: datetime | None = None
    last: pd.DataFrame = field(default_factory=lambda: _facts({}))
    """The last price of each constituent: ``price, number``."""
    lately: list[tuple[int, pd.Series]] = field(default_factory=list)
    """The source tiers of the last dates, by number of the date."""
    used: pd.DataFrame = field(default_factory=lambda: _facts({}))
    """The last believed price of each constituent: ``price, number``."""
    basket: Basket | None = None
    announced: dict[date, pd.DataFrame] = field(default_factory=dict)
    calculated: tuple[int, float, float] | None = None
    """Number, price and level of the last published calculation."""

    def __post_init__(self) -> None:
        self.document: Any = self.methodology.tables
        if not isinstance(self.methodology.formula, FixedBasket):
            raise ValueError("only fixed_basket is written out here")
        if self.inputs.sightings["complete"].any():
            raise ValueError("complete snapshots are not written out here")
        observations = _pandas(self.inputs.observations)
        ended = observations[observations["valid_to"].notna()]
        ended = ended.assign(valid_from=ended["valid_to"], price=np.nan)
        self.observations = pd.concat([observations, ended]) if len(ended) else observations
        self.registry = _pandas(self.inputs.registry)
        self.sightings = _pandas(self.inputs.sightings)
        self.rates = _pandas(self.inputs.rates)
        self.volumes = _pandas(self.inputs.volumes)
        tiers = [(p["source"], host, p["tier"]) for p in self.document["inputs"]["prices"] for host in p["hosts"]]
        self.tiers = pd.DataFrame(tiers, columns=["source", "host", "tier"])
        self.rebalances = self._rebalances()

    def _rebalances(self) -> dict[date, date]:
        """Return the announcement date of every rebalance date of the calendar."""
        formula, calendar = self.methodology.formula, self.methodology.calendar
        assert isinstance(formula, FixedBasket)
        months = pd.date_range(formula.base_date.replace(day=1), calendar.closes, freq="MS")
        starts = [month.date().replace(day=formula.rebalance_day) for month in months]
        days = [day for start in starts if (day := calendar.on_or_after(start)) and day > formula.base_date]
        numbers = {day: calendar.number(day) - formula.announce_dates for day in [formula.base_date, *days]}
        return {day: calendar.dates[number] for day, number in numbers.items()}

    def fix(self, day: date) -> dict[str, Any]:
        """Return price, level, status and counts of one date, and keep what the next date needs."""
        number = self.methodology.calendar.number(day)
        cut_off = pd.Timestamp(self.methodology.calendar.cut_off_at(day))
        known = pd.Timestamp(self.known_at) if self.known_at else cut_off
        prices = self._constituents(self._elementary(self._usable(day, cut_off, known)))
        believed = self._believed(prices, number)
        self.last = _latest(self.last, prices["price"], number)
        self.used = _latest(self.used, prices.loc[believed, "price"], number)
        carry = self.document["inputs"]["carry_dates"]
        used = self.used[number - self.used["number"] <= carry]
        vendor, tokens = self._vendors(), self._tokens(day, known)
        if day in self.rebalances.values():
            self.announced[day] = used[used["number"] == number].assign(vendor=vendor, tokens=tokens)
        found = self._published(used, number, vendor)
        if day in self.rebalances:
            found = self._rebalance(day, used, found, number, vendor)
        return found | {"volume": int(tokens.sum())}

    # one date

    def _usable(self, day: date, cut_off: pd.Timestamp, known: pd.Timestamp) -> pd.DataFrame:
        """Return the observations in force, mapped, in index currency, that no screen keeps out."""
        obs = self.observations
        rows = obs[(obs["valid_from"] <= cut_off) & (obs["known_at"] <= known)]
        rows = rows.sort_values(["valid_from", "known_at", "price"]).drop_duplicates(KEY, keep="last")
        rows = rows[rows["price"].notna()]
        rows = rows.merge(self._mapped(day), on=SELLER).merge(self.tiers, on=["source", "host"])
        rows = rows[rows["source"].isin(self._fresh(day, cut_off, known))]
        factor = rows["unit"].map({unit: float(f) for unit, f in PER_MTOK.items()})
        rate = rows["currency"].map(self._exchange(day, min(cut_off, known)))
        rows = rows.assign(standard=((rows["price"] * factor).round(9) * rate).round(9))
        return rows[self._screened(rows) & rows["standard"].notna()]

    def _mapped(self, day: date) -> pd.DataFrame:
        registry, measures = self.registry, self.document["measures"]
        moment = pd.Timestamp(day)
        valid = (registry["valid_from"].isna() | (registry["valid_from"] <= moment)) & (
            registry["valid_to"].isna() | (registry["valid_to"] > moment)
        )
        valid &= registry["kind"].isin(measures["kinds"])
        if measures["vendors"]:
            valid &= registry["vendor"].isin(measures["vendors"])
        return registry.loc[valid, [*SELLER, "constituent", "vendor", "host"]]

    def _vendors(self) -> pd.Series:
        return self.registry.drop_duplicates("constituent").set_index("constituent")["vendor"]

    def _fresh(self, day: date, cut_off: pd.Timestamp, known: pd.Timestamp) -> list[str]:
        seen = self.sightings
        last = seen[(seen["seen_at"] <= cut_off) & (seen["known_at"] <= known)].groupby("source")["seen_at"].max()
        age = pd.Timestamp(day, tz="UTC") - last.dt.normalize()
        return list(last.index[age <= pd.Timedelta(days=self.document["inputs"]["max_days_unseen"])])

    def _exchange(self, day: date, known: pd.Timestamp) -> dict[str, float]:
        """Return index currency per unit of every other currency, over the base of the reference rates."""
        ours, allowed = self.document["measures"]["currency"], self.document["inputs"]
        found = {ours: 1.0}
        if not len(self.rates):
            return found
        rates = self.rates[(self.rates["source"] == allowed["rates"]) & (self.rates["known_at"] <= known)]
        rates = rates[rates["rate_date"] >= pd.Timestamp(day - timedelta(days=allowed["max_rate_age_days"]))]
        latest = rates.sort_values(["rate_date", "known_at"]).drop_duplicates("quote", keep="last")
        per_base = dict(zip(latest["quote"], latest["rate"], strict=True))
        if ours in per_base:
            found |= {quote: round(per_base[ours] / rate, 9) for quote, rate in per_base.items() if quote != ours}
            found |= dict.fromkeys(latest["base"], per_base[ours])
        return found

    def _screened(self, rows: pd.DataFrame) -> pd.Series:
        """Return which rows pass the screens of the document."""
        blend = self.document["workloads"][0]
        passed: pd.Series = rows["component"].isin([*blend["mix"], *blend["instead"].values()])
        longest = max(prompts["tokens"] for prompts in blend["prompts"])
        long = rows["context_to"].isna() | (rows["context_to"] >= longest)
        passed &= rows["service_tier"].isin(blend["service_tiers"])
        passed &= rows["time_from"].isna() & (rows["context_from"] == 0) & long
        for screen in self.document["screens"]:
            match screen["rule"]:
                case "region" | "date_kind" as column:
                    passed &= rows[column].isin(screen["allowed"])
                case "not_alias":
                    passed &= rows["alias_of"].isna()
                case "positive_price":
                    passed &= rows["price"] > 0
                case "price_bounds":
                    passed &= rows["standard"].between(float(screen["lowest"]), float(screen["highest"]))
                case unknown:
                    raise ValueError(f"the screen {unknown} is not written out here")
        return passed

    def _elementary(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the lower median of the best tier of each constituent and component, if enough quotes agree."""
        keys, rule = ["constituent", "component"], self.document["consolidation"]
        best = rows[rows["tier"] == rows.groupby(keys)["tier"].transform("min")]
        median = best.groupby(keys)["standard"].quantile(0.5, interpolation="lower").rename("median")
        best = best.join(median, on=keys)
        near = (best["standard"] - best["median"]).abs() <= float(rule["agreement"]) * best["median"] + 1e-12
        sources = best[near].groupby(keys)["source"].agg(["size", "nunique"])
        tier = best.groupby(keys)["tier"].first()
        quotes = best.groupby(keys).size()
        enough = sources["size"] > float(rule["min_agreeing"]) * quotes
        return pd.DataFrame({"price": median.where(enough), "sources": sources["nunique"], "tier": tier})

    def _constituents(self, elementary: pd.DataFrame) -> pd.DataFrame:
        """Return the blended price of each constituent and the fewest agreeing sources among its components."""
        blend = self.document["workloads"][0]
        component = self.methodology.component
        mix = {component: 1} if component else blend["mix"]
        wide = elementary.unstack("component")
        names = wide.index
        total, sources = pd.Series(0.0, index=names), pd.Series(np.inf, index=names)
        tier = pd.Series(0, index=names)
        for part, parts in mix.items():
            facts = ("price", "sources", "tier")
            price, of, at = (wide[fact].get(part, pd.Series(np.nan, index=names)) for fact in facts)
            if (other := blend["instead"].get(part)) in wide["sources"]:
                absent = of.isna()
                price, of, at = (
                    x.where(~absent, wide[fact][other]) for x, fact in zip((price, of, at), facts, strict=True)
                )
            total, sources, tier = total + parts * price, np.minimum(sources, of), np.maximum(tier, at)
        priced = pd.DataFrame({"price": (total / sum(mix.values())).round(9), "sources": sources, "tier": tier})
        return priced.dropna(subset="price")

    def _believed(self, prices: pd.DataFrame, number: int) -> pd.Series:
        """Return which prices no outlier rule holds back, by their change since the last one."""
        last = self.last["price"][number - self.last["number"] <= self.document["inputs"]["carry_dates"]]
        change = np.log(prices["price"] / last.reindex(prices.index)).round(9)
        distance = (change - change.quantile(0.5, interpolation="lower")).abs()
        spread = distance.quantile(0.5, interpolation="lower") * 1.4826
        doubted = pd.Series(False, index=prices.index)
        for rule in self.document["outliers"]:
            match rule["rule"]:
                case "fixed_cutoff":
                    doubted |= change.abs() > round(np.log(float(rule["factor"])), 9)
                case "robust_z":
                    far = distance > float(rule["cutoff"]) * max(spread, float(rule["floor"]))
                    doubted |= far & (prices["sources"] < rule["confirming_sources"])
                case "confirmed_jump":
                    far = change.abs() > round(np.log(float(rule["bound"])), 9)
                    doubted |= far & (prices["sources"] < rule["confirming_sources"])
                case "worse_tier":
                    recent = [tiers for at, tiers in self.lately if number - at <= rule["dates"]]
                    if recent:
                        doubted |= prices["tier"] > pd.concat(recent, axis=1).min(axis=1).reindex(prices.index)
                case unknown:
                    raise ValueError(f"the outlier rule {unknown} is not written out here")
        self.lately = [*self.lately[-60:], (number, prices["tier"])]
        return ~doubted

    def _tokens(self, day: date, known: pd.Timestamp) -> pd.Series:
        """Return the tokens of each constituent in the window of complete days."""
        rule, volumes = self.document["volumes"], self.volumes
        end = day - timedelta(days=rule["lag_days"])
        start = pd.Timestamp(end - timedelta(days=rule["window_days"] - 1))
        inside = (volumes["period_start"] >= start) & (volumes["period_end"] <= pd.Timestamp(end))
        inside &= (volumes["known_at"] <= known) & volumes["source"].isin(rule["sources"])
        rows = volumes[inside & ~volumes["contained_in"].isin(rule["sources"])]
        key = [*SELLER, "component", "service_tier", "period_start", "period_end"]
        rows = rows.sort_values("known_at").drop_duplicates(key, keep="last")
        rows = rows[~rows["partial"]]
        periods = rows[["period_start", "period_end"]].drop_duplicates()
        days = {d for a, b in periods.itertuples(index=False) for d in range(a.toordinal(), b.toordinal() + 1)}
        rows = rows[rows["service_tier"].isin(rule["service_tiers"])].merge(self._mapped(day), on=SELLER)
        tokens = rows.groupby("constituent")["tokens"].sum()
        return tokens[tokens > 0] if len(days) >= rule["min_days"] else tokens[:0]

    # the basket

    def _published(self, used: pd.DataFrame, number: int, vendor: pd.Series) -> dict[str, Any]:
        """Return the figures of the basket in force after the waterfall."""
        nothing = {"price": None, "level": None, "status": None, "constituents": 0, "carried": 0}
        if self.basket is None:
            return nothing
        rules = self.document["publication"]
        members = self.basket.members
        there = used[used.index.isin(members.index)]
        cost = self.basket.cost(used["price"])
        price = round(cost / members["quantity"].sum(), rules["price_decimals"])
        level = round(cost / self.basket.divisor, rules["level_decimals"])
        fresh = there.index[there["number"] == number]
        facts = {
            "constituents": len(there),
            "vendors": vendor.reindex(there.index).nunique(),
            "coverage": members["weight"].reindex(fresh).sum() / members["weight"].sum(),
        }
        found = nothing | {"constituents": len(there), "carried": len(there) - len(fresh)}
        for rung in self.document["waterfall"]:
            if rung["rule"] == "minimums" and all(facts[name] >= float(rung[name]) - 1e-12 for name in facts):
                self.calculated = (number, price, level)
                return found | {"price": price, "level": level, "status": rung["status"]}
            if rung["rule"] == "carry_forward" and self.calculated and number - self.calculated[0] <= rung["max_dates"]:
                return found | {
                    "price": self.calculated[1],
                    "level": self.calculated[2],
                    "status": rung["status"],
                }
        return found | {"status": self.document["waterfall"][-1]["status"]}

    def _rebalance(
        self, day: date, used: pd.DataFrame, found: dict[str, Any], number: int, vendor: pd.Series
    ) -> dict[str, Any]:
        """Form the basket that takes over after `day` and link it; on the base date it is in force at once."""
        formula = self.document["formula"]
        announced = self.announced.pop(self.rebalances[day]).dropna(subset=["price", "tokens"])
        spent = (announced["price"] * announced["tokens"]).sort_index().sort_values(ascending=False, kind="stable")
        spent = spent.head(formula["max_constituents"])
        chosen = announced.loc[spent.index]
        weight = capped(
            spent, chosen["vendor"], model_cap=float(formula["model_cap"]), vendor_cap=float(formula["vendor_cap"])
        )
        quantity = (weight * formula["notional"] * 1e6 / chosen["price"]).round()
        new = Basket(pd.DataFrame({"quantity": quantity, "base_price": chosen["price"], "weight": weight}))
        old = self.basket
        if old and (not self.calculated or self.calculated[0] != number):
            return found  # the day has no figure of its own to link the new basket with
        decimals = self.document["publication"]["level_decimals"]
        level = round(old.cost(used["price"]) / old.divisor, decimals) if old else float(formula["base_level"])
        new.divisor = new.cost(used["price"]) / level
        self.basket = new
        return found if old else self._published(used, number, vendor)


def capped(spent: pd.Series, vendor: pd.Series, *, model_cap: float, vendor_cap: float) -> pd.Series:
    """Return shares of expenditure where what a cap cuts off goes to the rest pro rata."""
    done = pd.Series(dtype=float)
    while True:
        rest = spent.drop(done.index)
        shares = _filled(rest, total=1 - done.sum(), cap=model_cap)
        of_vendor = shares.groupby(vendor.reindex(shares.index)).sum()
        over = of_vendor.index[of_vendor > vendor_cap + 1e-15]
        if not len(over):
            whole: pd.Series = pd.concat([done, shares])
            return whole
        full = [_filled(rest[vendor.reindex(rest.index) == v], total=vendor_cap, cap=model_cap) for v in over]
        done = pd.concat([done, *full])


def _filled(spent: pd.Series, *, total: float, cap: float) -> pd.Series:
    """Return shares of `total` proportional to expenditure, none above `cap`."""
    at_cap = pd.Series(False, index=spent.index)
    while True:
        shares = (total - cap * at_cap.sum()) * spent / spent[~at_cap].sum()
        over = ~at_cap & (shares > cap + 1e-15)
        if not over.any():
            return pd.Series(shares.mask(at_cap, cap))
        at_cap |= over


def _pandas(frame: pl.DataFrame) -> pd.DataFrame:
    """Return a table with float64 for every decimal."""
    return frame.with_columns(pl.col(pl.Decimal).cast(pl.Float64)).to_pandas()


def _facts(prices: dict[str, float], numbers: dict[str, int] | None = None) -> pd.DataFrame:
    index = pd.Index(list(prices), dtype="str", name="constituent")
    return pd.DataFrame({"price": list(prices.values()), "number": list((numbers or {}).values())}, index=index).astype(
        {"price": float, "number": int}
    )


def _latest(facts: pd.DataFrame, prices: pd.Series, number: int) -> pd.DataFrame:
    """Return the facts with the prices of today instead of the older ones."""
    today = pd.DataFrame({"price": prices, "number": number})
    return pd.concat([facts.drop(today.index, errors="ignore"), today])


def agreement(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Return the largest relative difference of price and level of the same date; infinite if only one has a figure."""
    worst = 0.0
    for name in ("price", "level"):
        a, b = ours[name], theirs[name]
        if (a is None) != (b is None):
            return float("inf")
        if a is not None and b is not None:
            worst = max(worst, abs(float(a) - float(b)) / abs(float(a)))
    return worst
