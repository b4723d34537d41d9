"""Small invented markets: a methodology document and the five input tables, full of everything that can go wrong.

Hypothesis draws the parameters of the document and the sizes of the market; what happens day by day comes from a
`random.Random` with a drawn seed, so that one example costs milliseconds and is the same everywhere.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

FIRST = date(2026, 3, 2)
SCREENS = (
    'rule = "region"\nallowed = ["", "eu"]',
    'rule = "date_kind"\nallowed = ["declared", "first_seen"]',
    'rule = "not_alias"',
    'rule = "positive_price"',
    'rule = "price_bounds"\nlowest = 0.001\nhighest = 2000',
)
WORKLOADS = (
    ((8000, 1, 1, 1),),
    ((2000, 3, 0, 1), (8000, 5, 1, 2), (12000, 1, 4, 0)),
    ((1000, 7, 1, 1), (128000, 2, 3, 5)),
)
"""Lengths of prompts with the parts of input, cache read and output used with them."""
GUARDS = (
    "[]",
    "[]",
    '[{ rule = "unconfirmed_jump", bound = 1.4, held_until = "confirmed" }]',
    '[{ rule = "unit_factor", factors = [10, 1000], tolerance = 0.1, held_until = "second_source" }]',
)
COMPONENTS = ("input", "cache_read", "output")
UNITS = {"per_token": 6, "per_1k_tokens": 3, "per_1m_tokens": 0, "cents_per_token": 4}


@dataclass(repr=False)
class Market:
    """A document (text), the rows of the input tables, and what to ask of them."""

    text: str
    days: list[date]
    known_at: datetime
    component: str
    inputs: dict[str, list[dict[str, Any]]] = field(repr=False)

    def __repr__(self) -> str:
        return f"<market of {len(self.inputs['observations'])} observations, known at {self.known_at}>\n{self.text}"


@st.composite
def markets(draw: Any, *, late_rates: bool = False) -> Market:
    """Return markets of 3 to 8 models over 15 to 40 days; `late_rates`: published late, out of order and corrected."""
    length = draw(st.sampled_from([40, 35, 30, 24, 15]))
    calendar = {
        "offset": draw(st.sampled_from(["+00:00", "+08:00", "-05:30"])),
        "cut_off": draw(st.sampled_from(["16:00", "00:30", "23:59"])),
        "weekdays": draw(st.sampled_from([[1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5]])),
        "closed": draw(st.lists(st.integers(0, 45), max_size=3, unique=True)),
    }
    mix = draw(
        st.sampled_from(
            [
                "{ input = 3, output = 1 }",
                "{ output = 1 }",
                "{ input = 242, cache_read = 726, output = 32 }",
                "{ cache_read = 2, input = 1 }",
            ]
        )
    )
    fixed = draw(st.sampled_from([True, True, True, False]))
    component = draw(st.sampled_from(["", "", "whole", "first"]))
    text = _document(draw, calendar=calendar, mix=mix, fixed=fixed)
    world = _World(
        random=random.Random(draw(st.integers(0, 2**32))),
        models=draw(st.sampled_from([8, 7, 6, 5, 4, 3])),
        vendors=draw(st.sampled_from([4, 3, 2])),
        sources=draw(st.integers(2, 3)),
        length=length,
        trouble=draw(st.sampled_from([0.3, 0.6, 1.2])),
        late_rates=late_rates,
    )
    closed = {FIRST + timedelta(days=k) for k in calendar["closed"]}
    days = [FIRST + timedelta(days=k) for k in range(8, length)]
    days = [d for d in days if d.isoweekday() in calendar["weekdays"] and d not in closed]
    first = mix.strip("{ }").split(" = ")[0]
    return Market(
        text=text,
        days=days,
        known_at=datetime(2026, 3, 2, tzinfo=UTC) + timedelta(days=draw(st.sampled_from([60, 45, 30, 22, 14]))),
        component=first if component == "first" else "",
        inputs=world.tables(),
    )


def _prompts(length: int, input: int, cache_read: int, output: int) -> str:
    parts = f"input = {input}, cache_read = {cache_read}, output = {output}"
    return f"[[workloads.prompts]]\ntokens = {length}\nparts = {{ {parts} }}\n"


def _document(draw: Any, *, calendar: dict[str, Any], mix: str, fixed: bool) -> str:
    closed = ", ".join((FIRST + timedelta(days=k)).isoformat() for k in calendar["closed"])
    opening = [FIRST + timedelta(days=k) for k in range(8, 18)]
    open_days = [
        d for d in opening if d.isoweekday() in calendar["weekdays"] and (d - FIRST).days not in calendar["closed"]
    ]
    carried = draw(st.sampled_from([1, 2, 5]))
    screens = draw(st.permutations(SCREENS))
    outliers = draw(
        st.permutations(
            [
                f'rule = "fixed_cutoff"\nfactor = {draw(st.sampled_from(["7.3", "2.9"]))}',
                f'rule = "robust_z"\ncutoff = {draw(st.sampled_from(["5", "2.5"]))}\n'
                f"floor = {draw(st.sampled_from(['0.11', '0.013']))}\nconfirming_sources = 2",
                'rule = "confirmed_jump"\nbound = 1.57\nconfirming_sources = 2',
                f'rule = "worse_tier"\ndates = {min(carried, draw(st.sampled_from([1, 2, 4])))}',
            ]
        )
    )[: draw(st.integers(0, 4))]
    model_cap, vendor_cap = draw(
        st.sampled_from([("0.4", "0.6"), ("1", "1"), ("1", "0.5"), ("0.35", "0.55"), ("0.15", "0.4")])
    )
    formula = (
        'rule = "volume_weighted_mean"'
        if not fixed
        else f"""rule = "fixed_basket"
