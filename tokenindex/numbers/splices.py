"""Splices: how the figure of a new window is hung on the series that is published already.

*Reads* the logarithms of the levels of successive windows. *Writes* a series that is never revised, and where each figure
was linked. *Never* touches an earlier figure.

With the new window :math:`l`, the old one :math:`l'`, the series :math:`P`, the new period :math:`t` and a link point
:math:`s` that both windows hold:

- on the windows: :math:`\\ln P_t = \\ln P_{t-1} - (l'_{t-1} - l'_s) + (l_t - l_s)`;
- on the published series: :math:`\\ln P_t = \\ln P_s + (l_t - l_s)`.

========================= ==================================== ==================
splice                    link point                           on
========================= ==================================== ==================
movement                  the period before                    either, the same
window, wisp              the first of the new window          windows, published
half, hasp                the midpoint of a window             windows, published
mean, mean_published      all of them, their geometric mean    windows, published
fbew                      the last fixed base; the window is all periods from it
fbmw                      the last fixed base; the window moves
========================= ==================================== ==================

References: CPI Manual: Concepts and Methods (2020), chapter 10; Krsinich 2016 (window); de Haan 2015 (half); Diewert
and Fox 2017 (mean); Melser 2018 and Chessa 2019 (on the published series); Chessa 2016 (fixed base). A fixed base is every
`window` - 1 periods, so that a window of 13 months begins and ends in the same month.

Where packages differ. The midpoint of a half splice is that of the ``new`` window (IndexNumR, gpindex, PriceIndices) or of
the ``old`` one (StatsNZ, PyIndexNum); both are in use and up to 1.5% apart, so `midpoint` is required. For even windows the
midpoint is rounded down (position (W - 1) // 2 from 0) in both. The first window of FBEW is filled from the ``full`` window
(IndexNumR) or ``expanding`` from the first period (PriceIndices), so `start` is required there: only the second could have
been published in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .columns import Floats, Whole
from .faults import WrongSetting, choice, needs
from .index import Links

ROLLING = ("movement", "window", "half", "mean", "wisp", "hasp", "mean_published")
FIXED = ("fbew", "fbmw")
SPLICES = (*ROLLING, *FIXED)


@dataclass(frozen=True, eq=False)
class Window:
    """The levels of one window: first period, and the logarithm of the level of each from there on.

    A level may be a row of numbers, what each item adds to it: splices are linear, so they splice those as well.
    """

    first: int
    levels: Floats

    @property
    def last(self) -> int:
        """The newest period of the window."""
        return self.first + len(self.levels) - 1


@dataclass(frozen=True, eq=False)
class Series:
    """A spliced series: logarithms of the levels, of the factor of each window, window lengths, and the audit."""

    levels: Floats
    factors: Floats
    lengths: Whole
    links: Links


@dataclass(frozen=True, kw_only=True)
class Splice:
    """A splice with its conventions, checked."""

    name: str
    window: int
    midpoint: str | None
    start: str | None

    def __post_init__(self) -> None:
        choice("splice", self.name, SPLICES)
        needs("midpoint", self.midpoint, self.name in ("half", "hasp"), "half and hasp link at the middle of a window")
        if self.midpoint is not None:
            choice("midpoint", self.midpoint, ("new", "old"))
        if self.name in FIXED:
            needs("start", self.start, True, "packages begin FBEW and FBMW differently")
        if self.start is not None:
            choice("start", self.start, ("full", "expanding"))
        if self.midpoint == "old" and self.window < 3:
            raise WrongSetting(f"window is {self.window}", expected="at least 3 for the middle of the old window")

    @property
    def published(self) -> bool:
        """Whether the link is to the published series."""
        return self.name in ("wisp", "hasp", "mean_published", *FIXED)

    @property
    def points(self) -> Whole:
        """The link points as positions in the new window."""
        width = self.window
        middle = (width - 1) // 2 - (self.midpoint == "old")
        known = {"movement": [width - 2], "window": [0], "wisp": [0], "half": [middle], "hasp": [middle]}
        return np.array(known.get(self.name, list(range(width - 1))))

    def base(self, period: int) -> int:
        """Return the fixed base of a period."""
        return (period - 1) // (self.window - 1) * (self.window - 1)

    def plan(self, count: int) -> list[tuple[int, int]]:
        """Return first and last period of each window of `count` periods, in the order of publication."""
        width = min(self.window, count)
        head = [(0, n) for n in range(width)] if self.start == "expanding" else [(0, width - 1)]
        if self.name == "fbew":
            return head + [(self.base(n), n) for n in range(width, count)]
        return head + [(n - self.window + 1, n) for n in range(width, count)]


def spliced(splice: Splice, windows: Sequence[Window], count: int) -> Series:
    """Return the series of the windows that `Splice.plan` asked for."""
    levels = np.zeros((count, *windows[0].levels.shape[1:]))
    factors, lengths = np.zeros_like(levels), np.zeros(count, dtype=np.int64)
    audit: list[tuple[int, int, Whole, Floats]] = []
    old: Window | None = None
    points = splice.points
    for new in windows:
        last = new.last
        if new.first == 0 and last < splice.window:
            # the first window, or one that expands within it, has its base in the first period
            part = slice(0, last + 1) if splice.start != "expanding" else slice(last, last + 1)
            levels[part] = (new.levels - new.levels[0])[part]
            lengths[part] = last + 1
        else:
            at, link = _links(splice, points, new, old, levels)
            levels[last] = link.sum(axis=0) / len(link)
            factors[last] = levels[last] - (new.levels[-1] - new.levels[0])
            lengths[last] = len(new.levels)
            audit.append((new.first, last, at, link))
        old = new
    return Series(levels, factors, lengths, _audit(audit))


def _links(splice: Splice, points: Whole, new: Window, old: Window | None, levels: Floats) -> tuple[Whole, Floats]:
    """Return the periods at which a window is linked and what each link alone would give."""
    if splice.name in FIXED:
        at = np.array([splice.base(new.last)])
        return at, levels[at] + (new.levels[-1] - new.levels[at - new.first])
    at = points + new.first
    growth = new.levels[-1] - new.levels[points]
    if splice.published:
        return at, levels[at] + growth
    assert old is not None
    return at, levels[new.last - 1] - (old.levels[-1] - old.levels[at - old.first]) + growth


def _audit(audit: list[tuple[int, int, Whole, Floats]]) -> Links:
    sizes = [len(at) for _, _, at, _ in audit]
    last = np.repeat(np.array([n for _, n, _, _ in audit], dtype=np.int64), sizes)
    first = np.repeat(np.array([n for n, _, _, _ in audit], dtype=np.int64), sizes)
    at = np.concatenate([at for _, _, at, _ in audit]) if audit else np.zeros(0, dtype=np.int64)
    level = np.exp(np.concatenate([link for *_, link in audit])) if audit else np.zeros(0)
    return Links(period=last, first=first, last=last, at=at, level=level)
