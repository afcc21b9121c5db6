"""Cases for training and testing: context and true nodes, read once and kept as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ctlymph.anatomy.airways import Airway
from ctlymph.anatomy.landmarks import Landmarks, find_landmarks
from ctlymph.anatomy.search_regions import find_regions
from ctlymph.core.regions import Region
from ctlymph.core.volume import Geometry, Masks, Volume
from ctlymph.datasets.case import Case
from ctlymph.detectors.base import DetectionContext, TrueNodes
from ctlymph.io import read
from ctlymph.training.cache_keys import digest_of

CONTEXT_VERSION = 1
"""Raised when reading, the anatomy or the files below change, so that contexts that were kept are computed anew."""

_MARGIN_MM = 40.0
"""How much of the CT is kept around the region: the slices of a candidate at its edge extend 25 mm."""


@dataclass(frozen=True)
class AnnotatedCase:
    """A case of a collection whose nodes are annotated in one region.

    Attributes:
        case: Where its data lie.
        region: ``mediastinum`` or ``abdomen``.
    """

    case: Case
    region: str

    @property
    def name(self) -> str:
        """The case's name."""
        return self.case.name

    @property
    def patient(self) -> str:
        """The case's patient."""
        return self.case.patient

    def digest(self) -> str:
        """Return a digest of this case and its files as they are now."""
        return digest_of(self.case.name, self.region, self.case.files.state())

    def load(self) -> tuple[DetectionContext, TrueNodes]:
        """Read the CT, find landmarks and region, and read the nodes.

        Raises:
            CtlymphError: If data are absent or damaged, or the region is not in the scan.
        """
        ct = self.case.ct()
        landmarks = find_landmarks(ct)
        (region,) = find_regions(landmarks, self.region)
        masks = self.case.masks(ct) if {"masks", "seg"} & self.case.has else None
        nodes = self.case.nodes(self.region)
        truth = TrueNodes(
            np.array([node.point_mm for node in nodes]).reshape(-1, 3),
            np.array([np.nan if node.short_axis_mm is None else node.short_axis_mm for node in nodes], float),
            masks,
        )
        published = None
        if "candidates" in self.case.has:
            published = np.array([each.point_mm for each in self.case.candidates()]).reshape(-1, 3)
        return _cut(DetectionContext(ct, landmarks, region, published), truth)


@dataclass(frozen=True)
class UnannotatedCase:
    """A CT without annotations.

    Attributes:
        path: Whatever :func:`ctlymph.read` reads.
        region: ``mediastinum`` or ``abdomen``.
    """

    path: Path
    region: str

    @property
    def name(self) -> str:
        """Name of the file or folder."""
        return self.path.name.removesuffix(".gz").removesuffix(".nii")

    @property
    def patient(self) -> str:
        """Not known: each CT counts as a patient of its own."""
        return str(self.path)

    def digest(self) -> str:
        """Return a digest of this CT and its files as they are now."""
        files = sorted(self.path.rglob("*")) if self.path.is_dir() else [self.path]
        states = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        return digest_of(str(self.path.resolve()), self.region, states)

    def load(self) -> tuple[DetectionContext, TrueNodes]:
        """Read the CT, find landmarks and region.

        Raises:
            CtlymphError: If it cannot be read, or the region is not in the scan.
        """
        ct = read(self.path)
        landmarks = find_landmarks(ct)
        (region,) = find_regions(landmarks, self.region)
        return _cut(DetectionContext(ct, landmarks, region), TrueNodes(np.empty((0, 3)), np.empty(0), None))


def _cut(context: DetectionContext, truth: TrueNodes) -> tuple[DetectionContext, TrueNodes]:
    """Cut CT and masks to what lies around the region."""
    grid, region = context.volume.geometry, context.region
    inside = region.geometry.index_to_mm(np.argwhere(region.mask)[:, ::-1])
    low_mm, high_mm = inside.min(axis=0) - _MARGIN_MM, inside.max(axis=0) + _MARGIN_MM
    corners = np.array(np.meshgrid(*zip(low_mm, high_mm, strict=True))).reshape(3, -1).T
    index = grid.mm_to_index(corners)[:, ::-1]
    start = np.clip(np.floor(index.min(axis=0)).astype(int), 0, None)
    stop = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, grid.shape_zyx)
    part = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    cropped = grid.crop(start, stop - start)
    volume = Volume(np.ascontiguousarray(context.volume.hu[part]), cropped, context.volume.case)
    masks = truth.masks and Masks(np.ascontiguousarray(truth.masks.labels[part]), cropped)
    return replace(context, volume=volume), replace(truth, masks=masks)


def write_context(path: Path, context: DetectionContext, truth: TrueNodes) -> None:
    """Write a context and its true nodes as plain arrays (``.npz``)."""
    landmarks, airway = context.landmarks, context.landmarks.airway
    arrays: dict[str, Any] = {
        "hu": context.volume.hu,
        "affine": context.volume.geometry.affine,
        "coarse_affine": landmarks.geometry.affine,
        "coarse_hu": landmarks.hu,
        "body": np.packbits(landmarks.body),
        "lungs": np.packbits(landmarks.lungs),
        "lumen": np.packbits(airway.lumen),
        "region": np.packbits(context.region.mask),
        "path_ijk": airway.path_ijk,
        "carina_ijk": np.empty(0) if airway.carina_ijk is None else airway.carina_ijk,
        "spine": landmarks.spine,
        "points_mm": truth.points_mm,
        "short_axes_mm": truth.short_axes_mm,
        "names": np.array([context.volume.case, context.region.name]),
    }
    if context.published_mm is not None:
        arrays["published_mm"] = context.published_mm
    if truth.masks is not None:
        voxels = np.argwhere(truth.masks.labels)
        arrays |= {"node_zyx": voxels.astype(np.int16), "node": truth.masks.labels[tuple(voxels.T)]}
    np.savez(path, **arrays)


def read_nodes(path: Path) -> TrueNodes:
    """Read the nodes that :func:`write_context` wrote, without masks, and nothing else."""
    with np.load(path, allow_pickle=False) as file:
        return TrueNodes(file["points_mm"], file["short_axes_mm"], None)


def read_context(path: Path) -> tuple[DetectionContext, TrueNodes]:
    """Read what :func:`write_context` wrote."""
    with np.load(path, allow_pickle=False) as file:
        shape = file["coarse_hu"].shape
        coarse = Geometry.from_affine(file["coarse_affine"], shape)

        def mask(name: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
            return np.unpackbits(file[name], count=int(np.prod(shape))).reshape(shape).astype(bool)

        case, region = file["names"].tolist()
        hu = file["hu"]
        geometry = Geometry.from_affine(file["affine"], hu.shape)
        carina = file["carina_ijk"] if len(file["carina_ijk"]) else None
        airway = Airway(mask("lumen"), file["path_ijk"], carina)
        landmarks = Landmarks(file["coarse_hu"], coarse, mask("body"), airway, mask("lungs"), file["spine"])
        published = file.get("published_mm")
        context = DetectionContext(
            Volume(hu, geometry, case), landmarks, Region(region, mask("region"), coarse), published
        )
        masks = None
        if "node" in file:
            labels = np.zeros(hu.shape, np.uint16)
            labels[tuple(file["node_zyx"].T)] = file["node"]
            masks = Masks(labels, geometry)
        return context, TrueNodes(file["points_mm"], file["short_axes_mm"], masks)
