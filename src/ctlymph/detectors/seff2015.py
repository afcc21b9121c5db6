"""Seff 2015: contours learned from drawn nodes, shown to the linear machine as further channels of every slice.

Seff A, Lu L, Barbu A, Roth H, Shin HC, Summers RM: Leveraging mid-level semantic boundary cues for automated lymph node
detection, MICCAI 2015, https://doi.org/10.1007/978-3-319-24571-3_7. Patches centred on the traced edges of nodes are
clustered into classes of contour; a random forest tells every pixel's chance of each class; their sum (SumMap) and
their greatest (MaxMap) join intensity as channels; histograms of gradients of all three go to linear machines, of
which each is a template for nodes of a size, and a gate weighs them.

Left open by the paper, and chosen here: patches of 15 mm, of which the traced edge, smoothed, is clustered by k-means
into 20 classes; the forest sees intensity, steepness and four directions of steepness, at 25 places of a patch; maps
are computed at every third pixel and interpolated; two templates, for short axes below and from 15 mm (RECIST's bound
of a target), whose mean scores over the slices are weighed by the candidate's size in a last linear machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError, Remedy
from ctlymph.detectors.base import ENLARGED_MM, Arrays, Candidates, DetectionContext, Stage, TrueNodes, joined, labelled
from ctlymph.detectors.calibration import honest_decisions, linear_decision, linear_svm, sigmoid, sigmoid_through
from ctlymph.detectors.parts.hog import hog_of, windowed
from ctlymph.detectors.parts.slices import SIDE, SLICES, mask_slices_of, slices_of

Floats = NDArray[np.float32]
HOG, SCORES, SIZE = "hog3", "templates", "size"
"""Names in ``extra`` of the slices' features ``(n, 27, f)``, the templates' scores ``(n, 2)``, and class of size."""

_REACH = 7
"""Half a patch, pixels of 1 mm: a patch is 15 × 15."""
_OFFSETS = np.stack(np.meshgrid(*[np.linspace(-_REACH + 1, _REACH - 1, 5).astype(int)] * 2), axis=-1).reshape(-1, 2)
_STRIDE = 3
_FAR_FROM_EDGE = 3
"""A pixel farther than this from every traced edge shows no contour."""
_SIZES_MM = (15.0,)
"""Short axes that part the templates."""
_TEMPLATES = len(_SIZES_MM) + 1


@dataclass(frozen=True)
class ContourMaps:
    """First stage: pixels on contours of nodes, and histograms of gradients of the slices with their maps.

    Attributes:
        name: Of the stage.
        classes: Of contours.
        trees: In the forest.
        depth: Of each tree, at most.
        per_node: Patches of one node that are learned from, at most.
        off_edges: Patches of a case without a contour that are learned from.
        cells_px: Sides of the cells of the histograms.
        at_most: Candidates that are looked at, the best first.
        seed: Which patches are learned from.
    """

    version: ClassVar[int] = 1

    name: str = "seff2015-contours"
    classes: int = 20
    trees: int = 12
    depth: int = 12
    per_node: int = 150
    off_edges: int = 2500
    cells_px: tuple[int, ...] = (9,)
    at_most: int = 60
    seed: int = 0

    def extract(self, context: DetectionContext, candidates: Candidates, truth: TrueNodes) -> Arrays:
        """Cut patches at the traced edges of enlarged nodes, and others.

        Raises:
            CtlymphError: If there are no masks.
        """
        if truth.masks is None:
            raise CtlymphError(
                f"{self.name}: {context.volume.case} has no masks, on which contours are trained; choose seff2014",
                Remedy.DOWNLOAD,
                kinds="masks",
            )
        rng = np.random.default_rng(self.seed)
        enlarged = truth.points_mm[truth.short_axes_mm >= ENLARGED_MM]
        best = candidates.points_mm[: len(enlarged) + 10]
        seen, edges, looks = [], [], []
        for number, point in enumerate((*enlarged, *best)):
            slices = windowed(slices_of(context.volume, point[None]))[0]
            traced = _edges(mask_slices_of(truth.masks, point[None])[0])
            wanted = self.per_node if number < len(enlarged) else 0
            off = self.off_edges // (len(enlarged) + len(best))
            at = np.concatenate([_some(_on(traced), wanted, rng), _some(_off(traced), off, rng)])
            seen.append(_patches(traced.astype(np.float32), at).astype(np.uint8))
            looks.append(_looks(_channels(slices), at).astype(np.float16))
            edges.append(traced[tuple(at.T)])
        side = 2 * _REACH + 1
        return {
            "traced": np.concatenate(seen) if seen else np.empty((0, side, side), np.uint8),
            "looks": np.concatenate(looks) if looks else np.empty((0, 6 * len(_OFFSETS)), np.float16),
            "on_edge": np.concatenate(edges) if edges else np.empty(0, bool),
        }

    def fit(self, extracted: Sequence[Arrays], seed: int) -> dict[str, Any]:
        """Cluster contours, and grow the forest that knows them.

        Raises:
            CtlymphError: If there are fewer traced edges than classes.
        """
        from sklearn.ensemble import RandomForestClassifier

        on_edge = np.concatenate([each["on_edge"] for each in extracted])
        if on_edge.sum() < 10 * self.classes or on_edge.all():
            raise CtlymphError(f"{self.name}: {len(extracted)} cases show too few contours of nodes; add cases")
        labels = np.zeros(len(on_edge), np.int64)
        labels[on_edge] = 1 + self._clustered(np.concatenate([each["traced"] for each in extracted])[on_edge], seed)
        forest = RandomForestClassifier(
            self.trees, max_depth=self.depth, min_samples_leaf=5, max_samples=0.5, random_state=seed, n_jobs=-1
        )
        forest.fit(np.concatenate([each["looks"] for each in extracted]).astype(np.float32), labels)
        return {"forest": forest.set_params(n_jobs=1)}

    def predict(self, model: Mapping[str, Any], context: DetectionContext, candidates: Candidates) -> Candidates:
        """Describe the candidates' slices by three channels."""
        best = candidates.chosen(np.arange(min(len(candidates), self.at_most)))
        described = [
            hog_of(_three_channels(model["forest"], windowed(slices_of(context.volume, point[None]))[0]), self.cells_px)
            for point in best.points_mm
        ]
        features = hog_of(np.zeros((1, SIDE, SIDE), np.float32), self.cells_px).shape[-1] * 3
        seen = np.array(described, dtype=np.float16).reshape(len(best), SLICES, features)
        return Candidates(best.points_mm, best.scores, best.radii_mm, {HOG: seen})

    def _clustered(self, traced: NDArray[np.uint8], seed: int) -> NDArray[np.int64]:
        """Give the class of each contour, by how its traced edge, smoothed, runs through the patch."""
        from scipy.ndimage import gaussian_filter
        from sklearn.cluster import MiniBatchKMeans

        smooth = gaussian_filter(traced.astype(np.float32), (0, 1.5, 1.5))
        means = MiniBatchKMeans(self.classes, n_init=3, random_state=seed, batch_size=4096)
        return np.asarray(means.fit_predict(smooth.reshape(len(traced), -1)), dtype=np.int64)