base_date = {draw(st.sampled_from(open_days[:3]))}
base_level = {draw(st.sampled_from(["100", "1000", "99.5"]))}
rebalance_day = {draw(st.sampled_from([1, 15, 20, 28]))}
announce_dates = {draw(st.integers(1, 4))}
max_constituents = {draw(st.sampled_from([2, 4, 40]))}
model_cap = {model_cap}
vendor_cap = {vendor_cap}
notional = {draw(st.sampled_from([1, 1000, 1_000_000_000]))}"""
    )
    waterfall = draw(
        st.sampled_from(
            [
                [("determined", 3, 2, "0.8"), ("reduced", 1, 1, "0.3"), 3],
                [("determined", 2, 1, "0.99"), 2],
                [("determined", 4, 3, "1"), ("reduced", 2, 2, "0.6"), 1],
                [("determined", 1, 1, "0")],
            ]
        )
    )
    rungs = [
        f'[[waterfall]]\nrule = "carry_forward"\nstatus = "carried_{rung}"\nmax_dates = {rung}'
        if isinstance(rung, int)
        else f'[[waterfall]]\nrule = "minimums"\nstatus = "{rung[0]}"\nconstituents = {rung[1]}\n'
        f"vendors = {rung[2]}\ncoverage = {rung[3]}"
        for rung in waterfall
    ]
    window = draw(st.integers(2, 12))
    newline = "\n"
    return f"""guards = {draw(st.sampled_from(GUARDS))}

[identity]
index = "small"
version = "1.0.0"
name = "An invented index"
effective_from = {FIRST}
administrator = "nobody"

[measures]
statement = "Invented."
currency = "{draw(st.sampled_from(["USD", "USD", "CNY", "EUR"]))}"
kinds = ["text"]
vendors = {draw(st.sampled_from(["[]", "[]", '["v0", "v1", "v2"]']))}

[calendar]
offset = "{calendar["offset"]}"
cut_off = "{calendar["cut_off"]}"
weekdays = {calendar["weekdays"]}
closed = [{closed}]
opens = {FIRST + timedelta(days=draw(st.integers(-5, 1)))}
closes = 2026-12-31

[inputs]
max_days_unseen = {draw(st.sampled_from([9, 3, 1, 30]))}
rates = "ecb"
max_rate_age_days = {draw(st.sampled_from([1, 2, 5]))}
carry_dates = {carried}

