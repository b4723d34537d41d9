"""The parts of which bilateral formulas are made: baskets, weights, and means of relatives.

*Reads* prices and quantities of matched items, one row a comparison. *Writes* one number a comparison, and the weights
with which each item enters it. *Never* divides by a price where a ratio of sums will do.

A formula is one of four things. A `Basket` is a ratio of sums :math:`Σ b p_1 / Σ b p_0` over some quantities
:math:`b`, which is the arithmetic mean of relatives with weights :math:`b p_0`, but is defined for a price of zero as
well. A `Mean` is a mean of order :math:`r` of the relatives :math:`x = p_1 / p_0` with some weights. A `Cross` is the mean
of two formulas. What is none of these is a `Plain` function. Each knows its weights in a mean of another order, by

.. math:: w_i^{(s)} ∝ w_i^{(r)} \\frac{φ_r(x_i) - φ_r(M)}{φ_s(x_i) - φ_s(M)}, φ_r(x) = x^r / r, φ_0 = \\ln

where :math:`M` is the mean (Martin 2021, "A note on general decompositions for price indexes", Statistics Canada
62F0014M), and these give contributions of items that add up, and factors that multiply.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .columns import Flags, Floats
from .panels import Block


def log_mean(a: Floats, b: Floats) -> Floats:
    """Return the logarithmic mean :math:`(a - b) / (\\ln a - \\ln b)`, its limit :math:`a` where both are equal, or 0 at 0.

    Written as :math:`b\\,u / \\ln(1 + u)` with :math:`u = a / b - 1`, which loses no digit where both are close.
    """
    both = (a > 0) & (b > 0)
    u = np.divide(a - b, b, out=np.zeros_like(a), where=both)
    far = np.log(np.divide(a, b, out=np.ones_like(a), where=both))
    steep = np.divide(
        u, np.where(np.abs(u) < 0.5, np.log1p(np.maximum(u, -0.5)), far), out=np.ones_like(a), where=u != 0
    )
    return np.where(both, b * steep, 0.0)


def slope(x: Floats, m: Floats, order: float) -> Floats:
    """Return :math:`(φ_r(x) - φ_r(m)) / (x - m)`, the limit :math:`m^{r-1}` where both are equal."""
    if order == 1:
        return np.ones_like(x)
    if order == -1:
        return 1 / (x * m)
    u = np.log(x / m)
    if order == 0:
        return np.asarray(1 / log_mean(x, np.broadcast_to(m, x.shape)))
    ratio = np.divide(np.expm1(order * u), order * np.expm1(u), out=np.ones_like(x), where=u != 0)
    return np.asarray(m ** (order - 1) * ratio)


def scaled(weights: Floats) -> Floats:
    """Return weights that sum to 1 in each row."""
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def dot(a: Floats, b: Floats) -> Floats:
    """Return the sum of products of each row."""
    return np.asarray(np.einsum("ij,ij->i", a, b))


class Pairs:
    """Comparisons of a base and a current period, row by row, over the items that both have.

    Parameters
    ----------
    base, current : Block
        Of the same columns. One of the base serves all rows, if it has only one.
    weights : Block or None
        One row: the reference period of Lowe and Young weights.

    Attributes
    ----------
    p0, p1, q0, q1, pb, qb : array
        Prices and quantities of base, current and weight period; quantities are zero where an item is not matched.
    """

    def __init__(self, base: Block, current: Block, weights: Block | None) -> None:
        self.p0, self.p1 = base.prices, current.prices
        self._base, self._current, self._weights = base, current, weights
        self.columns = current.columns
        complete = base.seen is None and current.seen is None
        self.both: Flags | None = None if complete else base.mask & current.mask

    def masked(self, amounts: Floats) -> Floats:
        """Return amounts that are zero where an item is not matched."""
        return amounts if self.both is None else amounts * self.ones

    @cached_property
    def q0(self) -> Floats:
        return self.masked(self._base.quantities)

    @cached_property
    def q1(self) -> Floats:
        return self.masked(self._current.quantities)

    @property
    def qb(self) -> Floats:
        assert self._weights is not None
        return self.masked(np.broadcast_to(self._weights.quantities, self.p1.shape))

    @property
    def pb(self) -> Floats:
        assert self._weights is not None
        return self._weights.prices

    @cached_property
    def ones(self) -> Floats:
        return np.ones(self.p1.shape) if self.both is None else self.both.astype(np.float64)

    @cached_property
    def v0(self) -> Floats:
        """The expenditure of the base on matched items."""
        return np.broadcast_to(self.masked(self._base.values), self.p1.shape)

    @cached_property
    def v1(self) -> Floats:
        """The current expenditure on matched items."""
        return self.masked(self._current.values)

    @cached_property
    def relatives(self) -> Floats:
        """The relatives of matched items, and something for the others, whose weight is 0."""
        return np.asarray(self.p1 / self.p0)

    @cached_property
    def logs(self) -> Floats:
        """The logarithms of the relatives."""
        relatives = np.asarray(self.p1 / self.p0)
        return np.log(relatives, out=relatives)

    @property
    def spent(self) -> Floats:
        """The current expenditure on matched items, of each row."""
        # summed without making the products, unless they are there
        return np.asarray(self.v1.sum(axis=1)) if "v1" in vars(self) else dot(self.p1, self.q1)

    @cached_property
    def items(self) -> Floats:
        """The number of items that both periods have."""
        return (
            np.full(len(self.p1), float(self.p1.shape[1])) if self.both is None else np.asarray(self.ones.sum(axis=1))
        )


@dataclass(frozen=True)
class Basket:
    """The ratio of sums :math:`Σ b p_1 / Σ b p_0`: what a fixed basket :math:`b` costs now over what it cost."""

    quantities: Callable[[Pairs], Floats]
    weighs: bool = True
    relative: bool = False
    order: float = 1

    def value(self, pairs: Pairs) -> Floats:
        basket = self.quantities(pairs)
        cost = np.broadcast_to(pairs.p0, pairs.p1.shape)
        return dot(pairs.p1, basket) / dot(cost, basket)

    def weights(self, pairs: Pairs) -> Floats:
        return scaled(pairs.p0 * self.quantities(pairs))


@dataclass(frozen=True)
class Mean:
    """The mean :math:`(Σ w x^r / Σ w)^{1/r}` of the relatives, the geometric one for :math:`r = 0`."""

    order: float
    systems: Callable[[Pairs], Floats]
    weighs: bool = True
    relative: bool = True

    def value(self, pairs: Pairs) -> Floats:
        weights = self.systems(pairs)
        total = weights.sum(axis=1)
        if self.order == 0:
            return np.asarray(np.exp(dot(weights, pairs.logs) / total))
        if self.order == 1:
            return np.asarray(dot(weights, pairs.relatives) / total)
        return np.asarray((dot(weights, pairs.relatives**self.order) / total) ** (1 / self.order))

    def weights(self, pairs: Pairs) -> Floats:
        return scaled(self.systems(pairs))


@dataclass(frozen=True)
class Cross:
    """The geometric (or arithmetic) mean of two formulas."""

    left: Basket | Mean
    right: Basket | Mean
    geometric: bool = True

    @property
    def weighs(self) -> bool:
        return self.left.weighs

    @property
    def relative(self) -> bool:
        return self.left.relative

    def value(self, pairs: Pairs) -> Floats:
        left, right = self.left.value(pairs), self.right.value(pairs)
        return np.asarray(np.sqrt(left * right) if self.geometric else (left + right) / 2)


@dataclass(frozen=True)
class Plain:
    """A formula that is none of the others; `split` gives its contributions if it has any."""

    function: Callable[[Pairs], Floats]
    weighs: bool = True
    relative: bool = False
    split: Callable[[Pairs], Floats] | None = None

    def value(self, pairs: Pairs) -> Floats:
        return self.function(pairs)


Formula = Basket | Mean | Cross | Plain


def transmuted(part: Basket | Mean, pairs: Pairs, order: float) -> Floats:
    """Return the weights, summing to 1, with which a mean of another order gives the same number."""
    weights = part.weights(pairs)
    if part.order == order:
        return weights
    level = part.value(pairs)[:, None]
    return scaled(weights * slope(pairs.relatives, level, part.order) / slope(pairs.relatives, level, order))


def geometric_weights(formula: Formula, pairs: Pairs) -> Floats:
    """Return weights with :math:`\\ln I = Σ w_i \\ln x_i`."""
    if isinstance(formula, Cross):
        return (transmuted(formula.left, pairs, 0) + transmuted(formula.right, pairs, 0)) / 2
    assert not isinstance(formula, Plain)
    return transmuted(formula, pairs, 0)
