"""The bilateral formulas by name, each put together from baskets, weights and means.

*Reads* matched prices and quantities. *Writes* one number a comparison. *Never* writes a formula twice: the quantity
index of a formula is the same formula with prices and quantities exchanged.

With prices :math:`p`, quantities :math:`q`, expenditures :math:`v = p q`, shares :math:`s = v / Σ v` and relatives
:math:`x = p_1 / p_0`, always over the items that both periods have. The Consumer Price Index Manual: Theory and Practice
(ILO, IMF and others 2004) treats most of them in chapters 15 to 17. Balk (2008), chapter 3, computes many, the Vartias
and Stuvel among them, on the data of tables 19.1 and 19.2 of the Producer Price Index Manual (2004); these are among the
known answers.

==================== ===================================================================== ===========================
name                 equation                                                              first in, or named after
==================== ===================================================================== ===========================
carli                :math:`Σ x / n`                                                       Carli 1764
jevons               :math:`(Π x)^{1/n}`                                                   Jevons 1865
harmonic             :math:`n / Σ x^{-1}`                                                  Coggeshall 1886
dutot                :math:`Σ p_1 / Σ p_0`                                                 Dutot 1738
cswd                 :math:`\\sqrt{carli · harmonic}`                                       Carruthers and others 1980
laspeyres            :math:`Σ p_1 q_0 / Σ p_0 q_0`                                         Laspeyres 1871
paasche              :math:`Σ p_1 q_1 / Σ p_0 q_1`                                         Paasche 1874
lowe                 :math:`Σ p_1 q_b / Σ p_0 q_b`                                         Lowe 1823
young                :math:`Σ s_b x`                                                       Young 1812
geometric_laspeyres  :math:`Π x^{s_0}`                                                     Balk 2008, chapter 3
geometric_paasche    :math:`Π x^{s_1}`                                                     Balk 2008, chapter 3
geometric_young      :math:`Π x^{s_b}`                                                     Armknecht and Silver 2012
geometric_lowe       :math:`Π x^{w}, w ∝ p_0 q_b`                                          Armknecht and Silver 2012
palgrave             :math:`Σ s_1 x`                                                       Palgrave 1886
drobisch             :math:`(laspeyres + paasche) / 2`                                     Drobisch 1871
fisher               :math:`\\sqrt{laspeyres · paasche}`                                    Fisher 1922
marshall_edgeworth   :math:`b = q_0 + q_1`                                                 Marshall 1887
walsh                :math:`b = \\sqrt{q_0 q_1}`                                            Walsh 1901
geary_khamis         :math:`b = q_0 q_1 / (q_0 + q_1)`, of two periods                     Geary 1958, Khamis 1972
tornqvist            :math:`\\sqrt{geometric\\_laspeyres · geometric\\_paasche}`              Törnqvist 1936
theil                :math:`Π x^w, w ∝ (s_0 s_1 (s_0 + s_1) / 2)^{1/3}`                    Theil 1973
rao                  :math:`Π x^w, w ∝ s_0 s_1 / (s_0 + s_1)`                              Rao 1990
sato_vartia          :math:`Π x^w, w ∝ L(s_0, s_1)`, L the logarithmic mean                Vartia II, Sato 1976
montgomery_vartia    :math:`Π x^w, w = L(v_0, v_1) / L(V_0, V_1)`                          Vartia I, 1976
lloyd_moulton        :math:`(Σ s_0 x^{1-σ})^{1/(1-σ)}`, geometric Laspeyres at σ = 1       Lloyd 1975, Moulton 1996
stuvel               :math:`(l - k) / 2 + \\sqrt{((l - k) / 2)^2 + V_1 / V_0}`              Stuvel 1957
unit_value           :math:`(V_1 / Σ q_1) / (V_0 / Σ q_0)`                                 Drobisch 1871
lehr                 :math:`(V_1 / V_0) (Σ z q_0 / Σ z q_1), z = (v_0+v_1) / (q_0+q_1)`    Lehr 1885
==================== ===================================================================== ===========================

For `stuvel`, :math:`l` and :math:`k` are the Laspeyres price and quantity indices.

Where packages differ: at a price of zero Fisher, Laspeyres, Paasche, Lowe, Walsh, Dutot and their like are ratios of sums
and stay defined (a mean of relatives is not, so packages that compute them so return nothing); every formula of relatives
refuses such a price by name. `precon` 0.6 compares all items of the base for Dutot, others (and we) the matched ones. The
matched rule holds for Young and Lowe weights as well: an item without weight in the weight period does not count.
"""

from __future__ import annotations

import numpy as np

from .columns import Floats
from .faults import WrongSetting, choice, needs
from .parts import Basket, Cross, Formula, Mean, Pairs, Plain, dot, log_mean, scaled, transmuted


def _equal(pairs: Pairs) -> Floats:
    return pairs.ones


def _base(pairs: Pairs) -> Floats:
    return pairs.v0


def _current(pairs: Pairs) -> Floats:
    return pairs.v1


def _declared(pairs: Pairs) -> Floats:
    return pairs.pb * pairs.qb


