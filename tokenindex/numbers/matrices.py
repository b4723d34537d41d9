"""Windows: the matrix of all bilaterals of some periods, and the systems of equations of the other methods.

*Reads* a dense block of periods. *Writes* logarithms of bilateral indices, or of the levels of a window. *Never* compares
two periods one by one: every entry is a sum over items of something of the one period times something of the other, so a
whole matrix is one or two matrix products, and a missing observation is a zero factor that costs nothing.

- Fisher: :math:`Σ q_j p_k` over the items of both, against :math:`Σ q_j p_j`, once each way.
- Walsh: :math:`Σ \\sqrt{q_j} · p_k \\sqrt{q_k}`, against its transpose.
- Törnqvist: :math:`Σ v_j (\\ln p_k - \\ln p_j) / Σ v_j` over the items of both, once each way.
- Jevons: the same with weights 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .columns import Flags, Floats
from .panels import Block

Products = Callable[["Side", "Side"], Floats]
LOGS = ("tornqvist", "jevons")
"""Bilateral formulas that take logarithms of prices."""


@dataclass(frozen=True, eq=False)
class Side:
    """What a bilateral needs of some periods, items in columns: weights, weighted terms, terms, and where observed.

    The one-way comparison of periods :math:`j` and :math:`k` is made of :math:`weights_j · terms_k`,
    :math:`own_j · seen_k` and :math:`weights_j · seen_k`; `seen` is None if every item is observed.
    """

    weights: Floats
    terms: Floats
    own: Floats
    seen: Floats | None

    def rows(self, part: slice) -> Side:
        """Return some of the periods."""
        seen = None if self.seen is None else self.seen[part]
        return Side(self.weights[part], self.terms[part], self.own[part], seen)

    def of(self, keep: Flags) -> Side:
        """Return some of the items."""
        seen = None if self.seen is None else self.seen[:, keep]
        return Side(self.weights[:, keep], self.terms[:, keep], self.own[:, keep], seen)


def side(kind: str, block: Block) -> Side:
    """Return the side of a block for a bilateral formula."""
    seen = None if block.seen is None else block.seen.astype(np.float64)
    prices, quantities = block.prices, block.quantities
    if kind == "fisher":
        return Side(quantities, prices if seen is None else prices * seen, prices * quantities, seen)
    if kind == "walsh":
        root = np.sqrt(quantities)
        return Side(root, prices * root, root, seen)
    logs = np.log(prices)
    if kind == "jevons":
        weights = np.ones(prices.shape) if seen is None else seen
    else:
        weights = prices * quantities
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    return Side(weights, logs, weights * logs, seen)


def _own(a: Side, b: Side) -> Floats:
    """Return the own terms of each period of `a`, summed over the items that a period of `b` has too."""
    return a.own.sum(axis=1)[:, None] if b.seen is None else a.own @ b.seen.T


def _fisher(a: Side, b: Side) -> Floats:
    forward = (a.weights @ b.terms.T) / _own(a, b)
    backward = (b.weights @ a.terms.T) / _own(b, a)
    return np.asarray(0.5 * np.log(forward / backward.T))


def _walsh(a: Side, b: Side) -> Floats:
    return np.asarray(np.log((a.weights @ b.terms.T) / (a.terms @ b.weights.T)))


def _one_way(a: Side, b: Side) -> Floats:
    if b.seen is None:
        return np.asarray((a.weights @ b.terms.T - a.own.sum(axis=1)[:, None]) / a.weights.sum(axis=1)[:, None])
    return np.asarray((a.weights @ b.terms.T - a.own @ b.seen.T) / (a.weights @ b.seen.T))


def _tornqvist(a: Side, b: Side) -> Floats:
    return 0.5 * (_one_way(a, b) - _one_way(b, a).T)


PRODUCTS: dict[str, Products] = {"fisher": _fisher, "walsh": _walsh, "tornqvist": _tornqvist, "jevons": _one_way}


def log_bilaterals(kind: str, a: Side, b: Side) -> Floats:
    """Return the logarithms of the bilaterals from each period of `a` (rows) to each of `b`; not finite without overlap."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return PRODUCTS[kind](a, b)


def time_dummies(weights: Floats, logs: Floats) -> tuple[Floats, Flags]:
    """Return the logarithms of the levels of the time-product dummy model, and which periods share items.

    Minimises :math:`Σ w_{it} (\\ln p_{it} - a_i - b_t)^2` with :math:`b = 0` in the first period (de Haan and
    Krsinich 2014). With the items partialled out it is one equation a period:

    .. math:: Σ_s (δ_{ts} Σ_i w_{it} - Σ_i w_{it} w_{is} / W_i) b_s = Σ_i w_{it} (\\ln p_{it} - \\bar l_i)

    with :math:`W_i = Σ_t w_{it}` and :math:`\\bar l_i` the weighted mean of the item's logarithms.
    """
    total = weights.sum(axis=0)
    inverse = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    centred = logs - np.einsum("ij,ij->j", weights, logs) * inverse
    common = (weights * inverse) @ weights.T
    right = np.einsum("ij,ij->i", weights, centred)
    return _grounded(np.diag(common.sum(axis=1)) - common, right), common > 0


def geary_khamis(prices: Floats, quantities: Floats) -> tuple[Floats, Flags]:
    """Return the logarithms of the Geary–Khamis levels of a window, and which periods share items.

    The levels :math:`P_t = Σ p_{it} q_{it} / Σ b_i q_{it}` and reference prices
    :math:`b_i = Σ_t (q_{it} / Q_i) (p_{it} / P_t)` (Geary 1958; Khamis 1972; Diewert and Fox 2017) are linear in
    :math:`1 / P_t`, so they are solved for and not iterated; packages that iterate stop at 1e-8 or so:

    .. math:: Σ_s (δ_{ts} V_t - Σ_i q_{it} v_{is} / Q_i) / P_s = 0
    """
    values = prices * quantities
    total = quantities.sum(axis=0)
    inverse = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    common = (quantities * inverse) @ values.T
    # the columns of the system sum to zero, so the diagonal is what is left of a column, free of cancellation
    np.fill_diagonal(common, 0.0)
    system = np.diag(common.sum(axis=0)) - common
    linked = (common > 0) | (common.T > 0) | np.eye(len(common), dtype=bool)
    if len(parts_of(linked)) > 1:
        return np.full(len(common), np.nan), linked
    inverse_levels = np.r_[1.0, np.linalg.solve(system[1:, 1:], -system[1:, 0])] if len(common) > 1 else np.ones(1)
    return np.asarray(-np.log(inverse_levels)), linked


def _grounded(system: Floats, right: Floats) -> Floats:
    """Return the solution that is 0 in the first period; not a number if the periods do not hang together."""
    size = len(system)
    linked = (system != 0) | np.eye(size, dtype=bool)
    if len(parts_of(linked)) > 1:
        return np.full(size, np.nan)
    return np.r_[0.0, np.linalg.solve(system[1:, 1:], right[1:])] if size > 1 else np.zeros(1)


def parts_of(linked: Flags) -> list[NDArray[np.int64]]:
    """Return the blocks into which a graph falls, each the sorted numbers of its nodes."""
    left = np.ones(len(linked), dtype=bool)
    found = []
    while left.any():
        reached = np.zeros(len(linked), dtype=bool)
        front = np.array([int(np.flatnonzero(left)[0])])
        while len(front):
            reached[front] = True
            front = np.flatnonzero(linked[front].any(axis=0) & ~reached)
        found.append(np.flatnonzero(reached))
        left &= ~reached
    return found
