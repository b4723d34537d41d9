"""A second, naive implementation of the whole calculation: the oracle of the tests.

Plain loops over plain rows, `int` and `Fraction`, no frames, nothing imported from the package. It was written from the
words of the methodology, without looking at the code it judges, and it is slow on purpose: every figure of a date is
computed from its definition, looking at other dates where the definition does.

Amounts are whole numbers of 1e-9 ("nano"); rows are dictionaries with the names of the tables' columns.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any, TypeVar

NANO = 10**9
LARGEST = 10**6 * NANO
FACTORS = {"per_token": 10**6, "per_1k_tokens": 10**3, "per_1m_tokens": 1, "cents_per_token": 10**4}
OFFER = ("source", "provider", "model", "component", "service_tier", "region")
QUOTE = (*OFFER, "context_from", "time_from", "time_to", "time_zone")
SERIES = ("source", "provider", "model", "component", "service_tier", "period_start", "period_end")
DAY = 86_400
UNPRICED = {"not_positive", "price_bounds", "no_exchange_rate", "price_too_large"}
SCREENED_OUT = {"region", "date_kind", "alias"}
Row = Mapping[str, Any]
T = TypeVar("T")


def half_even(number: Fraction) -> int:
    """Return the nearest whole number; of two equally near ones the even one."""
    return round(number)


def lower_median(numbers: Iterable[int]) -> int:
    """Return the middle number, the lower of two middle ones."""
    ordered = sorted(numbers)
    return ordered[(len(ordered) - 1) // 2]


def capped_shares(
    expenditure: Sequence[int], vendors: Sequence[str], *, model_cap: Fraction, vendor_cap: Fraction
) -> list[Fraction] | None:
    """Return the shares of expenditure under both caps, or None if the caps leave no room for a whole.

    The sum of all shares is a rising, piecewise linear function of the common multiplier: its corners are listed and
    sorted, the two between which the sum passes one are found, and the line between them is solved.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for spent, vendor in zip(expenditure, vendors, strict=True):
        groups[vendor].append(spent)
    if sum(min(vendor_cap, len(group) * model_cap) for group in groups.values()) < 1:
        return None

    def group_sum(group: Sequence[int], multiplier: Fraction) -> Fraction:
        return sum((min(model_cap, multiplier * e) for e in group), Fraction(0))

    def solve(function: Callable[[Fraction], Fraction], corners: Sequence[Fraction], target: Fraction) -> Fraction:
        """Return the smallest multiplier at which the piecewise linear `function` reaches `target`."""
        ordered = [Fraction(0), *sorted(set(corners))]
        at = bisect_left([function(corner) for corner in ordered], target)
        low, high = ordered[at - 1], ordered[at]
        rise = function(high) - function(low)
        return low + (high - low) * (target - function(low)) / rise

    model_corners = {vendor: [model_cap / e for e in group] for vendor, group in groups.items()}
    vendor_multiplier = {
        vendor: solve(partial(group_sum, group), model_corners[vendor], vendor_cap)
        for vendor, group in groups.items()
        if len(group) * model_cap >= vendor_cap
    }

    def everything(multiplier: Fraction) -> Fraction:
        return sum((min(vendor_cap, group_sum(group, multiplier)) for group in groups.values()), Fraction(0))

    corners = [corner for found in model_corners.values() for corner in found] + list(vendor_multiplier.values())
    common = solve(everything, corners, Fraction(1))
    return [
        min(model_cap, min(common, vendor_multiplier.get(vendor, common)) * spent)
        for spent, vendor in zip(expenditure, vendors, strict=True)
    ]


def hand_out(exact: Sequence[Fraction], *, total: int, room: Sequence[int]) -> list[int]:
    """Return whole numbers near `exact` that sum to `total`: largest remainder first, nobody above its room."""
    whole = [math.floor(number) for number in exact]
    remainder = [number - part for number, part in zip(exact, whole, strict=True)]
    order = sorted(range(len(exact)), key=lambda i: (-remainder[i], i))
    turn = [i for i in order if remainder[i] > 0]
    while sum(whole) < total:
        for i in turn:
            if sum(whole) < total and whole[i] < room[i]:
                whole[i] += 1
        turn = order
        assert any(whole[i] < room[i] for i in order) or sum(whole) == total
    return whole


def whole_weights(
    shares: Sequence[Fraction],
    names: Sequence[str],
    vendors: Sequence[str],
    *,
    model_cap: Fraction,
    vendor_cap: Fraction,
) -> list[int]:
    """Return the shares as whole nano that sum to 10**9, without passing a cap by rounding."""
    makers = sorted(set(vendors))
    of = {maker: sorted((names[i], i) for i in range(len(names)) if vendors[i] == maker) for maker in makers}
    sums = {maker: sum((shares[i] for _, i in of[maker]), Fraction(0)) for maker in makers}
    room = [math.floor(min(vendor_cap, len(of[maker]) * model_cap) * NANO) for maker in makers]
    totals = hand_out([sums[maker] * NANO for maker in makers], total=NANO, room=room)
    weights = [0] * len(names)
    for maker, total in zip(makers, totals, strict=True):
        exact = [total * shares[i] / sums[maker] for _, i in of[maker]]
        parts = hand_out(exact, total=total, room=[math.floor(model_cap * NANO)] * len(exact))
        for (_, i), part in zip(of[maker], parts, strict=True):
            weights[i] = part
    return weights


