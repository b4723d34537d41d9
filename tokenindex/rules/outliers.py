"""Outliers: which constituent prices are not believed on a date.

*Reads* the change of each constituent's price since its last one. *Writes* a flag. *Never* removes a price: a flagged
price is held back, and the constituent keeps its last accepted price until the change is confirmed on the next date or
by further sources.

``log_relative`` is :math:`10^9 \\ln(p_t / p_{t-1})` rounded to an integer. The logarithm is that of the
platform; its last bit can matter only where a change lies within 1e-9 of a threshold. Comparisons are between integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction

import polars as pl

from ..exact import NANO, rescale

MAD_TO_SIGMA = Fraction(14826, 10000)
"""Median absolute deviation to standard deviation under normality (Huber, Robust Statistics, 1981, section 5.1)."""
_TIERS = 3
"""The worst tier of a source."""


@dataclass(frozen=True)
class Outlier:
    """A reason code, and the expression that is true where it applies; rows stand in order of constituent and date.

    `dates` is the number of fixing dates that it looks back over.
    """

    reason: str
    applies: pl.Expr
    dates: int = 0


def _log_nano(factor: Decimal) -> int:
    """Return ``10**9 * ln(factor)`` rounded to an integer."""
    with localcontext(prec=34):
        return int((factor.ln() * NANO).to_integral_value(rounding=ROUND_HALF_EVEN))


def _unconfirmed(sources: int) -> pl.Expr:
    return pl.col("sources") < sources


def robust_z(*, cutoff: Decimal, floor: Decimal, confirming_sources: int) -> Outlier:
    """Flag a change far from the median change of the date.

    :math:`|x - \\operatorname{med} x| > cutoff · \\max(1.4826 · \\operatorname{MAD}, floor)` with :math:`x` the log
    relative, over all constituents priced on the date; medians are lower medians. Most prices do not change on most
    dates, so the median absolute deviation is often zero: the floor is not an option.

    Parameters
    ----------
    cutoff : Decimal
        Number of robust standard deviations, above 0.
    floor : Decimal
        Smallest standard deviation, in log units, above 0.
    confirming_sources : int
        The change is believed if at least so many distinct sources agree on it.
    """
    bound, least = rescale(cutoff, scale=9), rescale(floor, scale=9)
    if not (0 < bound <= 1000 * NANO and 0 < least <= 1000 * NANO):
        raise ValueError("cutoff and floor must be above 0 and at most 1000")
    x = pl.col("log_relative")
    median = x.quantile(0.5, interpolation="lower").cast(pl.Int64)
    mad = (x - median).abs().quantile(0.5, interpolation="lower").cast(pl.Int128)
    smallest = pl.lit(least * MAD_TO_SIGMA.denominator, dtype=pl.Int128)
    scale = pl.max_horizontal(mad * MAD_TO_SIGMA.numerator, smallest)
    # a whole number exceeds a quotient exactly if it exceeds its floor
    limit = (scale * bound // (MAD_TO_SIGMA.denominator * NANO)).cast(pl.Int64)
    far = (x - median.over("i")).abs() > limit.over("i")
    return Outlier("robust_z", far & _unconfirmed(confirming_sources))


def fixed_cutoff(*, factor: Decimal) -> Outlier:
    """Flag a change by more than `factor` up or down, however many sources report it, until the next date repeats it."""
    if factor <= 1:
        raise ValueError("factor must be above 1")
    return Outlier("fixed_cutoff", pl.col("log_relative").abs() > _log_nano(factor))


def confirmed_jump(*, bound: Decimal, confirming_sources: int) -> Outlier:
    """Hold a change by more than the factor `bound` until a second date or `confirming_sources` sources confirm it."""
    if bound <= 1:
        raise ValueError("bound must be above 1")
    far = pl.col("log_relative").abs() > _log_nano(bound)
    return Outlier("unconfirmed_jump", far & _unconfirmed(confirming_sources))


def worse_tier(*, dates: int) -> Outlier:
    """Hold a price of a worse source tier than the best of the last `dates` fixing dates.

    :math:`τ_t > \\min(τ_{t-n}, …, τ_{t-1})` with :math:`τ` the source tier of the constituent's price. A price list that is
    not looked at for some days says nothing of prices: its constituents keep theirs, and do not take those of hosts.

    Parameters
    ----------
    dates : int
        At least 1, and at most `inputs.carry_dates`: afterwards there is no price to keep.
    """
    if dates < 1:
        raise ValueError("dates must be at least 1")
    # the constituents before lie higher: they are never the best of a window that reaches into them
    tier = pl.when(pl.col("price").is_not_null()).then(pl.col("source_tier") - pl.col("code") * _TIERS)
    best = tier.rolling_min(window_size=dates + 1, min_samples=1)
    return Outlier("worse_tier", tier > best, dates)