[[inputs.prices]]
source = "alpha"
hosts = ["vendor"]
tier = 1

[[inputs.prices]]
source = "beta"
hosts = ["vendor"]
tier = 1

[[inputs.prices]]
source = "alpha"
hosts = ["host"]
tier = 2

[[inputs.prices]]
source = "gamma"
hosts = ["router", "vendor"]
tier = {draw(st.sampled_from([1, 3]))}

[volumes]
sources = ["usage", "clouds"]
components = ["total"]
service_tiers = ["standard", "batch"]
window_days = {window}
lag_days = {draw(st.integers(1, 4))}
min_days = {draw(st.integers(1, min(window, 4)))}

{newline.join(f"[[screens]]{newline}{screen}" for screen in screens)}

[release]
confirming_sources = 1
tolerance = 0.02
later_days = {draw(st.sampled_from([1, 2]))}

[[workloads]]
name = "invented"
measured = "Invented."
service_tiers = ["standard"]
mix = {mix}
instead = {draw(st.sampled_from(['{ cache_read = "input" }', "{}"])) if "cache" in mix else "{}"}

{newline.join(_prompts(*row) for row in draw(st.sampled_from(WORKLOADS)))}

[consolidation]
rule = "tiered_lower_median"
agreement = {draw(st.sampled_from(["0.02", "0", "0.25"]))}
min_agreeing = {draw(st.sampled_from(["0.5", "0.6", "0.99"]))}

{newline.join(f"[[outliers]]{newline}{rule}" for rule in outliers) if outliers else "NOOUTLIERS"}

[formula]
{formula}

{newline.join(rungs)}

[[waterfall]]
rule = "no_fixing"
status = "not_determined"

[publication]
price_decimals = {draw(st.sampled_from([2, 6, 9]))}
level_decimals = {draw(st.sampled_from([0, 4, 9]))}
vintages = {{ final = 0 }}

[restatement]
window_hours = 4
threshold = 0.0001
approvers = 2