def _sato_vartia(pairs: Pairs) -> Floats:
    return log_mean(scaled(pairs.v0), scaled(pairs.v1))


def _theil(pairs: Pairs) -> Floats:
    s0, s1 = scaled(pairs.v0), scaled(pairs.v1)
    return np.asarray(np.cbrt(s0 * s1 * (s0 + s1) / 2))


def _rao(pairs: Pairs) -> Floats:
    s0, s1 = scaled(pairs.v0), scaled(pairs.v1)
    return np.divide(s0 * s1, s0 + s1, out=np.zeros_like(s0), where=s0 + s1 > 0)


def _harmonic_quantity(pairs: Pairs) -> Floats:
    total = pairs.q0 + pairs.q1
    return np.divide(pairs.q0 * pairs.q1, total, out=np.zeros_like(total), where=total > 0)


def _vartia_logs(pairs: Pairs) -> Floats:
    """Return what each item adds to the logarithm of Montgomery–Vartia, whose weights need not sum to 1."""
    total = log_mean(pairs.v0.sum(axis=1), pairs.v1.sum(axis=1))
    return log_mean(pairs.v0, pairs.v1) * pairs.logs / total[:, None]


def _montgomery_vartia(pairs: Pairs) -> Floats:
    return np.asarray(np.exp(_vartia_logs(pairs).sum(axis=1)))


def _vartia_split(pairs: Pairs) -> Floats:
    parts = _vartia_logs(pairs)
    level = np.exp(parts.sum(axis=1))
    return parts * log_mean(level, np.ones_like(level))[:, None]


def _stuvel(pairs: Pairs) -> Floats:
    value = pairs.v0.sum(axis=1)
    half = (
        (dot(pairs.p1, pairs.masked(pairs.q0)) - dot(np.broadcast_to(pairs.p0, pairs.p1.shape), pairs.q1)) / value / 2
    )
    return np.asarray(half + np.sqrt(half**2 + pairs.v1.sum(axis=1) / value))


def _unit_value(pairs: Pairs) -> Floats:
    base = pairs.v0.sum(axis=1) / np.broadcast_to(pairs.q0, pairs.p1.shape).sum(axis=1)
    return np.asarray(pairs.v1.sum(axis=1) / pairs.q1.sum(axis=1) / base)


def _lehr_ratio(pairs: Pairs) -> Floats:
    """Return the base quantities at the average price of each item over the current ones at the same."""
    total = pairs.q0 + pairs.q1
    price = np.divide(pairs.v0 + pairs.v1, total, out=np.zeros_like(pairs.p1), where=total > 0)
    return np.asarray(dot(price, np.broadcast_to(pairs.q0, price.shape)) / dot(price, pairs.q1))


def _lehr(pairs: Pairs) -> Floats:
    return np.asarray(pairs.v1.sum(axis=1) / pairs.v0.sum(axis=1) * _lehr_ratio(pairs))


def _lehr_split(pairs: Pairs) -> Floats:
    change = _harmonic_quantity(pairs) * (pairs.p1 - pairs.p0)
    return np.asarray(change * ((1 + _lehr_ratio(pairs)) / pairs.v0.sum(axis=1))[:, None])


def _stuvel_split(pairs: Pairs) -> Floats:
    return _of_basket(_stuvel(pairs)[:, None] * pairs.q0 + pairs.q1, pairs)


def _of_basket(basket: Floats, pairs: Pairs) -> Floats:
    """Return what each item of a basket adds to the change of its cost, over its cost."""
    cost = dot(np.broadcast_to(pairs.p0, pairs.p1.shape), basket)
    return np.asarray(basket * (pairs.p1 - pairs.p0) / cost[:, None])


CARLI, HARMONIC = Mean(1, _equal, weighs=False), Mean(-1, _equal, weighs=False)
LASPEYRES, PAASCHE = Basket(lambda pairs: pairs.q0), Basket(lambda pairs: pairs.q1)
GEOMETRIC_LASPEYRES, GEOMETRIC_PAASCHE = Mean(0, _base), Mean(0, _current)

FORMULAS: dict[str, Formula] = {
    "carli": CARLI,
    "jevons": Mean(0, _equal, weighs=False),
    "harmonic": HARMONIC,
    "dutot": Basket(_equal, weighs=False),
    "cswd": Cross(CARLI, HARMONIC),
    "laspeyres": LASPEYRES,
    "paasche": PAASCHE,
    "lowe": Basket(lambda pairs: pairs.qb),
    "young": Mean(1, _declared),
    "geometric_laspeyres": GEOMETRIC_LASPEYRES,
    "geometric_paasche": GEOMETRIC_PAASCHE,
    "geometric_young": Mean(0, _declared),
    "geometric_lowe": Mean(0, lambda pairs: pairs.p0 * pairs.qb),
    "palgrave": Mean(1, _current),
    "drobisch": Cross(LASPEYRES, PAASCHE, geometric=False),
    "fisher": Cross(LASPEYRES, PAASCHE),
    "marshall_edgeworth": Basket(lambda pairs: pairs.q0 + pairs.q1),
    "walsh": Basket(lambda pairs: np.sqrt(pairs.q0 * pairs.q1)),
    "geary_khamis": Basket(_harmonic_quantity),
    "tornqvist": Cross(GEOMETRIC_LASPEYRES, GEOMETRIC_PAASCHE),
    "theil": Mean(0, _theil),
    "rao": Mean(0, _rao),
    "sato_vartia": Mean(0, _sato_vartia),
    "montgomery_vartia": Plain(_montgomery_vartia, relative=True, split=_vartia_split),
    "stuvel": Plain(_stuvel, split=_stuvel_split),
    "unit_value": Plain(_unit_value),
    "lehr": Plain(_lehr, split=_lehr_split),
}
"""Every formula but `lloyd_moulton`, which is made for its elasticity."""