Holds = Mapping[tuple[Any, ...], Sequence[tuple[datetime, datetime | None, str]]]
"""For rows by `held_row`: from when to when the guards hold them back, and why."""


class Reference:
    """The calculation of one index over one set of inputs and one knowledge; every date is computed once."""

    def __init__(
        self,
        document: Row,
        inputs: Mapping[str, Sequence[Row]],
        known_at: datetime | None,
        component: str = "",
        *,
        workload: str = "",
        holds: Holds | None = None,
    ) -> None:
        self.document = document
        self.holds = holds or {}
        self.known_at = known_at
        self.workload = next(w for w in document["workloads"] if workload in ("", w["name"]))
        self.mix: dict[str, int] = dict(self.workload["mix"])
        self.instead: dict[str, str] = dict(self.workload["instead"])
        if component:
            self.mix = {component: 1}
            self.instead = {part: other for part, other in self.instead.items() if part == component}
        self._calendar(document["calendar"])
        self._read(inputs)
        self._memo: dict[tuple[Any, ...], Any] = {}

    def _calendar(self, calendar: Row) -> None:
        length = (calendar["closes"] - calendar["opens"]).days
        every = (calendar["opens"] + timedelta(days=k) for k in range(length + 1))
        self.dates = [d for d in every if d.isoweekday() in calendar["weekdays"] and d not in calendar["closed"]]
        self.number = {d: n for n, d in enumerate(self.dates)}
        hours, minutes = calendar["offset"][1:].split(":")
        shift = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if calendar["offset"][0] == "-" else 1)
        at = time.fromisoformat(calendar["cut_off"])
        self.cut_off = {d: datetime.combine(d, at, tzinfo=UTC) - shift for d in self.dates}

    def _read(self, inputs: Mapping[str, Sequence[Row]]) -> None:
        self.rates, self.sightings = inputs["rates"], inputs["sightings"]
        self.unread: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for row in inputs["unread"]:
            self.unread[reading(row)].append(row)
        self.registry: dict[tuple[str, ...], list[Row]] = defaultdict(list)
        for row in inputs["registry"]:
            self.registry[row["source"], row["provider"], row["model"]].append(row)
        self.tiers = {(p["source"], host): p["tier"] for p in self.document["inputs"]["prices"] for host in p["hosts"]}
        self.vendor_of = {row["constituent"]: row["vendor"] for row in inputs["registry"]}
        self.measured = {row["constituent"] for row in inputs["registry"] if self._measures(row)}
        self.quotes: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for row in inputs["observations"]:
            self.quotes[tuple(row[name] for name in QUOTE)].append(row)
        readings = {reading(s) for s in self.sightings if s["complete"]}
        for rows in self.quotes.values():
            rows.sort(key=lambda r: _order(r, reading(r) in readings))
        self.complete: dict[str, list[Row]] = defaultdict(list)
        for row in self.sightings:
            if row["complete"]:
                self.complete[row["source"]].append(row)
        allowed, components = (self.document["volumes"][name] for name in ("sources", "components"))
        self.volumes: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for row in inputs["volumes"]:
            if row["source"] in allowed and row["component"] in components and row["contained_in"] not in allowed:
                self.volumes[tuple(row[name] for name in SERIES)].append(row)
        for rows in self.volumes.values():
            rows.sort(key=lambda r: (r["known_at"], r["tokens"], r["capture"], r["locator"]))

    def _once(self, name: str, function: Callable[..., T], *arguments: Any) -> T:
        key = (name, *arguments)
        if key not in self._memo:
            self._memo[key] = function(*arguments)
        found: T = self._memo[key]
        return found

    # knowledge

    def visible(self, row: Row, day: date) -> bool:
        """Return whether the row may be known for the fixing of `day`."""
        return bool(row["known_at"] <= (self.cut_off[day] if self.known_at is None else self.known_at))

    def moment(self, row: Row, since: datetime) -> datetime:
        """Return when the row takes effect: when it was true, or, as first known, when it was known if later."""
        return since if self.known_at is not None else max(since, row["known_at"])

    # 1 and 2: observations in force, standard price

    def in_force(self, day: date) -> list[dict[str, Any]]:
        """Return the observation in force of every quote, with its mapping, rate, standard price and reason code."""
        return self._once("in_force", self._in_force, day)

    def _in_force(self, day: date) -> list[dict[str, Any]]:
        found = []
        for rows in self.quotes.values():
            for row in reversed(rows):
                if self.visible(row, day) and self.moment(row, row["valid_from"]) <= self.cut_off[day]:
                    found.append(self._facts(row, day))
                    break
        return found

    def _facts(self, row: Row, day: date) -> dict[str, Any]:
        mapping = self.mapped(row, day)
        facts = dict(row)
        facts["constituent"] = mapping["constituent"] if mapping else None
        facts["vendor"] = mapping["vendor"] if mapping else None
        facts["kind"] = mapping["kind"] if mapping else None
        facts["source_tier"] = self.tiers.get((row["source"], mapping["host"])) if mapping else None
        ended = row["valid_to"] is not None and row["valid_to"] <= self.cut_off[day]
        facts["withdrawn"] = row["price"] is None or ended or self._dropped(row, day)
        facts["unseen"] = self._once("unseen", self._unseen, row["source"], day)
        facts["unread"] = not facts["unseen"] and self._unread(row, day)
        facts["rate"] = self._once("rate", self._rate, row["currency"], day)
        facts["standard_price"] = standard_price(row["price"], row["unit"], facts["rate"])
        facts["held_by"] = self._held_by(row, day)
        facts["excluded_by"] = self._excluded_by(facts)
        return facts

    def _held_by(self, row: Row, day: date) -> str | None:
        """Return why the guards hold the row back at the cut-off: what they find is given, not repeated here."""
        for since, until, reason in self.holds.get(held_row(row), ()):
            if since <= self.cut_off[day] and (until is None or self.cut_off[day] < until):
                return reason
        return None

    def mapped(self, row: Row, day: date) -> Row | None:
        """Return the row of the registry for the source's spelling on `day`."""
        for mapping in self.registry.get((row["source"], row["provider"], row["model"]), ()):
            begun = mapping["valid_from"] is None or mapping["valid_from"] <= day
            if begun and (mapping["valid_to"] is None or day < mapping["valid_to"]):
                return mapping
        return None

    def _dropped(self, row: Row, day: date) -> bool:
        """Return whether a later complete reading of the source replaced the one that the row was read in.

        The same bytes may be read again: a row belongs to the reading that became known with it. A reading that could not
        make out what was said of the offer replaces nothing of it.
        """
        own = [s["seen_at"] for s in self.complete[row["source"]] if reading(s) == reading(row)]
        return bool(own) and any(
            later["seen_at"] > max(own)
            and self.made_out(later, row)
            and self.visible(later, day)
            and self.moment(later, later["seen_at"]) <= self.cut_off[day]
            for later in self.complete[row["source"]]
        )

    def made_out(self, look: Row, row: Row) -> bool:
        """Return whether the look could have read the offer of the row, had it been there."""
        return not any(
            all(part[name] in (None, row[name]) for name in ("provider", "model", "component"))
            for part in self.unread.get(reading(look), ())
        )

    def recent(self, source: str, day: date) -> list[Row]:
        """Return the looks at the source that are known and not too old on the day."""
        return self._once("recent", self._recent, source, day)

    def _recent(self, source: str, day: date) -> list[Row]:
        patience = timedelta(days=self.document["inputs"]["max_days_unseen"])
        return [
            s
            for s in self.sightings
            if s["source"] == source
            and self.visible(s, day)
            and self.moment(s, s["seen_at"]) <= self.cut_off[day]
            and day <= s["seen_at"].date() + patience
        ]

    def _unseen(self, source: str, day: date) -> bool:
        return not self.recent(source, day)

    def _unread(self, row: Row, day: date) -> bool:
        """Return whether every recent look failed to make out the offer, and none is the one that showed the row."""
        looks = self.recent(row["source"], day)
        return not any(reading(look) == reading(row) or self.made_out(look, row) for look in looks)

    def _rate(self, currency: str, day: date) -> int | None:
        """Return the cross rate of the latest day whose two rates were published (corrected or not) by the cut-off."""
        wanted = self.document["measures"]["currency"]
        if currency == wanted:
            return NANO
        seen: dict[tuple[str, str, date], list[Row]] = defaultdict(list)
        for row in self.rates:
            if row["source"] == self.document["inputs"]["rates"] and self.visible(row, day):
                seen[row["base"], row["quote"], row["rate_date"]].append(row)
        best: tuple[date, int] | None = None
        for base, rate_date in {(base, rate_date) for base, _, rate_date in seen}:
            if not all(quote == base or (base, quote, rate_date) in seen for quote in (wanted, currency)):
                continue
            sizes, enters = [], [datetime.combine(rate_date, time(), tzinfo=UTC)]
            for quote in (wanted, currency):
                if quote == base:
                    sizes.append(NANO)
                    continue
                published = seen[base, quote, rate_date]
                enters.append(min(row["known_at"] for row in published))
                sizes.append(nano(max(published, key=lambda row: (row["known_at"], row["rate"]))["rate"]))
            if max(enters) <= self.cut_off[day] and (best is None or rate_date > best[0]):
                best = (rate_date, half_even(Fraction(sizes[0] * NANO, sizes[1])))
        if best is None or day > best[0] + timedelta(days=self.document["inputs"]["max_rate_age_days"]):
            return None
        return best[1]

    # 3: reason codes

    def _measures(self, row: Row) -> bool:
        measures = self.document["measures"]
        return row["kind"] in measures["kinds"] and (not measures["vendors"] or row["vendor"] in measures["vendors"])

    def _excluded_by(self, row: Row) -> str | None:
        if row["constituent"] is None:
            return "unmapped"
        if not self._measures(row):
            return "not_in_universe"
        if row["source_tier"] is None:
            return "source_not_allowed"
        if row["component"] not in self.mix and row["component"] not in self.instead.values():
            return "component_not_used"
        if row["withdrawn"]:
            return "withdrawn"
        if row["unseen"]:
            return "source_unseen"
        if row["unread"]:
            return "unreadable"
        if row["service_tier"] not in self.workload["service_tiers"]:
            return "service_tier"
        if not any(served(row, length) for length, _ in self.prompts(row["component"])):
            return "prompt_length"
        for screen in self.document["screens"]:
            reason = screened(row, screen)
            if reason:
                return reason
        if row["rate"] is None:
            return "no_exchange_rate"
        if row["standard_price"] is None:
            return "price_too_large"
        held_by: str | None = row["held_by"]
        return held_by

    def universe(self, day: date) -> set[str]:
        """Return the constituents with an observation in force on `day`, used or not."""
        return {r["constituent"] for r in self.in_force(day) if r["excluded_by"] not in ("unmapped", "not_in_universe")}

    # 4: elementary and constituent prices

    def elementary(self, day: date) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the elementary price of every constituent of the date and component of the mix."""
        return self._once("elementary", self._elementary, day)

    def _elementary(self, day: date) -> dict[tuple[str, str], dict[str, Any]]:
        usable: dict[tuple[str, str], list[Row]] = defaultdict(list)
        offers: set[tuple[Any, ...]] = set()
        rows = sorted(self.in_force(day), key=barred)
        for row in rows:
            offer = tuple(row[name] for name in OFFER)
            if not barred(row):
                usable[row["constituent"], row["component"]].append(row)
                offers.add(offer)
            elif row["excluded_by"] in UNPRICED:
                usable[row["constituent"], row["component"]].append(row)  # it is sold: nothing stands in for it
            elif row["time_from"] is not None and row["excluded_by"] in SCREENED_OUT and offer in offers:
                usable[row["constituent"], row["component"]].append(row)  # its hours stay open
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for constituent in self.universe(day):
            for component in self.mix:
                taken = component
                if (constituent, component) not in usable and component in self.instead:
                    taken = self.instead[component]
                if (constituent, taken) in usable:
                    facts = self._consolidated(self._offers(usable[constituent, taken], taken))
                    facts["imputed_from"] = None if taken == component else taken
                else:
                    facts = {"price": None, "excluded_by": "not_quoted", "imputed_from": None}
                found[constituent, component] = facts
        return found

    def prompts(self, component: str) -> list[tuple[int, Fraction]]:
        """Return the lengths of prompts and the share of the tokens of the component that each is used with."""
        parts = [(p["tokens"], p["parts"].get(component, 0)) for p in self.workload["prompts"]]
        total = sum(part for _, part in parts)
        return [(length, Fraction(part, total)) for length, part in parts if part]

    def _offers(self, rows: Sequence[Row], component: str) -> list[Row]:
        """Return one row an offer with the price of the workload; an offer that leaves something open is left out."""
        offers: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for row in rows:
            offers[tuple(row[name] for name in OFFER)].append(row)
        found: list[Row] = []
        for quotes in offers.values():
            held = any(quote["held_by"] and not barred(quote) for quote in quotes)
            priced = not held and not any(barred(quote) for quote in quotes)
            price = workload_price(quotes, self.prompts(component)) if priced else None
            if held or price is not None:
                found.append({**quotes[0], "standard_price": price})
        return found

    def _consolidated(self, rows: Sequence[Row]) -> dict[str, Any]:
        if not rows:
            nothing = {"price": None, "source_tier": None, "excluded_by": "no_usable_price"}
            return nothing | {"quotes": 0, "agreeing": 0, "sources": 0}
        rule = self.document["consolidation"]
        tier = min(row["source_tier"] for row in rows)
        quoted = [row for row in rows if row["source_tier"] == tier and row["standard_price"] is not None]
        if not quoted:
            nothing = {"price": None, "source_tier": None, "excluded_by": "held"}
            return nothing | {"quotes": 0, "agreeing": 0, "sources": 0}
        median = lower_median(row["standard_price"] for row in quoted)
        near = Fraction(rule["agreement"]) * median
        agreeing = [row for row in quoted if abs(row["standard_price"] - median) <= near]
        believed = len(agreeing) > Fraction(rule["min_agreeing"]) * len(quoted)
        return {
            "price": median if believed else None,
            "source_tier": tier,
            "quotes": len(quoted),
            "agreeing": len(agreeing),
            "sources": len({row["source"] for row in agreeing}),
            "excluded_by": None if believed else "sources_disagree",
        }

    def prices(self, day: date) -> dict[str, dict[str, int]]:
        """Return price, tier and number of sources of every constituent that has a price on the date."""
        return self._once("prices", self._prices, day)

    def _prices(self, day: date) -> dict[str, dict[str, int]]:
        elementary, parts = self.elementary(day), sum(self.mix.values())
        found = {}
        for constituent in sorted({name for name, _ in elementary}):
            facts = {component: elementary[constituent, component] for component in self.mix}
            if all(f["price"] is not None for f in facts.values()):
                blended = sum(self.mix[component] * f["price"] for component, f in facts.items())
                found[constituent] = {
                    "price": half_even(Fraction(blended, parts)),
                    "source_tier": max(f["source_tier"] for f in facts.values()),
                    "sources": min(f["sources"] for f in facts.values()),
                }
        return found

    # 5 and 6: relatives and outliers

    def earlier(self, day: date, *, reach: int) -> list[date]:
        """Return the fixing dates before `day`, the nearest first, at most `reach` of them."""
        number = self.number[day]
        return self.dates[max(0, number - reach) : number][::-1]

    def previous(self, constituent: str, day: date) -> int | None:
        """Return the last price before `day`, believed or not, if it is not older than a price may be carried."""
        for before in self.earlier(day, reach=self.document["inputs"]["carry_dates"]):
            if constituent in self.prices(before):
                return self.prices(before)[constituent]["price"]
        return None

    def log_relatives(self, day: date) -> dict[str, int]:
        """Return the logarithm of price over previous price, in nano."""
        return self._once("log_relatives", self._log_relatives, day)

    def _log_relatives(self, day: date) -> dict[str, int]:
        found = {}
        for constituent, facts in self.prices(day).items():
            before = self.previous(constituent, day)
            if before is not None:
                found[constituent] = round(math.log(facts["price"] / before) * 1e9)
        return found

    def outliers(self, day: date) -> dict[str, str]:
        """Return the reason code of every price of the date that is not believed."""
        return self._once("outliers", self._outliers, day)

    def _outliers(self, day: date) -> dict[str, str]:
        logs = self.log_relatives(day)
        found: dict[str, str] = {}
        for rule in self.document["outliers"]:
            if rule["rule"] == "robust_z" and logs:
                middle = lower_median(logs.values())
                spread = 1.4826 * lower_median(abs(x - middle) for x in logs.values())
                bound = float(rule["cutoff"]) * max(spread, float(rule["floor"]) * 1e9)
            if rule["rule"] == "worse_tier":
                recent = self.earlier(day, reach=rule["dates"])
                for constituent, facts in self.prices(day).items():
                    tiers = [
                        self.prices(at)[constituent]["source_tier"] for at in recent if constituent in self.prices(at)
                    ]
                    if tiers and facts["source_tier"] > min(tiers):
                        found.setdefault(constituent, "worse_tier")
                continue
            for constituent, x in logs.items():
                alone = self.prices(day)[constituent]["sources"] < rule.get("confirming_sources", 0)
                if rule["rule"] == "fixed_cutoff":
                    reason = "fixed_cutoff" if abs(x) > math.log(rule["factor"]) * 1e9 else None
                elif rule["rule"] == "robust_z":
                    reason = "robust_z" if abs(x - middle) > bound and alone else None
                else:
                    assert rule["rule"] == "confirmed_jump"
                    reason = "unconfirmed_jump" if abs(x) > math.log(rule["bound"]) * 1e9 and alone else None
                if reason:
                    found.setdefault(constituent, reason)
        return found

    # 7: the price in use

    def used(self, day: date) -> dict[str, tuple[int, date, int]]:
        """Return (price, the date it was observed for, its tier) of every constituent with a price in use."""
        return self._once("used", self._used, day)

    def _used(self, day: date) -> dict[str, tuple[int, date, int]]:
        found: dict[str, tuple[int, date, int]] = {}
        for at in [day, *self.earlier(day, reach=self.document["inputs"]["carry_dates"])]:
            for constituent, facts in self.prices(at).items():
                if constituent not in found and constituent not in self.outliers(at):
                    found[constituent] = (facts["price"], at, facts["source_tier"])
        return found

    # 8: volumes

    def window(self, day: date) -> tuple[dict[str, int], int, int]:
        """Return tokens by constituent, all known tokens, and the number of complete days in the window of `day`."""
        return self._once("window", self._window, day)

    def _window(self, day: date) -> tuple[dict[str, int], int, int]:
        rule = self.document["volumes"]
        lag, length = timedelta(days=rule["lag_days"]), timedelta(days=rule["window_days"])
        tokens: dict[str, int] = defaultdict(int)
        known, days = 0, set()
        for rows in self.volumes.values():
            start, end = rows[0]["period_start"], rows[0]["period_end"]
            if end + lag > day or day >= start + lag + length:
                continue
            latest = self._told(rows, day)
            if latest is None:
                continue
            seller = tuple(latest[name] for name in SERIES[:5])
            alone = self._once("alone", self._alone, day, seller)
            if (start, end) not in alone:
                continue
            amount, _ = alone[start, end]
            known += amount
            days |= set(days_of(latest))
            mapping = self.mapped(latest, start)
            if mapping and latest["service_tier"] in rule["service_tiers"]:
                tokens[mapping["constituent"]] += amount
        counted = {name: amount for name, amount in tokens.items() if amount > 0}
        return (counted if len(days) >= rule["min_days"] else {}), known, len(days)

    def _told(self, rows: Sequence[Row], day: date) -> Row | None:
        """Return the last revision known by then; None if there is none or its period was not over."""
        latest = next((row for row in reversed(rows) if self.visible(row, day)), None)
        return None if latest is None or latest["partial"] else latest

    def _alone(self, day: date, seller: tuple[Any, ...]) -> dict[tuple[date, date], tuple[int, set[date]]]:
        """Return, of each period of a seller that counts, its tokens and the days that no finer period covers.

        The finest is taken first: the shortest, and of those as long the one that begins first. Every later one gives
        its tokens less what those before it say of its days, each taken to be used evenly on the days that it has alone.
        """
        found: dict[tuple[date, date], tuple[int, set[date]]] = {}
        covered: set[date] = set()
        told = self._once("told", self._told_for, day, seller)
        for row in sorted(told, key=lambda r: (r["period_end"] - r["period_start"], r["period_start"])):
            mine = set(days_of(row))
            before = sum(
                half_even(Fraction(amount * len(theirs & mine), len(theirs))) for amount, theirs in found.values()
            )
            if mine - covered:
                found[row["period_start"], row["period_end"]] = max(0, row["tokens"] - before), mine - covered
            covered |= mine
        return found

    def _told_for(self, day: date, seller: tuple[Any, ...]) -> list[Row]:
        told = (self._told(rows, day) for rows in self.volumes.values())
        return [row for row in told if row and tuple(row[name] for name in SERIES[:5]) == seller]

    # 9: baskets

    def rebalance_dates(self) -> list[date]:
        """Return the base date and the later dates after which a new basket takes over."""
        rule = self.document["formula"]
        months = sorted({(d.year, d.month) for d in self.dates})
        found = {
            next((d for d in self.dates if d >= date(year, month, rule["rebalance_day"])), rule["base_date"])
            for year, month in months
        }
        return [rule["base_date"], *sorted(d for d in found if d > rule["base_date"])]

    def baskets(self, until: date) -> list[dict[str, Any]]:
        """Return every basket that could be formed and linked up to `until`."""
        chain: list[dict[str, Any]] = []
        for takes_over in self.rebalance_dates():
            if takes_over <= until:
                chain = self._once("chain", self._chain, takes_over, tuple(b["takes_over_after"] for b in chain))
        return chain

    def _chain(self, takes_over: date, before: tuple[date, ...]) -> list[dict[str, Any]]:
        chain = self._memo["chain", before[-1], before[:-1]] if before else []
        rule = self.document["formula"]
        basket = self._formed(takes_over)
        if basket is None:
            return chain
        if takes_over == rule["base_date"]:
            level: int | None = nano(rule["base_level"])
        else:
            level = (
                self._level(chain[-1], takes_over)
                if chain and self._meets_some_minimums(chain[-1], takes_over)
                else None
            )
        cost = self._cost(basket, takes_over)
        if not level or cost is None:
            return chain
        basket["divisor"] = half_even(cost * NANO / level)
        return [*chain, basket] if basket["divisor"] else chain

    def _meets_some_minimums(self, basket: Row, day: date) -> bool:
        used = {name: fact for name, fact in self.used(day).items() if name in basket["weights"]}
        observed = sum(basket["weights"][name] for name, (_, at, _) in used.items() if at == day)
        coverage = ratio(observed, sum(basket["weights"].values())) or 0
        return any(
            len(used) >= rule["constituents"]
            and len({self.vendor_of[name] for name in used}) >= rule["vendors"]
            and coverage >= Fraction(rule["coverage"]) * NANO
            for rule in self.document["waterfall"]
            if rule["rule"] == "minimums"
        )

    def _formed(self, takes_over: date) -> dict[str, Any] | None:
        rule = self.document["formula"]
        number = self.number[takes_over] - rule["announce_dates"]
        if number < 0:
            return None
        announced = self.dates[number]
        prices, (tokens, _, _) = self.used(announced), self.window(announced)
        fresh = [name for name in prices if prices[name][1] == announced]
        worth = {name: prices[name][0] * tokens[name] for name in fresh if tokens.get(name, 0) > 0}
        names = sorted(worth, key=lambda name: (-worth[name], name))[: rule["max_constituents"]]
        vendors = [self.vendor_of[name] for name in names]
        caps = {"model_cap": Fraction(rule["model_cap"]), "vendor_cap": Fraction(rule["vendor_cap"])}
        shares = capped_shares([worth[name] for name in names], vendors, **caps)
        if shares is None:
            return None
        weights = dict(zip(names, whole_weights(shares, names, vendors, **caps), strict=True))
        base = {name: prices[name][0] for name in names}
        quantities = {name: half_even(Fraction(weights[name] * rule["notional"] * 10**6, base[name])) for name in names}
        members = sorted(name for name in names if quantities[name] > 0)
        return {
            "announced_on": announced,
            "takes_over_after": takes_over,
            "shares": dict(zip(names, shares, strict=True)),
            "weights": {name: weights[name] for name in members},
            "base_prices": {name: base[name] for name in members},
            "quantities": {name: quantities[name] for name in members},
        }

    def _cost(self, basket: Row, day: date) -> Fraction | None:
        """Return what the basket costs, members without a price moving with the others."""
        base, quantities, used = basket["base_prices"], basket["quantities"], self.used(day)
        there = [name for name in quantities if name in used]
        if not there:
            return None
        whole = sum(quantities[name] * base[name] for name in quantities)
        now = sum(quantities[name] * used[name][0] for name in there)
        return Fraction(now * whole, sum(quantities[name] * base[name] for name in there))

    def _level(self, basket: Row, day: date) -> int | None:
        cost = self._cost(basket, day)
        decimals = self.document["publication"]["level_decimals"]
        return None if cost is None else rounded(cost / basket["divisor"], decimals)

    # the formulas

    def members(self, day: date) -> dict[str, tuple[int, int]]:
        """Return (quantity, weight) of every member on the date."""
        basket = self.basket(day)
        if basket is not None:
            return {name: (basket["quantities"][name], basket["weights"][name]) for name in basket["quantities"]}
        if self.document["formula"]["rule"] == "fixed_basket":
            return {}
        tokens, _, _ = self.window(day)
        return {name: (tokens[name], tokens[name]) for name in tokens if name in self.measured}

    def basket(self, day: date) -> dict[str, Any] | None:
        """Return the basket in force on the date."""
        if self.document["formula"]["rule"] != "fixed_basket":
            return None
        chain = self.baskets(day)
        if chain and chain[0]["takes_over_after"] == day:
            return chain[0]
        return next((b for b in reversed(chain) if b["takes_over_after"] < day), None)

    def calculated(self, day: date) -> dict[str, Any]:
        """Return the figures of the date before the waterfall decides what is published."""
        return self._once("calculated", self._calculated, day)

    def _calculated(self, day: date) -> dict[str, Any]:
        members, every = self.members(day), self.used(day)
        used = {name: every[name] for name in members if name in every}
        tokens, known, days = self.window(day)
        whole = sum(weight for _, weight in members.values())
        weight = sum(members[name][1] for name in used)
        fresh = sum(members[name][1] for name, (_, at, _) in used.items() if at == day)
        counted = sum(tokens.get(name, 0) for name in used)
        facts: dict[str, Any] = {
            "constituents": len(used),
            "carried": sum(at < day for _, at, _ in used.values()),
            "vendors": len({self.vendor_of[name] for name in used}),
            "members": len(members),
            "coverage": ratio(fresh, whole) if used else None,
            "volume_coverage": ratio(counted, known),
            "volume": known or None,
            "volume_days": days,
            "oldest_price_dates": max((self.number[day] - self.number[at] for _, at, _ in used.values()), default=None),
        }
        for tier in (1, 2, 3):
            of_tier = sum(members[name][1] for name in used if used[name][2] == tier)
            facts[f"weight_tier_{tier}"] = ratio(of_tier, weight)
        ladder = sorted((price, members[name][0]) for name, (price, _, _) in used.items())
        for percent in (1, 25, 75, 99):
            facts[f"p{percent:02d}"] = percentile(ladder, percent)
        facts["price"], facts["level"] = self._figures(day, members, used)
        return facts

    def _figures(self, day: date, members: Row, used: Row) -> tuple[int | None, int | None]:
        if not used:
            return None, None
        decimals = self.document["publication"]["price_decimals"]
        basket = self.basket(day)
        if basket is None:
            worth = sum(members[name][0] * used[name][0] for name in used)
            return rounded(Fraction(worth, sum(members[name][0] for name in used) * NANO), decimals), None
        cost = self._cost(basket, day)
        assert cost is not None
        price = rounded(cost / sum(basket["quantities"].values()) / NANO, decimals)
        return price, self._level(basket, day)

    # 10: the waterfall

    def fixing(self, day: date) -> dict[str, Any]:
        """Return the published fixing of the date."""
        return self._once("fixing", self._fixing, day)

    def _fixing(self, day: date) -> dict[str, Any]:
        facts = self.calculated(day)
        for rung, rule in enumerate(self.document["waterfall"], start=1):
            outcome = {"status": rule["status"], "rung": rung, "kind": rule["rule"]}
            if rule["rule"] == "minimums":
                enough = facts["constituents"] >= rule["constituents"] and facts["vendors"] >= rule["vendors"]
                if facts["price"] is not None and enough and facts["coverage"] >= Fraction(rule["coverage"]) * NANO:
                    return {**facts, **outcome, "dates_stale": 0}
            elif rule["rule"] == "carry_forward":
                for before in self.earlier(day, reach=rule["max_dates"]):
                    source = self.fixing(before)
                    if source["kind"] == "minimums":
                        figures = {name: source[name] for name in ("price", "level", "p01", "p25", "p75", "p99")}
                        stale = self.number[day] - self.number[before]
                        return {**facts, **figures, **outcome, "dates_stale": stale}
            else:
                assert rule["rule"] == "no_fixing"
                nothing = dict.fromkeys(("price", "level", "p01", "p25", "p75", "p99", "dates_stale"))
                return {**facts, **nothing, **outcome}
        raise AssertionError("the waterfall has no last rung")

    def constituents(self, day: date) -> dict[str, dict[str, Any]]:
        """Return the row of every constituent with a price, a price in use, or a weight."""
        prices, used, members = self.prices(day), self.used(day), self.members(day)
        tokens, _, _ = self.window(day)
        found = {}
        for name in sorted({*prices, *used, *members}):
            price: Row = prices.get(name, {"price": None, "source_tier": None, "sources": None})
            before = self.previous(name, day) if name in prices else None
            in_use = used.get(name, (None, None, None))
            quantity, weight = members.get(name, (None, None))
            found[name] = {
                **price,
                "vendor": self.vendor_of[name],
                "relative": None if before is None else half_even(Fraction(price["price"] * NANO, before)),
                "outlier_by": self.outliers(day).get(name),
                "used_price": in_use[0],
                "used_date": in_use[1],
                "used_tier": in_use[2],
                "tokens": tokens.get(name),
                "quantity": quantity,
                "weight": weight,
            }
        return found

    def everything(self, day: date) -> dict[str, Any]:
        """Return the fixing of the date with all it was made of."""
        fixed = self.document["formula"]["rule"] == "fixed_basket"
        return {
            "fixing": self.fixing(day),
            "constituents": self.constituents(day),
            "elementary": self.elementary(day),
            "observations": self.in_force(day),
            "baskets": self.baskets(day) if fixed else [],
        }


def reference_fixing(
    document: Row, inputs: Mapping[str, Sequence[Row]], day: date, known_at: datetime | None, component: str = ""
) -> dict[str, Any]:
    """Return one fixing, its constituents, elementary prices, observations in force and baskets."""
    return Reference(document, inputs, known_at, component).everything(day)


def _order(row: Row, complete: bool) -> tuple[Any, ...]:
    price = row["price"]
    moments = (row["known_at"], row["valid_from"]) if complete else (row["valid_from"], row["known_at"])
    return (*moments, price is None, Decimal(0) if price is None else price, row["capture"], row["locator"])


def reading(row: Row) -> tuple[Any, ...]:
    """Return what names the reading of a source that a row belongs to."""
    return row["source"], row["capture"], row["known_at"]


def days_of(row: Row) -> list[date]:
    """Return the days of the period of a volume."""
    return [row["period_start"] + timedelta(days=k) for k in range((row["period_end"] - row["period_start"]).days + 1)]


def nano(amount: Decimal | int) -> int:
    """Return an amount of at most nine decimals as whole nano."""
    exact = Fraction(amount) * NANO
    assert exact.denominator == 1
    return exact.numerator


def ratio(part: int, whole: int) -> int | None:
    """Return part over whole in nano; None where there is no whole."""
    return half_even(Fraction(part * NANO, whole)) if whole else None


def rounded(amount: Fraction, decimals: int) -> int:
    """Return `amount` rounded to `decimals` decimals, in nano."""
    step: int = 10 ** (9 - decimals)
    return half_even(amount * 10**decimals) * step


def standard_price(price: Decimal | None, unit: str, rate: int | None) -> int | None:
    """Return the price per million tokens in the currency of the index, in nano."""
    if price is None or rate is None:
        return None
    size = half_even(Fraction(price) * FACTORS[unit] * NANO)
    converted = half_even(Fraction(size * rate, NANO))
    return None if abs(size) > LARGEST or abs(converted) > LARGEST else converted


def held_row(row: Row) -> tuple[Any, ...]:
    """Return what tells a row from every other one."""
    return tuple(row[name] for name in (*QUOTE, "valid_from", "known_at", "price", "capture", "locator"))


def clock(text: str) -> int:
    """Return the seconds since midnight of ``HH:MM:SS``."""
    hours, minutes, seconds = map(int, text.split(":"))
    return hours * 3600 + minutes * 60 + seconds


def holds_at(row: Row, second: int) -> bool:
    """Return whether a quote for some hours holds at a second of the day."""
    start, end = clock(row["time_from"]), clock(row["time_to"])
    return start <= second < end if start < end else second >= start or second < end


def served(row: Row, length: int) -> int:
    """Return how many tokens of a prompt of `length` tokens the quote is paid for."""
    start: int = row["context_from"]
    end: int = length if row["context_to"] is None else min(length, row["context_to"])
    if row["marginal"]:
        return max(0, end - start)
    return length if start < length == end else 0


def workload_price(quotes: Sequence[Row], prompts: Sequence[tuple[int, Fraction]]) -> int | None:
    """Return the mean over prompts and hours of what the quotes of an offer cost; None if one is not covered."""
    hourly = [q for q in quotes if q["time_from"] is not None]
    edges = sorted({0, DAY} | {clock(q[end]) for q in hourly for end in ("time_from", "time_to")})
    cost = Fraction(0)
    for start, end in itertools.pairwise(edges):
        now = [q for q in hourly if holds_at(q, start)]
        replaced = {q["context_from"] for q in now}
        now += [q for q in quotes if q["time_from"] is None and q["context_from"] not in replaced]
        for length, share in prompts:
            if sum(served(q, length) for q in now) != length:
                return None
            paid = sum(served(q, length) * q["standard_price"] for q in now)
            cost += share * Fraction(end - start, DAY) * Fraction(paid, length)
    return half_even(cost)


def barred(row: Row) -> bool:
    """Return whether something besides a guard keeps the row out."""
    return row["excluded_by"] is not None and row["excluded_by"] != row["held_by"]


def screened(row: Row, screen: Row) -> str | None:
    """Return the reason code of the screen, or None if the row passes it."""
    name = screen["rule"]
    if name == "region":
        return "region" if row["region"] not in screen["allowed"] else None
    if name == "date_kind":
        return "date_kind" if row["date_kind"] not in screen["allowed"] else None
    if name == "not_alias":
        return "alias" if row["alias_of"] is not None else None
    if name == "positive_price":
        return "not_positive" if row["price"] <= 0 else None
    assert name == "price_bounds"
    price = row["standard_price"]
    inside = price is None or Fraction(screen["lowest"]) * NANO <= price <= Fraction(screen["highest"]) * NANO
    return None if inside else "price_bounds"


def percentile(ladder: Sequence[tuple[int, int]], percent: int) -> int | None:
    """Return the smallest price up to which at least `percent` per cent of the quantity is sold."""
    total, so_far = sum(quantity for _, quantity in ladder), 0
    for price, quantity in ladder:
        so_far += quantity
        if so_far * 100 >= percent * total:
            return price
    return None
