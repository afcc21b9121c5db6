"""Numbers, sizes and shapes of real lymph nodes, as distributions to draw from.

Fitted to the annotation files and hand-traced masks of the NIH collection "CT
Lymph Nodes" (Roth et al., doi 10.7937/K9/TCIA.2015.AQIIDCNM): 388 mediastinal
nodes of 90 cases, 595 abdominal ones of 86, and the masks of the odd-numbered
cases, 250 and 210. Only these constants are kept, no node of theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.regions import ABDOMEN, MEDIASTINUM

DEGREES = range(3, 9)
"""Degrees of spherical harmonics that make a node's relief; below lies the ellipsoid, above the tracing hand."""
RELIEF_FALL = 1.6
"""The relief's power falls with degree l so that its height goes with l ** -1.6: both regions, degrees 3–8."""


@dataclass(frozen=True)
class NodeStatistics:
    """Statistics of the annotated nodes of one region.

    Attributes:
        none: Share of patients without any; ours, since the collection holds no such case.
        more: Mean number of nodes beyond the first (negative binomial, by maximum likelihood).
        evenness: That distribution's shape; smaller spreads it more.
        most: The most of any case.
        min_mm: The smallest short axis that is annotated.
        offset_mm: Short axis less this is log-normal.
        log_mm: Mean of its logarithm.
        log_sd_between: Standard deviation of that between patients.
        log_sd_within: And between the nodes of a patient.
        widening: Mean and standard deviation of log(middle / shortest) axis of the ellipsoid with the mask's moments.
        lengthening: The same of log(longest / middle).
        upright: The long axes' spread of direction along z, over that along x and y.
        relief: Root mean square of the log radius about that ellipsoid, degree 3; median over nodes.
        relief_log_sd: Standard deviation of its logarithm over nodes.
    """

    none: float
    more: float
    evenness: float
    most: int
    min_mm: float
    offset_mm: float
    log_mm: float
    log_sd_between: float
    log_sd_within: float
    widening: tuple[float, float]
    lengthening: tuple[float, float]
    upright: float
    relief: float
    relief_log_sd: float

    def count(self, rng: np.random.Generator) -> int:
        """Sample how many nodes of a patient are annotated."""
        if rng.random() < self.none:
            return 0
        return min(
            1 + int(rng.negative_binomial(self.evenness, self.evenness / (self.evenness + self.more))), self.most
        )

    def short_axes_mm(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Sample the short axes (count,) of a patient's annotated nodes, mm; the largest first."""
        patient = self.log_mm + self.log_sd_between * rng.normal()
        sizes = self.offset_mm + np.exp(patient + self.log_sd_within * rng.normal(size=(count, 8)))
        # Of eight tries the first that would be annotated.
        fits = (sizes >= self.min_mm) & (sizes <= _LARGEST_MM)
        first = np.where(fits.any(axis=1), sizes[np.arange(count), fits.argmax(axis=1)], self.min_mm)
        return np.sort(first)[::-1]


_LARGEST_MM = 50.0

NODE_STATISTICS = {
    MEDIASTINUM: NodeStatistics(
        none=0.08,
        more=3.3,
        evenness=0.81,
        most=25,
        min_mm=10.0,
        offset_mm=8.0,
        log_mm=1.85,
        log_sd_between=0.29,
        log_sd_within=0.51,
        widening=(0.31, 0.20),
        lengthening=(0.34, 0.20),
        upright=1.2,
        relief=0.077,
        relief_log_sd=0.35,
    ),
    ABDOMEN: NodeStatistics(
        none=0.08,
        more=5.9,
        evenness=0.71,
        most=34,
        min_mm=7.0,
        offset_mm=5.0,
        log_mm=2.07,
        log_sd_between=0.32,
        log_sd_within=0.49,
        widening=(0.27, 0.18),
        lengthening=(0.38, 0.23),
        upright=2.0,
        relief=0.062,
        relief_log_sd=0.33,
    ),
}
