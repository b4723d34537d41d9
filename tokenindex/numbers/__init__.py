"""Index numbers of anybody's prices: bilateral and multilateral formulas, splices, and contributions.

*Reads* a long table ``period, item, price, quantity``. *Writes* an `Index`. *Never* takes part in a fixing: the arithmetic
is float64, for research, and the figures say so.

    >>> from tokenindex.numbers import bilateral
    >>> table = {"period": [1, 1, 2, 2], "item": ["a", "b", "a", "b"], "price": [1, 2, 2, 2], "quantity": [3, 1, 1, 3]}
    >>> bilateral(table, formula="laspeyres", base=1).frame["index"].to_list()
    [1.0, 1.6]
"""

from __future__ import annotations

from .bilaterals import bilateral, chained, links
from .faults import Disconnected, Duplicates, NoOverlap, WrongSetting
from .formulas import FORMULAS
from .index import Index
from .multilaterals import multilateral
from .panels import Panel, panel

__all__ = [
    "FORMULAS",
    "Disconnected",
    "Duplicates",
    "Index",
    "NoOverlap",
    "Panel",
    "WrongSetting",
    "bilateral",
    "chained",
    "links",
    "multilateral",
    "panel",
]
