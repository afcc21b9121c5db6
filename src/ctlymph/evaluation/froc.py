"""The free-response curve: sensitivity against false positives per volume, at every operating point.

Sensitivity is the share of counted nodes that are hit. False positives per volume are all false positives over all
annotated cases, with nodes or without. ``Curve`` holds every operating point. ``Tally`` holds the same by patient, and
only where sensitivity changes, so that :func:`metrics_of` can read thousands of resamplings from it: its work grows
with the number of hits, not with that of detections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csr_array

from ctlymph.core.errors import CtlymphError
from ctlymph.core.short_repr import short_repr
from ctlymph.evaluation.detections import Bools, Floats
from ctlymph.evaluation.matching import Matches

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)
"""False positives per volume at which sensitivity is read."""
CPM_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Those whose mean sensitivity is the competition performance metric (LUNA16)."""
SIZE_EDGES_MM = (10.0, 15.0, 20.0)

_OF_CPM = [RATES.index(rate) for rate in CPM_RATES]


@dataclass(frozen=True)
class OperatingPoint:
    """Sensitivity and false positives of a detector that keeps detections of ``threshold`` and more."""

    threshold: float
    sensitivity: float
    false_per_volume: float


@dataclass(frozen=True, eq=False)
class Curve:
    """Every operating point, by falling threshold; k of them, none where no mark is a hit or a false positive.

    Attributes:
        thresholds: Shape k: every score of a hit or a false positive, once; the lowest too.
        hits: Shape k: nodes that are hit by detections of this score and more.
        false: Shape k: false positives of this score and more.
        nodes: Number of counted nodes.
        volumes: Number of cases.
    """

    thresholds: Floats
    hits: NDArray[np.int64]
    false: NDArray[np.int64]
    nodes: int
    volumes: int

    __repr__ = short_repr

    @property
    def sensitivity(self) -> Floats:
        """Shape k; NaN where there are no nodes."""
        return self.hits / self.nodes if self.nodes else np.full(len(self.hits), np.nan)

    @property
    def false_per_volume(self) -> Floats:
        """Shape k."""
        false: Floats = self.false / self.volumes
        return false

    def sensitivity_at(self, rates: ArrayLike) -> Floats:
        """Return the largest sensitivity with no more than so many false positives per volume; no interpolation."""
        none = 0.0 if self.nodes else np.nan
        steps: Floats = np.append(none, self.sensitivity)
        return steps[np.searchsorted(self.false_per_volume, np.asarray(rates), side="right")]

    def interpolated_at(self, rates: ArrayLike) -> Floats:
        """Return the sensitivity on straight lines from the origin through the operating points."""
        none = 0.0 if self.nodes else np.nan
        read: Floats = np.interp(
            np.asarray(rates, float), np.append(0.0, self.false_per_volume), np.append(none, self.sensitivity)
        )
        return read

    def operating_point(self, rate: float) -> OperatingPoint:
        """Return the lowest threshold with no more than ``rate`` false positives per volume; +inf where none has."""
        last = int(np.searchsorted(self.false_per_volume, rate, side="right")) - 1
        if last < 0:
            return OperatingPoint(np.inf, float(self.sensitivity_at(-1.0)), 0.0)
        return OperatingPoint(
            float(self.thresholds[last]), float(self.sensitivity[last]), float(self.false_per_volume[last])
        )


@dataclass(frozen=True, eq=False)
class Subset:
    """Some of the nodes, or of the cases, evaluated alone.

    Attributes:
        kind: ``size``, ``region`` or ``station``.
        name: Of this subset, e.g. ``10–15 mm``.
        nodes: Shape m: True for the nodes of this subset.
        cases: True for the cases whose volumes and false positives count.
    """

    kind: str
    name: str
    nodes: Bools
    cases: Bools


def whole(matches: Matches) -> Subset:
    """Return the subset of all nodes and all cases."""
    return Subset("all", "all", np.ones(len(matches.truth), bool), np.ones(len(matches.truth.cases), bool))


def subsets(matches: Matches) -> tuple[Subset, ...]:
    """Return the subsets that hold counted nodes: by size, by region, by station where known.

    A size class or a station has the false positives of all cases; a region those of its own.
    """
    truth = matches.truth
    short, everywhere = truth.short_axis_mm, np.ones(len(truth.cases), bool)
    edges = (0.0, *SIZE_EDGES_MM, np.inf)
    names = ("<10 mm", "10–15 mm", "15–20 mm", "≥20 mm")
    found = [
        Subset("size", name, (short >= low) & (short < high), everywhere)
        for name, low, high in zip(names, edges[:-1], edges[1:], strict=True)
    ]
    found.append(Subset("size", "unknown", np.isnan(short), everywhere))
    stations = np.array(truth.stations, str)
    for name in sorted({region for regions in truth.regions for region in regions.split(";")} - {""}):
        found.append(Subset("region", name, truth.nodes_in(name), truth.annotated_in(name)))
    found += [Subset("station", name, stations == name, everywhere) for name in sorted(set(truth.stations) - {""})]
    return tuple(subset for subset in found if (subset.nodes & ~matches.excluded).any())


