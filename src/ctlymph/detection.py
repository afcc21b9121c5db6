"""The whole way from a CT to measured nodes, step by step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ctlymph.errors import CtlymphError
from ctlymph.io.results import Result
from ctlymph.methods import DEFAULT, method
from ctlymph.nodes import LymphNode, Mark
from ctlymph.progress import SILENT, Progress
from ctlymph.volume import Volume


@dataclass(frozen=True)
class DetectOptions:
    """What to look for, and how.

    Attributes:
        region: ``mediastinum``, ``abdomen``, or ``auto``: those that the scan holds.
        model: A name from :data:`ctlymph.methods.METHODS`.
        threshold: Score, 0…1, from which on a mark counts as a node; None: the model's own.
        progress: Where to show the advance.

    Raises:
        CtlymphError: If the threshold is not between 0 and 1 or there is no such model.
    """

    region: str = "auto"
    model: str = DEFAULT
    threshold: float | None = None
    progress: Progress = SILENT

    def __post_init__(self) -> None:
        method(self.model)
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise CtlymphError(f"the threshold {self.threshold} is not a score; give a number from 0 to 1")


def detect(
    volume: Volume,
    *,
    region: str = "auto",
    model: str = DEFAULT,
    threshold: float | None = None,
    progress: Progress = SILENT,
) -> list[LymphNode]:
    """Find and measure the lymph nodes of a CT. For research use, not for diagnosis.

    Args:
        volume: The CT, as :func:`ctlymph.read` gives it.
        region: ``mediastinum``, ``abdomen``, or ``auto``: those that the scan holds.
        model: Name of the detector.
        threshold: Score, 0…1, from which on a mark counts as a node; None: the model's own.
        progress: Where to show the advance.

    Returns:
        Nodes by falling score, numbered from 1, sizes in mm, points in LPS mm.

    Raises:
        CtlymphError: If the scan does not hold the region, or an option is off.
    """
    return list(run(volume, DetectOptions(region, model, threshold, progress)).nodes)


def run(volume: Volume, options: DetectOptions) -> Result:
    """Do what :func:`detect` does, and keep masks, regions, notes and timings too."""
    from ctlymph.anatomy.landmarks import find_landmarks
    from ctlymph.anatomy.search import find_regions
    from ctlymph.measurement.axes import measure_masks
    from ctlymph.measurement.segmentation import segment_marks

    _refuse_other_scales(volume)
    chosen = method(options.model)
    threshold = chosen.threshold if options.threshold is None else options.threshold
    seconds: dict[str, float] = {}
    with _timed("anatomy", seconds), options.progress.task("Anatomy", 1) as advance:
        regions = find_regions(find_landmarks(volume), options.region)
        advance(1)
    with _timed("candidates", seconds):
        found = [mark for region in regions for mark in chosen.find(volume, region, options.progress)]
        marks = sorted((mark for mark in found if mark.score >= threshold), key=lambda mark: -mark.score)
    with _timed("masks", seconds):
        masks, kept = segment_marks(volume, marks, options.progress)
    with _timed("sizes", seconds):
        measured = measure_masks(volume, masks)
    nodes = [_node(node, mark, options.model, volume) for node, (_, mark) in zip(measured, kept, strict=True)]
    return Result(
        volume=volume,
        masks=masks,
        nodes=nodes,
        regions=[region.name for region in regions],
        model=chosen.name,
        trained_on=chosen.trained_on,
        threshold=threshold,
        notes=volume.notes,
        seconds=seconds,
    )


def _refuse_other_scales(volume: Volume) -> None:
    """Refuse what is no CT of a person by its size alone, as where a header gives metres or microns for mm."""
    steps = volume.geometry.spacing_mm
    extent_mm = steps * volume.geometry.shape_ijk
    if steps.min() < 0.1 or steps.max() > 20 or extent_mm.max() > 2500:
        size = " × ".join(f"{step:.4g}" for step in steps)
        raise CtlymphError(f"its voxels are {size} mm, which no CT of a person has; correct the spacing in its header")


def _node(measured: LymphNode, mark: Mark, model: str, volume: Volume) -> LymphNode:
    """Give a measured mask the place, score and region of its mark."""
    index_ijk = volume.geometry.nearest_voxel(mark.point_mm)
    return replace(
        measured, point_mm=mark.point_mm, index_ijk=index_ijk, score=mark.score, region=mark.region, model=model
    )


@contextmanager
def _timed(step: str, seconds: dict[str, float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - start
