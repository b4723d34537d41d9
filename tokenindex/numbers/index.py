"""An index: its numbers, how they were made, and whether they may be chained.

*Reads* what the functions of this package computed. *Writes* a tidy table, an audit of every link and splice, and
contributions. *Never* changes: `chain` and `rebase` return another index. Its arithmetic is float64 and it says so: the
logarithm of numpy differs between processors, so a figure of this package is for research; fixings are exact, elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl

from .columns import Floats, Whole
from .faults import WrongSetting
from .panels import Panel

ARITHMETIC = "float64, research"
FIRST = ("period", "index", "items", "matched_share", "window", "splice_factor")


@dataclass(frozen=True, eq=False, kw_only=True)
class Links:
    """How each number of a chained or spliced index hangs on earlier ones, as arrays; one entry a link point.

    Attributes
    ----------
    period, first, last, at : array of int
        The new period, first and last period of the window that was computed for it, the earlier period it is linked at.
    level : array
        What the index would be by this link point alone. The geometric mean over the points of a period is the index.
    """

    period: Whole
    first: Whole
    last: Whole
    at: Whole
    level: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Index:
    """An index series that carries its table, settings and audit.

    Attributes
    ----------
    kind : {"direct", "links", "chained", "multilateral", "spliced"}
        ``direct``: each period against one base. ``links``: each against the one before, ready for `chain`. ``chained``:
        the product of links. ``multilateral``: one window that holds all periods, transitive. ``spliced``: windows
        spliced, never revised.
    frame : DataFrame
        One row a period: ``period``; ``index``; ``items`` compared, for links and chained with the period before, for
        a window with any other period of it; ``matched_share``, their share of the expenditure of the period (of the
        number of items if nothing weighs); ``window``, the number of periods computed together (null for direct);
        ``splice_factor``, by which the window's own figure (1 in its first period) was multiplied.
    settings : mapping
        Every argument, the number of missing cells, and ``arithmetic``.
    """

    kind: str
    frame: pl.DataFrame
    settings: Mapping[str, Any]
    panel: Panel
    links: Links | None = None
    scale: float = 1.0
    split: Callable[[str | None], pl.DataFrame] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", MappingProxyType({**self.settings, "arithmetic": ARITHMETIC}))

    def __repr__(self) -> str:
        first, last = self.frame["period"][0], self.frame["period"][-1]
        names = (f"{key} {self.settings[key]}" for key in self.settings if self.settings[key] is not None)
        return f"Index({self.kind}, {len(self.frame)} periods {first} to {last}; {', '.join(names)})"

    @property
    def chainable(self) -> bool:
        """Whether the numbers are links from period to period, of which `chain` makes a series."""
        return self.kind == "links"

    @cached_property
    def splices(self) -> pl.DataFrame:
        """The audit of every link and splice.

        One row a link point: ``period, window_first, window_last, linked_at, link`` (the index by this point alone),
        ``index`` (the geometric mean of the points). Empty for a direct index and for a single window.
        """
        periods, numbers = self.panel.periods, self.frame["index"]
        links = self.links or Links(
            **{n: np.zeros(0, np.int64) for n in ("period", "first", "last", "at")}, level=np.zeros(0)
        )
        names = {"period": links.period, "window_first": links.first, "window_last": links.last, "linked_at": links.at}
        columns = {name: periods.gather(where) for name, where in names.items()}
        return pl.DataFrame({**columns, "link": links.level * self.scale, "index": numbers.gather(links.period)})

    def chain(self) -> Index:
        """Return the product of the links, 1 in the first period.

        Raises
        ------
        WrongSetting
            If the numbers are not links: a direct index compares each period with one base, and a product of its
            numbers would count the same change many times.
        """
        if not self.chainable:
            raise WrongSetting(f"the index is {self.kind} and cannot be chained", expected="links(...) or chained(...)")
        link = self.frame["index"].to_numpy()[1:]
        level: Floats = np.cumprod(np.append(1.0, link))
        count = np.arange(1, len(level))
        audit = Links(period=count, first=count - 1, last=count, at=count - 1, level=level[1:])
        columns = {
            "index": pl.Series(level),
            "window": pl.Series([None, *[2] * len(link)], dtype=pl.Int64),
            "splice_factor": pl.Series([None, *level[:-1].tolist()], dtype=pl.Float64),
        }
        frame = pl.DataFrame({**self.frame.to_dict(), **columns})
        return replace(self, kind="chained", frame=frame, links=audit)

    def rebase(self, period: object) -> Index:
        """Return the index divided by its figure of a period.

        The formula's own base stays what it was: a direct Laspeyres index rebased is not the Laspeyres index of the other
        base, and ``settings["rebased_to"]`` says that it was done. Contributions are of the ratio, so they do not change.
        """
        if self.chainable:
            raise WrongSetting("links have no level to rebase", expected="chain() before rebase()")
        level = float(self.frame["index"][self.panel.position(period, name="period")])
        frame = self.frame.with_columns(pl.col("index", "splice_factor") / level)
        settings = {**self.settings, "rebased_to": period}
        return replace(self, frame=frame, settings=settings, scale=self.scale / level)

    def contributions(self, *, split: str | None = None) -> pl.DataFrame:
        """Return what each matched item did to each number.

        Parameters
        ----------
        split : {"reinsdorf", "van_ijzeren", "diewert"}, optional
            Which of the splits in use; required for Fisher and Carruthers–Sellwood–Ward–Dalén, see
            `tokenindex.numbers.formulas.contributions`.

        Returns
        -------
        DataFrame
            ``period, since, item`` and, for a bilateral formula, ``contribution``: the sum over items is the index of the
            period over that of ``since`` (the base, or the period before for links and chained), less 1. For a GEKS,
            ``factor``: the product over items is the index over that of ``since``, the first period; items by periods.

        Raises
        ------
        WrongSetting
            If the formula has no contributions that add up, or the split is missing or has no meaning.
        """
        if self.split is None:
            raise WrongSetting(f"a {self.kind} index of these settings has no contributions that add up")
        return self.split(split)