@dataclass(frozen=True)
class SizedTemplates:
    """Second stage: a linear machine for each class of size scores every slice; a candidate has the mean over them.

    Attributes:
        name: Of the stage.
        cost: C of the machines.
        off_nodes: Candidates of a case off nodes that are learned from, the best scored.
    """

    version: ClassVar[int] = 1

    name: str = "seff2015-templates"
    cost: float = 0.001
    off_nodes: int = 25

    def extract(self, context: DetectionContext, candidates: Candidates, truth: TrueNodes) -> Arrays:
        """Gather the slices of candidates on and off nodes, and the class of the nearest enlarged node's size."""
        away = np.linalg.norm(candidates.points_mm[:, None] - truth.points_mm[None], axis=2)
        away[:, ~(truth.short_axes_mm >= ENLARGED_MM)] = np.inf
        short_axis = truth.short_axes_mm[away.argmin(axis=1)] if len(truth.points_mm) else np.zeros(len(candidates))
        size = np.digitize(np.nan_to_num(short_axis), _SIZES_MM)
        sized = replace(candidates, extra={**candidates.extra, SIZE: size})
        return labelled(sized, truth, HOG, SIZE, off_nodes=self.off_nodes)

    def fit(self, extracted: Sequence[Arrays], seed: int) -> dict[str, Any]:
        """Train the machines.

        Raises:
            CtlymphError: If no candidate lies on a node of some class of size, or none off.
        """
        hog, labels, _ = joined(extracted, HOG, self.name)
        size = np.concatenate([each[SIZE] for each in extracted])
        weights = []
        for number in range(_TEMPLATES):
            used = (labels == 0) | (size == number)
            if len(np.unique(labels[used])) < 2:
                raise CtlymphError(f"{self.name}: no candidate lies on a node of size class {number}; add cases")
            rows = hog[used].reshape(-1, hog.shape[-1])
            weights.append(linear_svm(rows, np.repeat(labels[used], SLICES), self.cost))
        return {"weights": np.stack(weights)}

    def predict(self, model: Mapping[str, Any], context: DetectionContext, candidates: Candidates) -> Candidates:
        """Score candidates by each template; they keep their order."""
        hog = candidates.extra[HOG]
        scores = [linear_decision(each, hog).mean(axis=1) for each in model["weights"]]
        return replace(candidates, extra={SCORES: np.stack(scores, axis=1)})