def curve(matches: Matches, subset: Subset | None = None) -> Curve:
    """Return the curve.

    Raises:
        CtlymphError: If there is no annotated case.
    """
    subset = subset or whole(matches)
    volumes = _volumes(subset)
    nodes = subset.nodes & ~matches.excluded
    hits, false = matches.node_score[nodes], matches.detections.scores[matches.false & subset.cases[matches.case]]
    hits = np.sort(hits[np.isfinite(hits)])
    false = np.sort(false)
    thresholds = np.union1d(hits, false)[::-1]
    return Curve(
        thresholds,
        len(hits) - np.searchsorted(hits, thresholds),
        len(false) - np.searchsorted(false, thresholds),
        int(nodes.sum()),
        volumes,
    )


def _volumes(subset: Subset) -> int:
    if not subset.cases.any():
        raise CtlymphError("there is no annotated case; the truth must name the cases, those without nodes too")
    return int(subset.cases.sum())


@dataclass(frozen=True, eq=False)
class Tally:
    """Hits and false positives of each of p patients, in steps of the h scores at which nodes are hit.

    Attributes:
        patients: Their names.
        thresholds: Shape h: scores at which nodes are hit, falling.
        hits: Shape h, p: nodes that are hit from just this score on.
        false: Shape 2h + 1, p: false positives above the first score, at it, between it and the second, and so on
            to those below the last.
        nodes: Shape p: counted nodes.
        volumes: Shape p: cases.
    """

    patients: tuple[str, ...]
    thresholds: Floats
    hits: csr_array
    false: csr_array
    nodes: Floats
    volumes: Floats


def tally(matches: Matches, subset: Subset | None = None) -> Tally:
    """Return hits and false positives by patient.

    Raises:
        CtlymphError: If there is no annotated case.
    """
    return _tally(_scored(matches, subset or whole(matches)))


def paired_tally(first: Matches, second: Matches, subset: Subset | None = None) -> Tally:
    """Join the patients of two detectors in one tally of 2p: the first's, then the second's.

    Two detectors need not score alike. So that their patients can be mixed, each score becomes its place on the
    detector's own list: minus the number of its hits and false positives with that score or more.

    Raises:
        CtlymphError: If the two were not evaluated on the same nodes and cases, or there is no annotated case.
    """
    one, other = (_scored(each, subset or whole(each)).by_place() for each in (first, second))
    same = one.patients == other.patients and np.array_equal(one.nodes, other.nodes)
    if not same or not np.array_equal(one.volumes, other.volumes):
        raise CtlymphError(
            "two detectors can only be compared on the same cases and nodes; evaluate both against one truth"
        )
    shift = len(one.patients)
    return _tally(
        _Scored(
            one.patients + other.patients,
            np.append(one.hits, other.hits),
            np.append(one.hit_patient, other.hit_patient + shift),
            np.append(one.false, other.false),
            np.append(one.false_patient, other.false_patient + shift),
            np.append(one.nodes, other.nodes),
            np.append(one.volumes, other.volumes),
        )
    )


@dataclass(frozen=True, eq=False)
class _Scored:
    """Scores of all hits and of all false positives, with the patient of each as an index."""

    patients: tuple[str, ...]
    hits: Floats
    hit_patient: NDArray[np.intp]
    false: Floats
    false_patient: NDArray[np.intp]
    nodes: Floats
    volumes: Floats

    def by_place(self) -> _Scored:
        rising = np.sort(np.append(self.hits, self.false))
        hits, false = (
            np.searchsorted(rising, scores).astype(float) - len(rising) for scores in (self.hits, self.false)
        )
        return replace(self, hits=hits, false=false)


def _scored(matches: Matches, subset: Subset) -> _Scored:
    _volumes(subset)
    patients, patient = np.unique(np.array(matches.truth.patients, str), return_inverse=True)
    counted = subset.nodes & ~matches.excluded
    hit = counted & np.isfinite(matches.node_score)
    false = matches.false & subset.cases[matches.case]
    of_node = patient[matches.truth.case]
    return _Scored(
        tuple(patients.tolist()),
        matches.node_score[hit],
        of_node[hit],
        matches.detections.scores[false],
        patient[matches.case[false]],
        np.bincount(of_node[counted], minlength=len(patients)).astype(float),
        np.bincount(patient[subset.cases], minlength=len(patients)).astype(float),
    )


