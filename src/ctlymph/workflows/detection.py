"""The whole way from a CT to measured nodes, step by step."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ctlymph.core.errors import CtlymphError, Remedy, UsageError
from ctlymph.core.nodes import LymphNode, Mark
from ctlymph.core.peaks import separated
from ctlymph.core.progress import SILENT, Progress
from ctlymph.core.regions import REGIONS
from ctlymph.core.result import Result
from ctlymph.core.volume import Geometry, Volume
from ctlymph.detectors.base import NO_CANDIDATES, DetectionContext, System, predict
from ctlymph.detectors.calibration import calibrated
from ctlymph.detectors.model_store import INSTALLED, TrainedModel, check_fits, models_in, read_model
from ctlymph.detectors.registry import DEFAULT, METHODS, method
from ctlymph.nn.run_context import DEVICES, Device, RunContext

_REPEATED_MM = 60
_ONE_SLICE = "Nodes were detected as if the one slice were repeated above and below it, and are less reliable."


@dataclass(frozen=True)
class DetectOptions:
    """What to look for, and how.

    Attributes:
        region: ``mediastinum``, ``abdomen``, or ``auto``: those that the scan holds.
        model: A rule from ``METHODS``, a model that comes with the package, or the folder of one.
        threshold: Score, 0…1, from which on a mark counts as a node; None: the model's own.
        progress: Where to show the advance.
        device: Where networks run; ``auto``: a GPU if PyTorch sees one.

    Raises:
        CtlymphError: If the threshold is not between 0 and 1 or there is no such model or device.
    """

    region: str = "auto"
    model: str = DEFAULT
    threshold: float | None = None
    progress: Progress = SILENT
    device: Device = "auto"

    def __post_init__(self) -> None:
        detector(self.model)
        if self.device not in DEVICES:
            raise UsageError(f"there is no device {self.device!r}; choose of {', '.join(DEVICES)}")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UsageError(f"the threshold {self.threshold} is not a score; give a number from 0 to 1")


@dataclass(frozen=True, eq=False)
class Detector:
    """A detector that is ready to be used.

    Attributes:
        name: Of its method.
        trained_on: One sentence on its training data, shown wherever its output is.
        thresholds: By region, the score from which on its marks count as nodes unless the user says otherwise.
        systems: By region.
        models: By region, what it has learned; empty for a rule.
    """

    name: str
    trained_on: str
    thresholds: Mapping[str, float]
    systems: Mapping[str, System]
    models: Mapping[str, TrainedModel]

    def marks(self, context: DetectionContext, progress: Progress = SILENT) -> list[Mark]:
        """Return the marks of a detection context, by falling score."""
        region = context.region.name
        stages = self.systems[region].stages
        model = self.models.get(region)
        parts = [{} for _ in stages] if model is None else model.parts[region]
        candidates = NO_CANDIDATES
        with progress.task(f"{self.name} in the {region}", len(stages)) as advance:
            for stage, part in zip(stages, parts, strict=True):
                candidates = predict(stage, part, context, candidates)
                advance(1)
        curve = None if model is None else model.card.regions[region].sigmoid
        if curve is not None:
            candidates = replace(candidates, scores=calibrated(candidates.scores, *curve))
        return candidates.marks(region)


def detector(model: str) -> Detector:
    """Return a detector by its name, a rule's or an installed model's, or by the folder of its model.

    Raises:
        CtlymphError: If there is no such rule or model, the method must be trained first, or the model is of
            other settings than the method has now.
    """
    is_name = Path(model).name == model != ""
    for folder in (Path(model), *([INSTALLED / model] if is_name else [])):
        if found := models_in(folder):
            return _trained(found)
    if model not in METHODS and (Path(model).exists() or Path(model).name != model):
        raise UsageError(f"{model} holds no model; give a folder of ctlymph train")
    rule = method(model)
    if rule.is_trainable or rule.threshold is None:
        raise UsageError(f"{model} is not trained yet", Remedy.TRAIN, method=model)
    trained_on = f"{model} is a rule, not trained on any data; its scores rank marks and are not probabilities."
    return Detector(model, trained_on, dict.fromkeys(rule.systems, rule.threshold), rule.systems, {})


def _trained(folders: Sequence[Path]) -> Detector:
    """Put models of one method together, each for regions of its own."""
    by_region: dict[str, TrainedModel] = {}
    for folder in folders:
        model = read_model(folder)
        systems = method(model.card.method).systems
        for region, each in model.card.regions.items():
            check_fits(folder, each.stages, systems[region].stages if region in systems else ())
            if region in by_region:
                raise CtlymphError(f"{folder.parent} holds several models for the {region}; give the folder of one")
            by_region[region] = model
    names = {model.card.method for model in by_region.values()}
    if len(names) > 1:
        raise CtlymphError(f"{folders[0].parent} holds models of {' and '.join(sorted(names))}; give one of them")
    return Detector(
        name=names.pop(),
        trained_on=" ".join(dict.fromkeys(model.card.trained_on for model in by_region.values())),
        thresholds={region: model.card.threshold for region, model in by_region.items()},
        systems={region: method(model.card.method).systems[region] for region, model in by_region.items()},
        models=by_region,
    )


def detect(
    volume: Volume,
    *,
    region: str = "auto",
    model: str = DEFAULT,
    threshold: float | None = None,
    progress: Progress = SILENT,
    device: Device = "auto",
) -> Result:
    """Find and measure the lymph nodes of a CT. For research use, not for diagnosis.

    Args:
        volume: The CT, as :func:`ctlymph.read` returns it.
        region: ``mediastinum``, ``abdomen``, or ``auto``: those that the scan holds.
        model: Name of a rule or of a model that comes with the package, or the folder of a trained model.
        threshold: Score, 0…1, from which on a mark counts as a node; None: the model's own.
        progress: Where to show the advance.
        device: Where networks run: ``cpu``, ``cuda``, or ``auto``: a GPU if PyTorch sees one.

    Returns:
        The nodes by falling score, numbered from 1, sizes in mm, points in LPS mm; and their masks.

    Raises:
        CtlymphError: If the scan does not hold the region, or an option is off.

    Example:
        >>> import ctlymph
        >>> ct = ctlymph.read("CT_FOLDER")                                       # doctest: +SKIP
        >>> nodes = ctlymph.detect(ct, region="mediastinum")                     # doctest: +SKIP
        >>> [node for node in nodes if node.sizes.short_axis.length_mm >= 10]    # doctest: +SKIP
        >>> ctlymph.write_results("OUT", nodes, formats=("csv", "report"))       # doctest: +SKIP
    """
    return find_nodes(volume, DetectOptions(region, model, threshold, progress, device))


def find_nodes(volume: Volume, options: DetectOptions) -> Result:
    """Find and measure the lymph nodes of a CT, as :func:`detect` does.

    Raises:
        CtlymphError: If the scan does not hold the region.
    """
    from ctlymph.anatomy.landmarks import find_landmarks
    from ctlymph.anatomy.search_regions import find_regions
    from ctlymph.anatomy.stations import station_of
    from ctlymph.measurement.axes import measure_masks
    from ctlymph.measurement.noderads import assess_nodes
    from ctlymph.measurement.segmentation import segment_marks

    _refuse_other_scales(volume)
    chosen = detector(options.model)
    networks = RunContext(options.device)
    thresholds = dict(chosen.thresholds)
    if options.threshold is not None:
        thresholds = dict.fromkeys(thresholds, options.threshold)
    seconds: dict[str, float] = {}
    seen = _repeated(volume)
    with _timed("anatomy", seconds), options.progress.task("Anatomy", 1) as advance:
        landmarks = find_landmarks(seen)
        regions = find_regions(landmarks, _searched(options.region, chosen))
        advance(1)
    with _timed("candidates", seconds):
        known = [region for region in regions if region.name in chosen.systems]
        contexts = (DetectionContext(seen, landmarks, region, run=networks) for region in known)
        found = [mark for context in contexts for mark in chosen.marks(context, options.progress)]
        sure = (mark for mark in found if mark.score >= thresholds[mark.region])
        marks = sorted(sure, key=lambda mark: -mark.score)
        if seen is not volume:
            marks = _on_slice(volume.geometry, marks)
    with _timed("masks", seconds):
        masks, kept = segment_marks(volume, marks, options.progress)
    with _timed("sizes", seconds):
        measured = measure_masks(volume, masks)
    nodes = [
        replace(_node(node, mark, volume), model=chosen.name, station=station_of(mark.point_mm, landmarks, mark.region))
        for node, (_, mark) in zip(measured, kept, strict=True)
    ]
    with _timed("Node-RADS", seconds):
        nodes = assess_nodes(volume, masks, nodes)
    return Result(
        volume=volume,
        masks=masks,
        nodes=nodes,
        regions=[region.name for region in known],
        model=chosen.name,
        trained_on=chosen.trained_on,
        thresholds={region.name: thresholds[region.name] for region in known},
        notes=volume.notes if seen is volume else (*volume.notes, _ONE_SLICE),
        seconds=seconds,
    )


def _searched(region: str, chosen: Detector) -> str:
    """Return the region to search: the one asked for, if the detector knows it."""
    if region != "auto" and region not in chosen.systems:
        raise UsageError(f"this model of {chosen.name} knows the {' and '.join(chosen.systems)} only")
    return next(iter(chosen.systems)) if region == "auto" and len(chosen.systems) < len(REGIONS) else region


def _repeated(volume: Volume) -> Volume:
    """Return a CT of one axial slice repeated above and below, any other as it is."""
    axial = volume.reorient("LPS")
    if axial.hu.shape[0] != 1:
        return volume
    flat = axial.geometry
    shape = (2 * _REPEATED_MM + 1, *flat.shape_zyx[1:])
    lowest_mm = flat.origin_mm - flat.direction[:, 2] * _REPEATED_MM
    geometry = replace(flat, shape_zyx=shape, origin_mm=lowest_mm, spacing_mm=np.array([*flat.spacing_mm[:2], 1.0]))
    return replace(axial, hu=np.repeat(axial.hu, shape[0], axis=0), geometry=geometry)


def _on_slice(slice_: Geometry, marks: Sequence[Mark]) -> list[Mark]:
    """Move the marks of an extended CT onto its one slice; of those that come to lie together keep the first."""
    index = slice_.mm_to_index(np.array([mark.point_mm for mark in marks]).reshape(-1, 3))
    points_mm = slice_.index_to_mm(np.clip(index, 0, np.array(slice_.shape_ijk) - 1))
    farther_than = np.nextafter([mark.radius_mm for mark in marks], np.inf)
    moved = [replace(mark, point_mm=(x, y, z)) for mark, (x, y, z) in zip(marks, points_mm.tolist(), strict=True)]
    return [moved[row] for row in separated(points_mm, farther_than)]


def _refuse_other_scales(volume: Volume) -> None:
    """Refuse what is too large or small for a CT of a person, as where a header has metres or microns for mm."""
    steps = volume.geometry.spacing_mm
    extent_mm = steps * volume.geometry.shape_ijk
    if steps.min() < 0.1 or steps.max() > 20 or extent_mm.max() > 2500:
        size = " × ".join(f"{step:.4g}" for step in steps)
        raise CtlymphError(f"its voxels are {size} mm, which no CT of a person has; correct the spacing in its header")


def _node(measured: LymphNode, mark: Mark, volume: Volume) -> LymphNode:
    """Return a measured node with the place, score and region of its mark."""
    index_ijk = volume.geometry.nearest_voxel(mark.point_mm)
    return replace(measured, point_mm=mark.point_mm, index_ijk=index_ijk, score=mark.score, region=mark.region)


@contextmanager
def _timed(step: str, seconds: dict[str, float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - start