[judgment]
allowed = ["release", "hold"]
""".replace("NOOUTLIERS", "").replace("[identity]", "[identity]" if outliers else "outliers = []\n\n[identity]", 1)


@dataclass
class _World:
    """What happens in a market, day by day."""

    random: random.Random
    models: int
    vendors: int
    sources: int
    length: int
    trouble: float
    late_rates: bool

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability * self.trouble

    def moment(self, day: float, *, spread: float = 1.0) -> datetime:
        hours = (day + self.random.random() * spread) * 24
        at = datetime.combine(FIRST, time(), tzinfo=UTC) + timedelta(hours=hours)
        return at.replace(minute=0, second=0, microsecond=0) if self.random.random() < 0.7 else at

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        self.made: dict[str, list[dict[str, Any]]] = {
            name: [] for name in ("observations", "volumes", "sightings", "unread", "rates", "registry")
        }
        self._exchange()
        truth = self._truth()
        for source in ("alpha", "beta", "gamma")[: self.sources]:
            complete = source == "gamma" or (self.sources == 2 and source == "beta")
            if complete:
                self._snapshots(source, truth)
            else:
                self._changes(source, truth)
        self._usage()
        for rows in self.made.values():
            self.random.shuffle(rows)
        return self.made

    # what is true

    def _truth(self) -> dict[tuple[int, str], list[tuple[float, Decimal]]]:
        """Return the price events (day, price in USD per million tokens) of every model and component."""
        events = {}
        for model in range(self.models):
            begins = self.random.uniform(0, self.length / 2) if self.chance(0.1) else -9.0
            for component, share in (("input", 1.0), ("cache_read", 0.25), ("output", 4.0)):
                size = round(share * 2 ** self.random.uniform(-2, 4), self.random.choice([1, 2, 2, 6]))
                price = Decimal(repr(size or 0.1))
                story = [(begins, price)]
                while self.chance(0.45) and len(story) < 4:
                    move = Decimal(self.random.choice(["0.5", "0.8", "1.02", "1.3", "1.7", "3.1", "9"]))
                    price = max(price * move, Decimal("0.01"))
                    day = self.random.uniform(max(begins, 0), self.length)
                    story.append((day, price.quantize(Decimal("0.000001"))))
                events[model, component] = sorted(story)
        return events

    def _sellers(self, source: str) -> list[tuple[str, str, int]]:
        """Return (provider, spelling, model) of everything that a source lists."""
        if not hasattr(self, "listed"):
            self.listed: dict[str, list[tuple[str, str, int]]] = {}
        if source in self.listed:
            return self.listed[source]
        found = []
        for model in range(self.models):
            vendor = f"v{model % self.vendors}"
            if self.chance(0.1):
                continue
            found.append((vendor, f"{source}-m{model}", model))
            self._map(source, vendor, f"{source}-m{model}", model, "router" if source == "gamma" else "vendor")
            if source == "alpha" and self.random.random() < 0.5:
                found.append(("cloud", f"m{model}@cloud", model))
                self._map(source, "cloud", f"m{model}@cloud", model, "host")
            if source == "beta" and self.chance(0.1):
                found.append(("cloud", f"m{model}@cloud", model))
                self._map(source, "cloud", f"m{model}@cloud", model, "host")
            if self.chance(0.1):
                found.append((vendor, f"{source}-m{model}-again", model))
                self._map(source, vendor, f"{source}-m{model}-again", model, "vendor")
        self.listed[source] = found
        return found

    def _map(self, source: str, provider: str, spelling: str, model: int, host: str) -> None:
        vendor = f"v{model % self.vendors}"
        row: dict[str, Any] = {
            "source": source,
            "provider": provider,
            "model": spelling,
            "vendor": vendor,
            "constituent": f"{vendor}/m{model}",
            "kind": "text",
            "host": host,
            "valid_from": None,
            "valid_to": None,
            "reference": "invented",
        }
        if self.chance(0.05):
            return
        if self.chance(0.05):
            row |= {"kind": "embedding", "constituent": f"{vendor}/e{model}"}
        if self.chance(0.12):
            day = FIRST + timedelta(days=self.random.randrange(self.length))
            self.made["registry"].append({**row, "valid_to": day})
            if self.chance(0.5):
                row["constituent"] += "-b"
            row["valid_from"] = day + timedelta(days=self.random.choice([0, 0, 3]))
            if self.chance(0.2):
                return
        self.made["registry"].append(row)

    # what is seen

    def _observation(
        self, source: str, seller: tuple[str, str, int], component: str, price: Decimal | None
    ) -> dict[str, Any]:
        provider, spelling, _ = seller
        unit, currency = "per_1m_tokens", "USD"
        if price is not None:
            chosen = random.Random(f"{self.models}{seller}{self.length}")  # the same on every day
            if chosen.random() < 0.25:
                currency = chosen.choice(["CNY", "CNY", "EUR", "GBP"])
                price = price * {"CNY": Decimal(7), "EUR": Decimal("0.9"), "GBP": Decimal("0.8")}[currency]
            unit = chosen.choice(["per_1m_tokens", "per_1m_tokens", "per_token", "per_1k_tokens", "cents_per_token"])
            price = price.scaleb(-UNITS[unit])
        return {
            "source": source,
            "provider": provider,
            "model": spelling,
            "component": component,
            "service_tier": "standard",
            "region": "",
            "context_from": 0,
            "context_to": None,
            "time_from": None,
            "marginal": None,
            "time_to": None,
            "time_zone": None,
            "quantization": None,
            "uptime": None,
            "discount": None,
            "alias_of": None,
            "price": price,
            "currency": currency,
            "unit": unit,
            "tax": "excluded",
            "valid_to": None,
            "date_kind": "declared",
            "reference": None,
            "licence": None,
            "locator": f"{spelling}/{component}",
        }

    def _variants(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the row, or rows instead of it that the screens should tell apart."""
        if row["price"] is None:
            return [row]
        pick = random.Random(f"{row['model']}{row['component']}{self.length}{self.models}")
        if pick.random() > 0.2 * self.trouble:
            return [row]
        kind = pick.randrange(12)
        double = row["price"] * 2
        if kind == 0:
            return [{**row, "context_to": 7999}, {**row, "context_from": 7999, "price": double, "locator": "long"}]
        if kind == 1:
            return [{**row, "context_to": 8000}, {**row, "context_from": 8000, "price": double, "locator": "long"}]
        if kind == 2:
            return [row, {**row, "service_tier": "batch", "price": row["price"] / 2}]
        if kind == 3:
            return [{**row, "region": "eu"}, {**row, "region": "cn", "price": double}]
        if kind == 4:
            return [{**row, "alias_of": "another"}]
        if kind == 5:
            return [row, {**row, "time_from": "00:30:00", "time_to": "08:30:00", "price": double}]
        if kind == 6:
            return [{**row, "date_kind": "undated"}]
        if kind == 8:  # two windows, one past midnight, in the zone of the seller
            morning = {"time_from": "09:00:00", "time_to": "12:00:00", "time_zone": "Asia/Shanghai"}
            night = {"time_from": "22:00:00", "time_to": "02:30:07", "time_zone": "Asia/Shanghai"}
            return [row, {**row, **morning, "price": double}, {**row, **night, "price": row["price"] / 4}]
        if kind == 9:  # windows without a price for the rest of the day, or with one for all of it
            other = {"time_from": "18:00:00", "time_to": pick.choice(["06:00:00", "05:00:00"])}
            return [{**row, "time_from": "06:00:00", "time_to": "18:00:00"}, {**row, **other, "price": double}]
        if kind == 10:  # only the tokens beyond cost more
            first = {**row, "context_to": 3000, "marginal": True}
            return [first, {**row, "context_from": 3000, "marginal": True, "price": double, "locator": "beyond"}]
        if kind == 11:  # a bracket is missing, or has hours of its own
            upper = {**row, "context_from": 5000, "price": double, "locator": "long"}
            hours = {"time_from": "00:00:00", "time_to": "08:00:00", "price": row["price"]}
            return [{**row, "context_to": 5000}, *pick.choice([[], [upper], [upper, {**upper, **hours}]])]
        return [row, {**row, "component": "cache_write", "price": double}]

    def _spoilt(self, price: Decimal) -> Decimal | None:
        """Return the price, or now and then something that a feed should not have said."""
        if not self.chance(0.06):
            return price
        wrong = ("0", "-1", "-0.000001", "10", "1000", "0.1", "999999999", "1.021", "1.02", "0.0001")
        factor = Decimal(self.random.choice(wrong))
        return None if self.random.random() < 0.25 else price * factor

    def _changes(self, source: str, truth: dict[tuple[int, str], list[tuple[float, Decimal]]]) -> None:
        """A source that tells changes with their dates, late, and corrects itself."""
        for seller in self._sellers(source):
            for component in ("input", "cache_read", "output"):
                if component == "cache_read" and self.random.random() < 0.4:
                    continue
                for day, price in truth[seller[2], component]:
                    late = self.random.choice([0, 0, 0, 1, 4])
                    valid, known = self.moment(day), self.moment(day + late)
                    rows = self._variants(self._observation(source, seller, component, self._spoilt(price)))
                    if self.chance(0.05):
                        ends = valid + timedelta(hours=self.random.randrange(24, 240))
                        rows = [{**row, "valid_to": ends} for row in rows]
                    for row in rows:
                        self._tell(row, valid, known)
                        if self.chance(0.15):  # a correction
                            other = self._spoilt(row["price"] * Decimal("1.01")) if row["price"] is not None else None
                            later = known + timedelta(hours=self.random.choice([0, 5, 60]))
                            self._tell({**row, "price": other}, valid, later)
                    if self.chance(0.08):
                        gone = self.moment(day + self.random.uniform(0, 9))
                        self._tell({**rows[0], "price": None, "valid_to": None}, gone, gone)
                        if self.random.random() < 0.5:
                            back = gone + timedelta(days=self.random.randrange(1, 6))
                            self._tell({**rows[0], "valid_to": None}, back, back)
        day = -3
        while day < self.length:
            seen = self.moment(day)
            known = seen + timedelta(hours=self.random.choice([0, 0, 1, 30]))
            self._sight(source, seen, known, complete=False, capture=f"look-{source}-{day}")
            for seller in self._sellers(source):
                if self.chance(0.06):
                    self._not_read(source, seller, self.random.choice(COMPONENTS), known, f"look-{source}-{day}")
            day += 12 if self.chance(0.06) else self.random.choice([1, 1, 1, 2])

    def _tell(self, row: dict[str, Any], valid: datetime, known: datetime) -> None:
        capture = f"{self.random.getrandbits(64):016x}"
        self.made["observations"].append({**row, "valid_from": valid, "known_at": known, "capture": capture})

    def _snapshots(self, source: str, truth: dict[tuple[int, str], list[tuple[float, Decimal]]]) -> None:
        """A source that is read as a whole: what is missing from the next reading was withdrawn."""
        day = -2
        away: dict[tuple[str, str, int], int] = {}
        capture = ""
        while day < self.length:
            seen = self.moment(day)
            known = seen + timedelta(hours=self.random.choice([0, 0, 0, 2, 40]))
            capture = capture if capture and self.chance(0.1) else f"snapshot-{source}-{day}"  # now and then seen again
            complete = not self.chance(0.03)
            self._sight(source, seen, known, complete=complete, capture=capture)
            for seller in self._sellers(source):
                if self.chance(0.02):
                    away[seller] = day + self.random.randrange(1, 6)
                if away.get(seller, -9) > day:
                    continue
                for component in COMPONENTS:
                    if self.chance(0.03):
                        self._not_read(source, seller, component, known, capture)
                        if self.random.random() < 0.8:  # or another record of it could be read
                            continue
                    price = next((p for at, p in reversed(truth[seller[2], component]) if at <= day), None)
                    if price is None:
                        continue
                    for row in self._variants(self._observation(source, seller, component, self._spoilt(price))):
                        told = {"valid_from": seen, "known_at": known, "capture": capture}
                        self.made["observations"].append({**row, **told})
            day += 8 if self.chance(0.05) else self.random.choice([1, 1, 2, 3])

    def _sight(self, source: str, seen: datetime, known: datetime, *, complete: bool, capture: str) -> None:
        row = {"source": source, "seen_at": seen, "complete": complete, "known_at": known, "capture": capture}
        self.made["sightings"].append({**row, "reference": None, "licence": None, "locator": ""})

    def _not_read(
        self, source: str, seller: tuple[str, str, int], component: str, known: datetime, capture: str
    ) -> None:
        """A record was rejected of which more or less is known: now and then not even whose it is."""
        known_of = {"provider": seller[0], "model": seller[1], "component": component}
        less: list[tuple[str, ...]] = [(), (), (), ("component",), ("component",), ("provider",)]
        less += [("model", "component"), ("provider", "component"), ("provider", "model", "component")]
        row = known_of | dict.fromkeys(self.random.choice(less))
        row |= {"source": source, "reason": "not_a_price", "known_at": known, "capture": capture}
        self.made["unread"].append({**row, "reference": None, "licence": None, "locator": "somewhere"})

    # what is used

    def _usage(self) -> None:
        sizes = [int(10 ** self.random.uniform(6, 9)) for _ in range(self.models)]
        free = self.random.randrange(self.models)
        for model in range(self.models):
            if not self.chance(0.05):
                self._map("usage", f"v{model % self.vendors}", f"u{model}", model, "router")
            self._map("clouds", "cloud", f"c{model}", model, "host")
        gap = self.random.randrange(self.length)
        weeks = self.random.randrange(4)  # the source counted weeks before it counted days
        for start, end in [(7 * w - 28, 7 * w - 22) for w in range(weeks)] + [
            (day, day) for day in range(7 * weeks - 28, self.length)
        ]:
            if self.chance(0.04) or (self.chance(0.8) and gap <= start < gap + 5):
                continue
            for model, size in enumerate(sizes):
                tokens = int(size * self.random.uniform(0.5, 1.5)) if not self.chance(0.04) else 0
                provider, spelling = f"v{model % self.vendors}", f"u{model}"
                self._volume("usage", provider, spelling, "total", "standard", (start, end), tokens)
                if model == free:
                    self._volume("usage", provider, spelling, "total", "free", (start, end), tokens * 2)
        for start in range(7 * weeks - 28, self.length, 7):
            if self.chance(0.3):
                contained = "usage" if self.random.random() < 0.6 else "elsewhere"
                for model in range(self.models):
                    for component in ("input", "output"):
                        days = (start, start + (6 if contained == "usage" else 0))
                        volume = ("clouds", "cloud", f"c{model}", component, "batch", days)
                        self._volume(*volume, int(sizes[model] * self.random.random()), contained=contained)
            if self.chance(0.4):  # the same tokens again, over some days together
                model, more = self.random.randrange(self.models), self.random.choice([1, 2, 6])
                again = ("usage", f"v{model % self.vendors}", f"u{model}", "total", "standard", (start, start + more))
                self._volume(*again, int(sizes[model] * self.random.uniform(0.5, more + 2)))
            if self.chance(0.3):
                self._volume("elsewhere", "x", "y", "total", "standard", (start, start), 10**9)

    def _volume(
        self,
        source: str,
        provider: str,
        model: str,
        component: str,
        service_tier: str,
        period: tuple[int, int],
        tokens: int,
        *,
        contained: str | None = None,
    ) -> None:
        row: dict[str, Any] = {
            "source": source,
            "scope": "router",
            "provider": provider,
            "model": model,
            "component": component,
            "service_tier": service_tier,
            "period_start": FIRST + timedelta(days=period[0]),
            "period_end": FIRST + timedelta(days=period[1]),
            "tokens": tokens,
            "requests": None,
            "spend": None,
            "currency": None,
            "partial": self.chance(0.02),
            "contained_in": contained,
            "known_at": self.moment(period[1] + 1, spread=2),
            "reference": None,
            "licence": None,
            "capture": f"{self.random.getrandbits(64):016x}",
            "locator": "",
        }
        self.made["volumes"].append(row)
        if self.chance(0.05):
            later = row["known_at"] + timedelta(hours=self.random.choice([0, 20, 90]))
            revised = {"tokens": tokens * 2, "partial": self.chance(0.1), "known_at": later, "locator": "revised"}
            self.made["volumes"].append({**row, **revised})

    def _exchange(self) -> None:
        day = -9
        rate = {"USD": Decimal("1.1"), "CNY": Decimal("7.8")}
        while day < self.length:
            for quote in rate:
                rate[quote] = (rate[quote] * Decimal(repr(self.random.uniform(0.99, 1.01)))).quantize(Decimal("0.0001"))
                dated = FIRST + timedelta(days=day)
                row = {"source": "ecb", "base": "EUR", "quote": quote, "rate_date": dated}
                known = datetime.combine(dated, time(15), tzinfo=UTC)
                if self.late_rates and self.chance(0.04):
                    continue
                if self.late_rates:
                    known = self.moment(day) + timedelta(hours=self.random.choice([0, 0, 30]))
                row |= {"rate": rate[quote], "known_at": known, "reference": None, "licence": None}
                row |= {"capture": f"{self.random.getrandbits(64):016x}", "locator": ""}
                self.made["rates"].append(row)
                if self.late_rates and self.chance(0.08):
                    later = known + timedelta(hours=self.random.choice([0, 20, 50]))
                    self.made["rates"].append({**row, "rate": rate[quote] + Decimal("0.01"), "known_at": later})
                if self.chance(0.05):
                    self.made["rates"].append({**row, "source": "rumour", "rate": rate[quote] * 2})
            day += 4 if self.chance(0.1) else self.random.choice([1, 1, 1, 3])
