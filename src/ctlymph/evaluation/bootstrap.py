"""Confidence intervals: resampling over patients, for one detector and for the difference of two.

Patients are drawn, not detections, nodes or scans: scans of one patient come and go together, and so do two names of
one scan. A patient drawn twice counts as two.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from ctlymph.core.short_repr import short_repr
from ctlymph.evaluation.detections import Floats
from ctlymph.evaluation.froc import Metrics, Subset, Tally, metrics_of, paired_tally, tally
from ctlymph.evaluation.matching import Matches

LEVEL = 0.95
SCORE_METRICS = ("sensitivity", "interpolated", "cpm", "ap", "auc")
"""Metrics of what a threshold on scores can reach, which say nothing where all scores are equal."""
_NUMBERS_AT_ONCE = 1 << 21


@dataclass(frozen=True)
class Resampling:
    """How to resample.

    Attributes:
        times: How often.
        seed: The same seed gives the same numbers.

    Raises:
        ValueError: If ``times`` is less than 1.
    """

    times: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.times < 1:
            raise ValueError(f"times is {self.times}; give 1 or more")


@dataclass(frozen=True, eq=False)
class Interval:
    """A metric and where it lies in 95 % of the resamplings; each one number, or one for each rate.

    Attributes:
        value: The metric itself; NaN where it is not defined.
        low: 2.5th percentile of the resamplings in which the metric is defined; NaN if none.
        high: 97.5th percentile.
    """

    value: Floats
    low: Floats
    high: Floats

    def __repr__(self) -> str:
        if self.value.ndim:
            return f"Interval({self.value.size} values)"
        return f"Interval({self.value:.3f}, {self.low:.3f} to {self.high:.3f})"

    def undefined(self) -> Interval:
        """Return an interval of the same shape that is NaN."""
        return Interval(*(np.full_like(each, np.nan) for each in (self.value, self.low, self.high)))


@dataclass(frozen=True, eq=False)
class Intervals:
    """The metrics of one detector, as ``Metrics`` names them, each with its interval."""

    sensitivity: Interval
    interpolated: Interval
    cpm: Interval
    ap: Interval
    auc: Interval
    max_sensitivity: Interval
    band: Interval

    __repr__ = short_repr

    def without_scores(self) -> Intervals:
        """Return them without the metrics that need scores (:data:`SCORE_METRICS`), which become NaN."""
        return replace(self, **{name: getattr(self, name).undefined() for name in SCORE_METRICS})


@dataclass(frozen=True, eq=False)
class Difference:
    """The metrics of a second detector less those of a first.

    Attributes:
        metrics: Differences, with intervals of the paired bootstrap: each time both are given the same patients.
        p: By metric, the p-value of the permutation test, two-sided; an array for metrics of several rates.
    """

    metrics: Intervals
    p: dict[str, Floats]

    __repr__ = short_repr

    def without_scores(self) -> Difference:
        """Return it without the metrics that need scores, as :meth:`Intervals.without_scores`."""
        p = {name: np.full_like(self.p[name], np.nan) for name in SCORE_METRICS}
        return Difference(self.metrics.without_scores(), self.p | p)


def draw(patients: int, resampling: Resampling) -> Iterator[Floats]:
    """Draw patients with replacement; yield, some resamplings at a time, how often each is taken: shape b, patients."""
    rng = np.random.default_rng(resampling.seed)
    uniform = np.full(patients, 1 / patients)
    step = max(1, _NUMBERS_AT_ONCE // patients)
    for start in range(0, resampling.times, step):
        yield rng.multinomial(patients, uniform, size=min(step, resampling.times - start)).astype(float)


def intervals(
    matches: Matches,
    resampling: Resampling | None = None,
    subset: Subset | None = None,
    band_rates: Sequence[float] = (),
) -> Intervals:
    """Return the metrics of one detector with 95 % percentile intervals of a bootstrap over patients.

    The interval of the CPM is taken from the CPM of each resampling, not from a mean curve.

    Args:
        matches: Of one detector.
        resampling: How often, and from which seed.
        subset: Some of the nodes or cases alone; None for all.
        band_rates: False positives per volume at which the band of the curve is wanted.
    """
    counts = tally(matches, subset)
    observed = metrics_of(counts, np.ones((1, len(counts.patients))), band_rates)
    return _with_intervals(observed, _resampled(counts, resampling or Resampling(), band_rates))


def difference(
    first: Matches,
    second: Matches,
    resampling: Resampling | None = None,
    subset: Subset | None = None,
    band_rates: Sequence[float] = (),
) -> Difference:
    """Compare two detectors on the same patients: the second less the first.

    The permutation test exchanges, patient by patient, which detector is which. Two detectors need not score
    alike, so for this test each score is replaced by its place on the detector's own list, which leaves every metric
    of either as it is.

    Raises:
        CtlymphError: If the two were not evaluated on the same nodes and cases.
    """
    resampling = resampling or Resampling()
    both, one, other = paired_tally(first, second, subset), tally(first, subset), tally(second, subset)
    ones = np.ones((1, len(one.patients)))
    observed = _less(metrics_of(other, ones, band_rates), metrics_of(one, ones, band_rates))
    paired = _less(_resampled(other, resampling, band_rates), _resampled(one, resampling, band_rates))
    exchanged = _exchanged(both, resampling, band_rates)
    p = {
        each.name: _p_value(getattr(observed, each.name)[0], getattr(exchanged, each.name)) for each in fields(Metrics)
    }
    return Difference(_with_intervals(observed, paired), p)


def _resampled(tally: Tally, resampling: Resampling, band_rates: Sequence[float]) -> Metrics:
    return _joined([_read(tally, weights, band_rates) for weights in draw(len(tally.patients), resampling)])


def _exchanged(both: Tally, resampling: Resampling, band_rates: Sequence[float]) -> Metrics:
    """Return the differences after exchanging the detectors in random patients, each with probability 1/2."""
    count = len(both.patients) // 2
    rng = np.random.default_rng(resampling.seed)
    found = []
    step = max(1, _NUMBERS_AT_ONCE // count)
    for start in range(0, resampling.times, step):
        kept = rng.integers(0, 2, (min(step, resampling.times - start), count)).astype(float)
        ours, theirs = np.hstack([kept, 1 - kept]), np.hstack([1 - kept, kept])
        found.append(_less(_read(both, theirs, band_rates), _read(both, ours, band_rates)))
    return _joined(found)


def _read(tally: Tally, weights: Floats, band_rates: Sequence[float]) -> Metrics:
    """Read the metrics of many resamplings, so many at a time that memory stays bounded."""
    step = max(1, _NUMBERS_AT_ONCE // (2 * len(tally.thresholds) + 1))
    return _joined([metrics_of(tally, weights[at : at + step], band_rates) for at in range(0, len(weights), step)])


def _joined(subsets: Sequence[Metrics]) -> Metrics:
    return Metrics(*(np.concatenate([getattr(subset, each.name) for subset in subsets]) for each in fields(Metrics)))


def _less(second: Metrics, first: Metrics) -> Metrics:
    return Metrics(*(getattr(second, each.name) - getattr(first, each.name) for each in fields(Metrics)))


def _with_intervals(whole: Metrics, resampled: Metrics) -> Intervals:
    return Intervals(
        *(_interval(getattr(whole, each.name)[0], getattr(resampled, each.name)) for each in fields(Metrics))
    )


def _interval(value: Floats, resampled: Floats) -> Interval:
    if not value.size:
        return Interval(value, value, value)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)  # the interval of what never exists is NaN
        low, high = np.nanquantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return Interval(np.asarray(value), np.asarray(low), np.asarray(high))


def _p_value(observed: Floats, exchanged: Floats) -> Floats:
    """Return the share of exchanges, the observed one among them, with a difference as large; NaN without one."""
    as_large = np.abs(exchanged) >= np.abs(observed) - 1e-12
    share = (1 + as_large.sum(axis=0)) / (1 + len(exchanged))
    p: Floats = np.where(np.isnan(observed), np.nan, share)
    return p
