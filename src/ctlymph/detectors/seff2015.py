"""Seff 2015: contours of nodes, learned from masks, as further channels of every slice.

Seff A, Lu L, Barbu A, Roth H, Shin HC, Summers RM: Leveraging mid-level semantic boundary cues for automated lymph node
detection, MICCAI 2015, https://doi.org/10.1007/978-3-319-24571-3_7. Patches centred on the traced edges of nodes are
clustered into classes of contour. A random forest gives every pixel its probability of each class. Their sum (SumMap)
and their maximum (MaxMap) join intensity as channels. Histograms of gradients of all three go to linear SVMs, each a
template for nodes of one size class, and a gate weighs the templates.

The paper leaves open, and here is chosen: patches of 15 mm, whose traced edge, smoothed, is clustered by k-means into
20 classes; the forest sees intensity, the gradient's magnitude, and that magnitude in four directions, at 25 places of
a patch; maps are computed at every third pixel and interpolated; two templates, for short axes below and from 15 mm
(the bound of a target in RECIST); the gate is a last linear SVM on the templates' mean scores over the slices and on
the candidate's estimated size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError, Remedy
from ctlymph.core.short_repr import short_repr
from ctlymph.detectors.base import ENLARGED_MM, Candidates, DetectionContext, Scorer, TrueNodes
from ctlymph.detectors.calibration import linear_decision, linear_svm, out_of_fold_decisions, sigmoid, sigmoid_through
from ctlymph.detectors.parts.feature_scorer import Examples, FeatureScorer, concatenated, examples_of, joined
from ctlymph.detectors.parts.hog import hog_of, windowed
from ctlymph.detectors.parts.slices import SIDE, SLICES, mask_slices_of, slices_of
from ctlymph.detectors.parts.voxel_forest import subsample

Floats = NDArray[np.float32]

_HALF = 7
"""Half a patch, pixels of 1 mm: a patch is 15 × 15."""
_PATCH = 2 * _HALF + 1
_OFFSETS = np.stack(np.meshgrid(*[np.linspace(-_HALF + 1, _HALF - 1, 5).astype(int)] * 2), axis=-1).reshape(-1, 2)
_CHANNELS = 6
_STRIDE = 3
_FAR_FROM_EDGE = 3
"""A pixel farther than this from every traced edge shows no contour."""
_SIZES_MM = (15.0,)
"""Short axes at which the size classes of the templates are divided."""
_TEMPLATES = len(_SIZES_MM) + 1
_OTHER_PLACES = 10
"""Candidates of a case, beside its enlarged nodes, at which pixels without a contour are drawn."""


@dataclass(frozen=True, eq=False)
class ContourExamples:
    """Patches of one case, on traced edges of nodes and off them; n of them.

    Attributes:
        traced: ``(n, 15, 15)`` 1 on a traced edge.
        features: ``(n, 150)`` what the forest sees, float16.
        is_edge: ``(n,)`` whether the middle pixel is on a traced edge.
    """

    traced: NDArray[np.uint8]
    features: NDArray[np.float16]
    is_edge: NDArray[np.bool_]

    __repr__ = short_repr


_NO_CONTOURS = ContourExamples(
    np.empty((0, _PATCH, _PATCH), np.uint8),
    np.empty((0, _CHANNELS * len(_OFFSETS)), np.float16),
    np.empty(0, np.bool_),
)


@dataclass(frozen=True)
class ContourMaps:
    """First stage: the contours of nodes, and histograms of gradients of slices with their maps, ``(n, 27, f)``.

    Attributes:
        name: Of the stage.
        classes: Classes of contours.
        trees: Trees in the forest.
        max_depth: Depth of a tree at most.
        patches_per_node: Patches on the edge of one node at most.
        patches_off_edges: Patches of a case without a contour.
        cells_px: Sides of the histograms' cells, pixels of 1 mm.
        max_candidates: Candidates that are scored at most, the highest-scoring of those given.
        seed: Of the choice of patches.
    """

    version: ClassVar[int] = 1
    examples: ClassVar[type[Any]] = ContourExamples

    name: str = "seff2015-contours"
    classes: int = 20
    trees: int = 12
    max_depth: int = 12
    patches_per_node: int = 150
    patches_off_edges: int = 2500
    cells_px: tuple[int, ...] = (9,)
    max_candidates: int = 60
    seed: int = 0

    def extract(self, context: DetectionContext, candidates: Candidates, truth: TrueNodes) -> ContourExamples:
        """Cut patches at the traced edges of enlarged nodes, and elsewhere.

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
        points = np.concatenate([enlarged, candidates.points_mm[: len(enlarged) + _OTHER_PLACES]])
        parts = [_NO_CONTOURS]
        for number, point in enumerate(points):
            slices = windowed(slices_of(context.volume, point[None]))[0]
            traced = _edges(mask_slices_of(truth.masks, point[None])[0])
            on_edge = subsample(np.argwhere(traced), self.patches_per_node if number < len(enlarged) else 0, rng)
            off_edges = subsample(_far_from(traced), self.patches_off_edges // len(points), rng)
            at = np.concatenate([on_edge, off_edges])
            patches = _patches(traced.astype(np.float32), at).astype(np.uint8)
            features = _pixel_features(_channels(slices), at).astype(np.float16)
            parts.append(ContourExamples(patches, features, traced[tuple(at.T)]))
        return concatenated(parts)

    def fit(self, extracted: Sequence[ContourExamples], seed: int) -> dict[str, Any]:
        """Cluster contours, and train the forest that recognises them.

        Raises:
            CtlymphError: If there are too few traced edges, or no other pixels.
        """
        from sklearn.ensemble import RandomForestClassifier

        examples = concatenated(extracted)
        if examples.is_edge.sum() < 10 * self.classes or examples.is_edge.all():
            raise CtlymphError(f"{self.name}: {len(extracted)} cases show too few contours of nodes; add cases")
        labels = np.zeros(len(examples.is_edge), np.int64)
        labels[examples.is_edge] = 1 + self._clustered(examples.traced[examples.is_edge], seed)
        forest = RandomForestClassifier(
            self.trees, max_depth=self.max_depth, min_samples_leaf=5, max_samples=0.5, random_state=seed, n_jobs=-1
        )
        forest.fit(examples.features.astype(np.float32), labels)
        return {"forest": forest.set_params(n_jobs=1)}

    def score(self, model: Mapping[str, Any], context: DetectionContext, candidates: Candidates) -> Candidates:
        """Return the candidates with the histograms of the three channels of their slices."""
        first = candidates.first(self.max_candidates)
        described = [
            hog_of(_three_channels(model["forest"], windowed(slices_of(context.volume, point[None]))[0]), self.cells_px)
            for point in first.points_mm
        ]
        features = hog_of(np.zeros((1, SIDE, SIDE), np.float32), self.cells_px).shape[-1] * 3
        return replace(first, features=np.array(described, dtype=np.float16).reshape(len(first), SLICES, features))

    def _clustered(self, traced: NDArray[np.uint8], seed: int) -> NDArray[np.int64]:
        """Return the class of each contour, by how its traced edge, smoothed, runs through the patch."""
        from scipy.ndimage import gaussian_filter
        from sklearn.cluster import MiniBatchKMeans

        smooth = gaussian_filter(traced.astype(np.float32), (0, 1.5, 1.5))
        means = MiniBatchKMeans(self.classes, n_init=3, random_state=seed, batch_size=4096)
        return np.asarray(means.fit_predict(smooth.reshape(len(traced), -1)), dtype=np.int64)


@dataclass(frozen=True)
class SizedTemplates(FeatureScorer):
    """Second stage: a linear SVM for each size class scores every slice; a candidate has the means, ``(n, 2)``.

    Attributes:
        name: Of the stage.
        cost: C of the SVMs.
        max_off_nodes: Candidates of a case off nodes that they are trained on at most, the highest-scoring.
    """

    version: ClassVar[int] = 1

    name: str = "seff2015-templates"
    cost: float = 0.001
    max_off_nodes: int = 25

    def extract(self, context: DetectionContext, candidates: Candidates, truth: TrueNodes) -> Examples:
        """Return the candidates on and some off nodes, with their features."""
        return examples_of(candidates, truth, self.max_off_nodes)

    def fit(self, extracted: Sequence[Examples], seed: int) -> dict[str, Any]:
        """Train the SVMs, each on all candidates off nodes.

        Raises:
            CtlymphError: If no candidate lies on a node of some size class, or none off.
        """
        examples, _ = joined(extracted, self.name)
        size_class = np.digitize(np.nan_to_num(examples.short_axes_mm), _SIZES_MM)
        weights = []
        for number in range(_TEMPLATES):
            used = (examples.labels == 0) | (size_class == number)
            labels = examples.labels[used]
            if len(np.unique(labels)) < 2:
                raise CtlymphError(f"{self.name}: no candidate lies on a node of size class {number}; add cases")
            hog = examples.features[used].reshape(-1, examples.features.shape[-1])
            weights.append(linear_svm(hog, np.repeat(labels, SLICES), self.cost))
        return {"weights": np.stack(weights)}

    def score_features(self, model: Mapping[str, Any], candidates: Candidates) -> Candidates:
        """Return them with the score of each template; they keep their order."""
        scores = [linear_decision(each, candidates.features).mean(axis=1) for each in model["weights"]]
        return replace(candidates, features=np.stack(scores, axis=1))


@dataclass(frozen=True)
class SizeGate(FeatureScorer):
    """Third stage: the templates' scores become one, weighed by the size that the candidate seems to have.

    Attributes:
        name: Of the stage.
        cost: C of the SVM that weighs them.
    """

    version: ClassVar[int] = 1

    name: str = "seff2015-gate"
    cost: float = 1.0

    def fit(self, extracted: Sequence[Examples], seed: int) -> dict[str, Any]:
        """Train the gate, and the sigmoid that turns its decisions into probabilities.

        Raises:
            CtlymphError: If no candidate lies on a node, or none off.
        """
        examples, cases = joined(extracted, self.name)
        gated, labels = _gated(examples.features, examples.radii_mm), examples.labels
        gate = self._gate(seed)
        slope, offset = sigmoid_through(out_of_fold_decisions(gate, gated, labels, cases), labels)
        return {"gate": gate.fit(gated, labels), "slope": slope, "offset": offset}

    def score_features(self, model: Mapping[str, Any], candidates: Candidates) -> Candidates:
        """Return them by their probability."""
        decisions = model["gate"].decision_function(_gated(candidates.features, candidates.radii_mm))
        return candidates.scored(sigmoid(decisions, model["slope"], model["offset"]))

    def _gate(self, seed: int) -> Any:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import LinearSVC

        svm = LinearSVC(C=self.cost, dual=False, class_weight="balanced", random_state=seed)
        return make_pipeline(StandardScaler(), svm)


def _gated(scores: NDArray[np.float64], radii_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each template's score, that score weighed by whether the candidate seems so large, and the weight."""
    large = 1 / (1 + np.exp(-(radii_mm - _SIZES_MM[0] / 2) / 2))[:, None]
    return np.hstack([scores, scores[:, :1] * (1 - large), scores[:, 1:] * large, large])


def _three_channels(forest: Any, slices: Floats) -> Floats:
    """Return intensity, SumMap and MaxMap of slices ``(27, s, s)``, ``(27, 3, s, s)``."""
    from scipy.ndimage import zoom

    at_axis = np.arange(0, SIDE, _STRIDE)
    at = np.stack(np.meshgrid(np.arange(len(slices)), at_axis, at_axis, indexing="ij"), axis=-1).reshape(-1, 3)
    probabilities = forest.predict_proba(_pixel_features(_channels(slices), at))
    contours = probabilities[:, forest.classes_ > 0].reshape(len(slices), len(at_axis), len(at_axis), -1)
    coarse = np.stack([contours.sum(axis=-1), contours.max(axis=-1)]).astype(np.float32)
    maps = zoom(coarse, (1, 1, SIDE / len(at_axis), SIDE / len(at_axis)), order=1, grid_mode=True, mode="nearest")
    return np.stack([slices, maps[0], maps[1]], axis=1)


def _channels(slices: Floats) -> Floats:
    """Return intensity, gradient magnitude, and magnitude in four directions without sign, ``(n, 6, s, s)``."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(slices, (0, 1, 1))
    down, right = np.gradient(smooth, axis=(1, 2))
    magnitude = np.hypot(down, right)
    angle = np.arctan2(down, right)
    directed = [np.abs(np.cos(angle - direction)) ** 4 * magnitude for direction in np.arange(4) * np.pi / 4]
    channels = np.stack([smooth, magnitude, *directed], axis=1)
    return np.asarray(gaussian_filter(channels, (0, 0, 1, 1)), dtype=np.float32)


def _pixel_features(channels: Floats, at: NDArray[np.intp]) -> Floats:
    """Return what the forest sees of pixels ``(n, 3)`` slice, row, column: all channels at 25 places around each."""
    last = channels.shape[-1] - 1
    rows = np.clip(at[:, 1, None] + _OFFSETS[:, 0], 0, last)
    columns = np.clip(at[:, 2, None] + _OFFSETS[:, 1], 0, last)
    return channels[at[:, 0, None], :, rows, columns].reshape(len(at), len(_OFFSETS) * channels.shape[1])


def _patches(images: Floats, at: NDArray[np.intp]) -> Floats:
    """Cut patches around pixels ``(n, 3)`` slice, row, column; beyond an image is nothing."""
    padded = np.pad(images, ((0, 0), (_HALF, _HALF), (_HALF, _HALF)))
    side = np.arange(_PATCH)
    return np.asarray(padded[at[:, 0, None, None], at[:, 1, None, None] + side[:, None], at[:, 2, None, None] + side])


def _edges(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the outermost pixels of masks in each slice."""
    from scipy.ndimage import binary_erosion

    inner = np.ones((1, 3, 3), bool)
    inner[0, ::2, ::2] = False
    return np.asarray(masks & ~binary_erosion(masks, inner, border_value=1))


def _far_from(traced: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the pixels that are far from every traced edge, ``(n, 3)`` slice, row, column."""
    from scipy.ndimage import binary_dilation

    near = np.ones((1, 2 * _FAR_FROM_EDGE + 1, 2 * _FAR_FROM_EDGE + 1), bool)
    return np.argwhere(~binary_dilation(traced, near))


STAGES: tuple[Scorer, ...] = (ContourMaps(), SizedTemplates(), SizeGate())