@dataclass(frozen=True)
class SizeGate:
    """Third stage: the templates' scores, weighed by the size that the candidate seems to have, become one.

    Attributes:
        name: Of the stage.
        cost: C of the machine that weighs them.
    """

    version: ClassVar[int] = 1

    name: str = "seff2015-gate"
    cost: float = 1.0

    def extract(self, context: DetectionContext, candidates: Candidates, truth: TrueNodes) -> Arrays:
        """Gather the templates' scores of candidates on and off nodes, and their sizes."""
        return labelled(candidates, truth, SCORES)

    def fit(self, extracted: Sequence[Arrays], seed: int) -> dict[str, Any]:
        """Train the gate, and the sigmoid that makes chances of its decisions.

        Raises:
            CtlymphError: If no candidate lies on a node, or none off.
        """
        scores, labels, cases = joined(extracted, SCORES, self.name)
        gated = _gated(scores, np.concatenate([each["radii_mm"] for each in extracted]))
        slope, offset = sigmoid_through(honest_decisions(lambda: self._gate(seed), gated, labels, cases), labels)
        return {"gate": self._gate(seed).fit(gated, labels), "slope": slope, "offset": offset}

    def predict(self, model: Mapping[str, Any], context: DetectionContext, candidates: Candidates) -> Candidates:
        """Score candidates anew."""
        if not len(candidates):
            return candidates.scored(candidates.scores)
        decisions = model["gate"].decision_function(_gated(candidates.extra[SCORES], candidates.radii_mm))
        return candidates.scored(sigmoid(decisions, model["slope"], model["offset"]))

    def _gate(self, seed: int) -> Any:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import LinearSVC

        machine = LinearSVC(C=self.cost, dual=False, class_weight="balanced", random_state=seed)
        return make_pipeline(StandardScaler(), machine)


def _gated(scores: NDArray[np.float64], radii_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give each template's score, the same weighed by whether the candidate seems so large, and that weight."""
    large = 1 / (1 + np.exp(-(radii_mm - _SIZES_MM[0] / 2) / 2))[:, None]
    return np.hstack([scores, scores[:, :1] * (1 - large), scores[:, 1:] * large, large])


def _three_channels(forest: Any, slices: Floats) -> Floats:
    """Give intensity, SumMap and MaxMap of slices ``(27, s, s)``, ``(27, 3, s, s)``."""
    from scipy.ndimage import zoom

    at_axis = np.arange(0, SIDE, _STRIDE)
    at = np.stack(np.meshgrid(np.arange(len(slices)), at_axis, at_axis, indexing="ij"), axis=-1).reshape(-1, 3)
    chances = forest.predict_proba(_looks(_channels(slices), at))
    contours = chances[:, forest.classes_ > 0].reshape(len(slices), len(at_axis), len(at_axis), -1)
    coarse = np.stack([contours.sum(axis=-1), contours.max(axis=-1)]).astype(np.float32)
    maps = zoom(coarse, (1, 1, SIDE / len(at_axis), SIDE / len(at_axis)), order=1, grid_mode=True, mode="nearest")
    return np.stack([slices, maps[0], maps[1]], axis=1)


def _channels(slices: Floats) -> Floats:
    """Give intensity, steepness, and steepness by direction (four, without sign), ``(n, 6, s, s)``."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(slices, (0, 1, 1))
    down, right = np.gradient(smooth, axis=(1, 2))
    steep = np.hypot(down, right)
    angle = np.arctan2(down, right)
    ways = [np.abs(np.cos(angle - way)) ** 4 * steep for way in np.arange(4) * np.pi / 4]
    channels = np.stack([smooth, steep, *ways], axis=1)
    return np.asarray(gaussian_filter(channels, (0, 0, 1, 1)), dtype=np.float32)


def _looks(channels: Floats, at: NDArray[np.intp]) -> Floats:
    """Give what the forest sees around pixels ``(n, 3)`` slice, row, column: all channels at 25 places of a patch."""
    last = channels.shape[-1] - 1
    rows = np.clip(at[:, 1, None] + _OFFSETS[:, 0], 0, last)
    columns = np.clip(at[:, 2, None] + _OFFSETS[:, 1], 0, last)
    return channels[at[:, 0, None], :, rows, columns].reshape(len(at), len(_OFFSETS) * channels.shape[1])


def _patches(images: Floats, at: NDArray[np.intp]) -> Floats:
    """Cut patches about pixels ``(n, 3)``, the images' surroundings empty."""
    padded = np.pad(images, ((0, 0), (_REACH, _REACH), (_REACH, _REACH)))
    reach = np.arange(2 * _REACH + 1)
    return np.asarray(padded[at[:, 0, None, None], at[:, 1, None, None] + reach[:, None], at[:, 2, None, None] + reach])


def _edges(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Give the outermost pixels of masks in each slice."""
    from scipy.ndimage import binary_erosion

    inner = np.ones((1, 3, 3), bool)
    inner[0, ::2, ::2] = False
    return np.asarray(masks & ~binary_erosion(masks, inner, border_value=1))


def _on(traced: NDArray[np.bool_]) -> NDArray[np.intp]:
    return np.argwhere(traced)


def _off(traced: NDArray[np.bool_]) -> NDArray[np.intp]:
    from scipy.ndimage import binary_dilation

    near = np.ones((1, 2 * _FAR_FROM_EDGE + 1, 2 * _FAR_FROM_EDGE + 1), bool)
    return np.argwhere(~binary_dilation(traced, near))


def _some(at: NDArray[np.intp], at_most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    return at if len(at) <= at_most else at[rng.choice(len(at), at_most, replace=False)]


STAGES: tuple[Stage, ...] = (ContourMaps(), SizedTemplates(), SizeGate())
