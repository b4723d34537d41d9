"""The methodology: the definition of one version of one index, and of the variants that it names.

*Reads* nothing: `tokenindex.documents` makes it from the text of a document. *Writes* nothing. *Never* holds a value that
does not stand in the document.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from functools import cached_property
from math import lcm
from typing import Any, NamedTuple

from .errors import MethodologyError
from .periods import Calendar
from .rules.consolidation import Consolidate
from .rules.formulas import FixedBasket, VolumeWeightedMean
from .rules.guards import Guard, Release
from .rules.outliers import Outlier
from .rules.screens import Screen
from .rules.waterfall import CarryForward, Rung


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Which index, which version, since when."""

    index: str
    version: str
    name: str
    effective_from: date
    administrator: str


class Measures(NamedTuple):
    """What the index measures: currency, kinds of model, and vendors (empty: every vendor)."""

    statement: str
    currency: str
    kinds: tuple[str, ...]
    vendors: tuple[str, ...]


class PriceInput(NamedTuple):
    """A source of prices, the hosts of it that are allowed, and the tier these belong to (1 is best, 3 is last)."""

    source: str
    hosts: tuple[str, ...]
    tier: int


class Allowed(NamedTuple):
    """What may enter. `max_days_unseen` and `max_rate_age_days` are calendar days, `carry_dates` fixing dates."""

    prices: tuple[PriceInput, ...]
    max_days_unseen: int
    rates: str
    max_rate_age_days: int
    carry_dates: int

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources of prices, in order."""
        return tuple(sorted({p.source for p in self.prices}))


class Volumes(NamedTuple):
    """The window of complete days whose tokens count: `window_days` days, the last one `lag_days` before the fixing."""

    sources: tuple[str, ...]
    components: tuple[str, ...]
    service_tiers: tuple[str, ...]
    window_days: int
    lag_days: int
    min_days: int


class Prompts(NamedTuple):
    """Prompts of one length, in tokens, and the parts of each component's tokens that are used with them."""

    tokens: int
    parts: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The usage under which the prices of a model are one number; it is spread evenly over the hours of a day.

    Parameters
    ----------
    name : str
        Such as ``chat``.
    measured : str
        Where the numbers come from.
    service_tiers : tuple of str
        The classes of service that are bought.
    mix : dict of str to int
        Parts of each component.
    instead : dict of str to str
        The component that is paid for where a seller does not sell one of the mix on its own.
    prompts : tuple of Prompts
        How the tokens of each component are used with prompts of several lengths.
    """

    name: str
    measured: str
    service_tiers: tuple[str, ...]
    mix: dict[str, int]
    instead: dict[str, str]
    prompts: tuple[Prompts, ...]

    def total(self, component: str) -> int:
        """Return the parts of all lengths together."""
        return sum(p.parts.get(component, 0) for p in self.prompts)

    @cached_property
    def whole(self) -> int:
        """The weight of a price that holds for every prompt; a multiple of every length and of every total."""
        totals = (self.total(component) for component in {name for p in self.prompts for name in p.parts})
        return lcm(*(p.tokens for p in self.prompts)) * lcm(*filter(None, totals))

    @property
    def components(self) -> tuple[str, ...]:
        """The components whose prices are looked at."""
        return (*self.mix, *self.instead.values())


class Publication(NamedTuple):
    """Decimals of the published price (at most 9) and level (at most 9), and the vintages of a fixing.

    `vintages` gives the hours after the cut-off up to which what is known counts for a vintage: ``{"final": 0}``, or
    ``{"provisional": 0, "final": 24}``. A fixing is published once in every vintage, in this order.
    """

    price_decimals: int
    level_decimals: int
    vintages: dict[str, int]


class Restatement(NamedTuple):
    """When a published figure is replaced: within so many hours of its publication, by at least this relative change.

    What comes later, or changes less, goes into a series of corrected figures, and what was published stands. Either needs
    so many `approvers`, two at least.
    """

    window_hours: int
    threshold: Decimal
    approvers: int


class Judgment(NamedTuple):
    """What people may decide about single prices: ``release``, ``hold``, or nothing. Each needs a second person."""

    allowed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Methodology:
    """One version of one index, ready to determine. Build it with `tokenindex.load`."""

    identity: Identity
    measures: Measures
    calendar: Calendar
    inputs: Allowed
    volumes: Volumes
    guards: tuple[Guard, ...]
    release: Release
    screens: tuple[Screen, ...]
    workloads: tuple[Workload, ...]
    consolidation: Consolidate
    outliers: tuple[Outlier, ...]
    formula: FixedBasket | VolumeWeightedMean
    waterfall: tuple[Rung, ...]
    publication: Publication
    restatement: Restatement
    judgment: Judgment
    sha256: str
    meaning: str
    """SHA-256 of the parsed content: a changed comment leaves it as it is."""
    tables: Mapping[str, Any] = field(repr=False, compare=False)
    text: bytes = field(repr=False, compare=False)
    """The bytes of the document."""
    component: str = ""
    variant: str = ""

    @property
    def index(self) -> str:
        """The name of the index, with ``:workload`` and ``.component`` where it is one of another workload or of one."""
        workload, component = f":{self.variant}" * bool(self.variant), f".{self.component}" * bool(self.component)
        return self.identity.index + workload + component

    @property
    def workload(self) -> Workload:
        """The workload in use: the first of the document, or the one that was asked for."""
        return next(w for w in self.workloads if self.variant in ("", w.name))

    @property
    def version(self) -> str:
        """The version of the document."""
        return self.identity.version

    def for_component(self, component: str) -> Methodology:
        """Return the same methodology for one component alone: its mix is nothing but that component.

        Raises
        ------
        MethodologyError
            If the mix of the workload does not hold the component.
        """
        workload = self.workload
        if component not in workload.mix:
            raise MethodologyError(
                f"{self.index} has no component {component!r}",
                expected="one of " + ", ".join(workload.mix),
                where=self.identity.index,
            )
        instead = {part: other for part, other in workload.instead.items() if part == component}
        alone = replace(workload, mix={component: 1}, instead=instead)
        return replace(self, component=component, workloads=(alone,))

    def for_workload(self, name: str) -> Methodology:
        """Return the same methodology under another workload of the document.

        Raises
        ------
        MethodologyError
            If the document has no workload of that name.
        """
        known = [w.name for w in self.workloads]
        if name not in known:
            raise MethodologyError(
                f"{self.identity.index} has no workload {name!r}",
                expected="one of " + ", ".join(known),
                where=self.identity.index,
            )
        return replace(self, variant=name)

    def named(self, index: str) -> Methodology:
        """Return the methodology of `index`: of a workload (``tix:agentic``), a component (``tix.output``) or of both."""
        whole, point, component = index.partition(".")
        _, colon, workload = whole.partition(":")
        chosen = self.for_workload(workload) if colon else self
        return chosen.for_component(component) if point else chosen

    @property
    def asks(self) -> tuple[Hashable, ...]:
        """What the observations in use depend on before they are screened."""
        return self.measures.currency, self.inputs, self.guards, self.release, self.judgment

    @property
    def carried(self) -> int:
        """Fixing dates over which the waterfall may carry a figure forward."""
        return max((rung.max_dates for rung in self.waterfall if isinstance(rung, CarryForward)), default=0)

    @property
    def lookback(self) -> int:
        """Fixing dates before a date on which its figure can depend (besides rebalance dates)."""
        return 2 * self.inputs.carry_dates + self.carried

    def __repr__(self) -> str:
        since = self.identity.effective_from
        return f"<Methodology {self.index} {self.version} in force from {since} {self.sha256[:12]}>"


def in_force(documents: Iterable[Methodology], *, index: str, day: date) -> Methodology:
    """Return the version of `index` (or of a workload or component of it, see `Methodology.named`) in force on `day`.

    Raises
    ------
    MethodologyError
        If no version is in force yet, or two versions took effect on the same date.
    """
    name = index.partition(".")[0].partition(":")[0]
    known = list({m.sha256: m for m in documents}.values())  # a copy of a document is the same document
    versions = [m for m in known if m.identity.index == name]
    if not versions:
        names = sorted({m.identity.index for m in known})
        raise MethodologyError(f"no document defines {name!r}", expected="one of " + ", ".join(names), where=index)
    started = [m for m in versions if m.identity.effective_from <= day]
    if not started:
        first = min(m.identity.effective_from for m in versions)
        raise MethodologyError(f"no version is in force on {day}", expected=f"a date from {first} on", where=index)
    latest = max(m.identity.effective_from for m in started)
    chosen = [m for m in started if m.identity.effective_from == latest]
    if len(chosen) > 1:
        raise MethodologyError(
            f"versions {', '.join(sorted(m.version for m in chosen))} are both in force from {latest}",
            expected="one version in force on a date",
            remedy="give one of the documents another effective_from",
            where=index,
        )
    return chosen[0].named(index)


def differences(old: Methodology, new: Methodology) -> list[tuple[str, str, str]]:
    """Return every key that differs between two documents as ``(key, old, new)``; an absent side is empty text."""
    a, b = dict(_leaves(old.tables)), dict(_leaves(new.tables))
    return [(key, a.get(key, ""), b.get(key, "")) for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)]


def _leaves(node: Any, path: str = "") -> Iterable[tuple[str, str]]:
    if isinstance(node, Mapping):
        for key, child in node.items():
            yield from _leaves(child, f"{path}.{key}" if path else key)
    elif isinstance(node, list) and any(isinstance(child, dict) for child in node):
        for position, child in enumerate(node, start=1):
            yield from _leaves(child, f"{path}[{position}]")
    else:
        yield path, str(node)
