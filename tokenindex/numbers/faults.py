"""The named errors of index numbers: what a table lacks before a number can be made of it.

*Reads* nothing. *Writes* errors that list periods and items. *Never* lets a comparison without a common item pass as a
number.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InputDataError

SHOWN = 5


def some(names: Sequence[object]) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(str(name) for name in names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


class NoOverlap(InputDataError):
    """Two periods share no item that weighs anything, so no bilateral index compares them.

    Parameters
    ----------
    pairs : sequence of (period, period)
        The comparisons that cannot be made.
    """

    def __init__(self, pairs: Sequence[tuple[object, object]]) -> None:
        self.blocks = tuple(pairs)
        super().__init__(
            f"no common item of weight in {some([f'{a} and {b}' for a, b in pairs])}",
            expected="an item that has a price and, where the formula weighs, a quantity in both periods",
            remedy="choose another base, a chained or a multilateral index, or impute the missing prices",
        )


class Disconnected(InputDataError):
    """The graph of periods and items falls apart: between its blocks no price comparison exists.

    Parameters
    ----------
    blocks : sequence of sequence of period
        The periods of each block.
    """

    def __init__(self, blocks: Sequence[Sequence[object]]) -> None:
        self.blocks = tuple(tuple(block) for block in blocks)
        listed = "; ".join(f"[{some(block)}]" for block in self.blocks[:SHOWN])
        super().__init__(
            f"the periods of a window fall into {len(self.blocks)} blocks without a common item: {listed}",
            expected="a chain of common items between any two periods",
            remedy="index each block by itself, or impute prices that connect them",
        )


class Duplicates(InputDataError):
    """An item has more than one row in a period and no way of joining them was declared."""

    def __init__(self, cells: Sequence[tuple[object, object]]) -> None:
        self.cells = tuple(cells)
        super().__init__(
            f"more than one row of {some([f'item {i} in period {t}' for t, i in cells])}",
            expected="one row an item and period",
            remedy="say duplicates='unit_value' if the rows are parts of one homogeneous volume",
        )


class WrongSetting(InputDataError, ValueError):
    """An argument is unknown, missing, or has no meaning with the others."""


def choice(name: str, given: object, known: Sequence[object]) -> None:
    """Refuse an argument that is not among the known ones."""
    if given not in known:
        raise WrongSetting(f"{name} is {given!r}", expected=", ".join(str(k) for k in known))


def needs(name: str, given: object, wanted: bool, reason: str) -> None:
    """Refuse an argument that is given without meaning, or missing where it has one."""
    if wanted and given is None:
        raise WrongSetting(f"{name} is not given", expected=f"{name}=, because {reason}")
    if not wanted and given is not None:
        raise WrongSetting(f"{name} is {given!r}", expected=f"no {name}: it has a meaning only where {reason}")