LATER_WEIGHTS = ("lowe", "young", "geometric_young", "geometric_lowe")
"""Formulas whose weights are those of a declared period."""
SPLITS = ("reinsdorf", "van_ijzeren", "diewert")


def formula_of(name: str, *, sigma: float | None, weight_period: object) -> Formula:
    """Return a formula by name, refusing an argument that it does not have."""
    choice("formula", name, (*FORMULAS, "lloyd_moulton"))
    needs("sigma", sigma, name == "lloyd_moulton", "lloyd_moulton is made for an elasticity of substitution")
    needs("weight_period", weight_period, name in LATER_WEIGHTS, f"{some_of(LATER_WEIGHTS)} weigh by a declared period")
    if sigma is None:
        return FORMULAS[name]
    if not np.isfinite(sigma):
        raise WrongSetting(f"sigma is {sigma}", expected="a finite elasticity")
    return Mean(1 - sigma, _base)


def some_of(names: tuple[str, ...]) -> str:
    """Return names as a list in words."""
    return ", ".join(names[:-1]) + f" and {names[-1]}"


def contributions(formula: Formula, pairs: Pairs, *, split: str | None) -> Floats:
    """Return what each item adds to the index less 1, in rows that sum to it.

    A basket: :math:`b (p_1 - p_0) / Σ b p_0`. A mean of order :math:`r`: :math:`w (x - 1)` with the weights of the
    arithmetic mean that gives the same number (Balk 2008, 4.2; Martin 2021). For Fisher (and ``cswd``) there
    are three splits in use, which sum to the same number and differ by item:

    - ``reinsdorf``: the average of the two sets of geometric weights, made arithmetic (Reinsdorf, Diewert and Ehemann 2002,
      section 6);
    - ``van_ijzeren``: the two sets of arithmetic weights, averaged in proportion to :math:`Q_F` and :math:`Q_L` (Balk
      2008, 4.2.2);
    - ``diewert``: :math:`(w_L + I_L w_P) (x - 1) / (1 + I)` (Diewert 2002; Reinsdorf and others, section 2), whose weights
      do not sum to 1.

    Three formulas are neither. ``stuvel`` costs the basket :math:`b = I q_0 + q_1`: that is its equation
    :math:`I^2 - (l - k) I = V_1 / V_0` in other words, so it has the contributions of a basket. ``lehr``: with
    :math:`h = q_0 q_1 / (q_0 + q_1)` and :math:`R = Σ z q_0 / Σ z q_1`, :math:`p_1 - z = h (p_1 - p_0) / q_1` and
    :math:`z - p_0 = h (p_1 - p_0) / q_0` make the index less 1 :math:`Σ h (p_1 - p_0) (1 + R) / V_0`; the weights of these
    relatives do not sum to 1. ``montgomery_vartia``: its logarithm's parts, in proportion. ``unit_value`` has none: it
    moves with the quantities while no price does, and no sum over price changes can say so.
    """
    if isinstance(formula, Plain):
        if formula.split is None:
            raise WrongSetting(
                "the formula has no contributions of price changes that add up",
                expected="a formula that is 1 where no price changed, which a unit value is not",
            )
        return formula.split(pairs)
    if isinstance(formula, Basket):
        return _of_basket(formula.quantities(pairs), pairs)
    return (pairs.relatives - 1) * (
        _crossed(formula, pairs, split or "reinsdorf") if isinstance(formula, Cross) else transmuted(formula, pairs, 1)
    )


def _crossed(formula: Cross, pairs: Pairs, split: str) -> Floats:
    left, right = transmuted(formula.left, pairs, 1), transmuted(formula.right, pairs, 1)
    if not formula.geometric:
        return (left + right) / 2
    low, level = formula.left.value(pairs)[:, None], formula.value(pairs)[:, None]
    if split == "diewert":
        return (left + low * right) / (1 + level)
    if split == "van_ijzeren":
        high = formula.right.value(pairs)[:, None]
        parts = [1 / log_mean(low, level), 1 / log_mean(high, level)]
        return (parts[0] * left + parts[1] * right) / (parts[0] + parts[1])
    middle = Mean(0, lambda pairs: (transmuted(formula.left, pairs, 0) + transmuted(formula.right, pairs, 0)) / 2)
    return transmuted(middle, pairs, 1)