def _tally(scored: _Scored) -> Tally:
    rising, step = np.unique(scored.hits, return_inverse=True)
    count, patients = len(rising), len(scored.patients)
    at_or_below = np.searchsorted(rising, scored.false, side="right")
    same = at_or_below > np.searchsorted(rising, scored.false, side="left")
    return Tally(
        scored.patients,
        rising[::-1],
        _counts(count - 1 - step, scored.hit_patient, (count, patients)),
        _counts(2 * (count - at_or_below) + same, scored.false_patient, (2 * count + 1, patients)),
        scored.nodes,
        scored.volumes,
    )


def _counts(row: NDArray[np.intp], column: NDArray[np.intp], shape: tuple[int, int]) -> csr_array:
    return coo_array((np.ones(len(row)), (row, column)), shape=shape).tocsr()


@dataclass(frozen=True, eq=False)
class Metrics:
    """Metrics of b curves at once; sensitivities are NaN where a curve has no nodes.

    Attributes:
        sensitivity: Shape b, 10: at ``RATES``, as a step.
        interpolated: Shape b, 10: likewise, on straight lines between operating points.
        cpm: Shape b: mean of ``sensitivity`` over ``CPM_RATES``.
        ap: Shape b: average precision, the sum over thresholds of precision times the gain in sensitivity.
        auc: Shape b: probability that a hit scores higher than a false positive, ties half; NaN without either.
        max_sensitivity: Shape b: sensitivity at the lowest threshold.
        band: Shape b, r: sensitivity at further rates, as a step.
    """

    sensitivity: Floats
    interpolated: Floats
    cpm: Floats
    ap: Floats
    auc: Floats
    max_sensitivity: Floats
    band: Floats


def metrics_of(tally: Tally, weights: Floats, band_rates: Sequence[float] = ()) -> Metrics:
    """Return the metrics of b resamplings of the patients.

    Args:
        tally: Of p patients.
        weights: Shape b, p: how often each patient is taken. A patient taken twice counts twice, as two volumes.
        band_rates: Rates for ``Metrics.band``.
    """
    columns = np.ascontiguousarray(weights.T, float)
    hits = np.cumsum(tally.hits @ columns, axis=0)
    false = np.cumsum(tally.false @ columns, axis=0)
    before, at, total = false[:-1:2], false[1::2], false[-1]
    nodes, volumes = tally.nodes @ columns, tally.volumes @ columns
    gain = np.diff(hits, axis=0, prepend=0.0)
    all_hits = gain.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = hits / np.maximum(hits + at, 1)
        ap = (gain * precision).sum(axis=0) / nodes
        auc = (gain * (total - (before + at) / 2)).sum(axis=0) / (all_hits * total)
        max_sensitivity = all_hits / nodes
        none = np.where(nodes > 0, 0.0, np.nan)[None]
        steps = np.concatenate([none, hits / nodes]).T
        steps_at, steps_before = (at / volumes).T, (before / volumes).T
    rates = np.array([*RATES, *band_rates])
    read = np.array([step[np.searchsorted(x, rates, side="right")] for step, x in zip(steps, steps_at, strict=True)])
    sensitivity = read[:, : len(RATES)]
    return Metrics(
        sensitivity=sensitivity,
        interpolated=_interpolated(steps, steps_before, steps_at),
        cpm=sensitivity[:, _OF_CPM].mean(axis=1),
        ap=ap,
        auc=auc,
        max_sensitivity=max_sensitivity,
        band=read[:, len(RATES) :],
    )


def _interpolated(steps: Floats, before: Floats, at: Floats) -> Floats:
    """Read curves on straight lines: flat up to the point before each gain, and from there to the gain."""
    x = np.zeros((len(at), 2 * at.shape[1] + 1))
    y = np.repeat(steps, 2, axis=1)[:, :-1]
    x[:, 1::2], x[:, 2::2] = before, at
    return np.array([np.interp(RATES, *line) for line in zip(x, y, strict=True)])


@dataclass(frozen=True)
class FrocLine:
    """One curve of the picture.

    Attributes:
        name: What the legend calls it.
        curve: Every operating point.
        band_rates: Shape r: false positives per volume at which the band is known.
        band: Shape 2, r: its lower and upper end.
    """

    name: str
    curve: Curve
    band_rates: Floats
    band: Floats
