"""Annotated nodes, from masks or from a file: brought onto their CT's grid, measured, named after their place."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from ctlymph.anatomy.landmarks import find_landmarks
from ctlymph.anatomy.search_regions import find_regions
from ctlymph.anatomy.stations import station_of
from ctlymph.core.errors import CtlymphError, Remedy
from ctlymph.core.nodes import LymphNode
from ctlymph.core.result import Result
from ctlymph.core.volume import Masks, Volume
from ctlymph.io.dicom.seg_reader import is_segmentation, read_segments
from ctlymph.io.dicom.sr_reader import is_report, read_report
from ctlymph.io.images import image_suffix, read_masks
from ctlymph.measurement.axes import measure_masks
from ctlymph.measurement.masks import on_grid, pieces
from ctlymph.measurement.masks import split as split_pieces
from ctlymph.measurement.noderads import assess_nodes

_MAX_DISTANCE_MM = 15.0
"""A node may lie this far outside a search region and still be named after it."""


def measure(ct: Volume, masks: Masks | str | Path, *, split: bool = False) -> Result:
    """Measure the annotated nodes of a CT: axes, volume, mean HU, station and Node-RADS.

    Args:
        ct: The CT.
        masks: Instance masks, one label a node; or a file of them: an image, a DICOM-SEG, or a DICOM report
            (TID 1500) in the folder of the DICOM-SEG that it refers to, which also holds the nodes' scores. They must
            lie on the CT's grid; their axes may run in another order.
        split: Measure each separate piece of a label as a node of its own.

    Returns:
        The nodes, numbered by their labels, with sizes in mm and points in LPS mm. Nodes that overlap in a DICOM-SEG
        are measured whole and lie in several masks (``overlapping``).

    Raises:
        CtlymphError: If the file cannot be read, is of another patient or grid than the CT, or is to be split though
            its nodes overlap.

    Example:
        >>> import numpy as np
        >>> import ctlymph
        >>> grid = ctlymph.Geometry((20, 40, 40), origin_mm=np.zeros(3), spacing_mm=np.ones(3))
        >>> labels = np.zeros(grid.shape_zyx, np.uint16)
        >>> labels[5:15, 10:20, 10:30] = 1
        >>> ct = ctlymph.Volume(np.where(labels, 40, -90).astype(np.int16), grid)
        >>> (node,) = ctlymph.measure(ct, ctlymph.Masks(labels, grid))
        >>> node.sizes.volume_mm3, node.sizes.mean_hu, round(node.sizes.short_axis.length_mm)
        (2000.0, 40.0, 11)
    """
    start = time.perf_counter()
    scores: Mapping[int, float] = {}
    source = "the array of labels" if isinstance(masks, Masks) else str(masks)
    try:
        if isinstance(masks, Masks):
            layers: tuple[Masks, ...] = (on_grid(masks, ct.geometry),)
        elif is_report(Path(masks)):
            report = read_report(Path(masks))
            layers, scores = _read_layers(report.segmentation, ct), report.scores
        else:
            layers = _read_layers(Path(masks), ct)
        layers, notes = _split(layers) if split else (layers, _piece_notes(layers))
    except CtlymphError as error:
        raise error if source in error.message else error.at(source) from error
    measured = [measure_masks(ct, layer) for layer in layers]
    located = iter(_located(ct, [node for nodes in measured for node in nodes]))  # the anatomy is searched once for all
    nodes = [
        node
        for layer, nodes in zip(layers, measured, strict=True)
        for node in assess_nodes(ct, layer, list(islice(located, len(nodes))))
    ]
    if not split:
        nodes = [replace(node, score=scores.get(node.node)) for node in nodes]
    if len(layers) > 1:
        notes.append("nodes overlap; each is measured whole")
    if not nodes:
        notes.append(f"{source} holds no node; every voxel is 0")
    return Result(
        volume=ct,
        masks=layers[0],
        nodes=sorted(nodes, key=lambda node: node.node),
        notes=(*ct.notes, *notes),
        seconds={"measuring": time.perf_counter() - start},
        overlapping=layers[1:],
    )


def _read_layers(file: Path, ct: Volume) -> tuple[Masks, ...]:
    if image_suffix(file) or not is_segmentation(file):
        return (on_grid(read_masks(file), ct.geometry),)
    return read_segments(file, ct.geometry, ct.attributes)


def _split(layers: tuple[Masks, ...]) -> tuple[tuple[Masks, ...], list[str]]:
    if len(layers) > 1:
        raise CtlymphError("its segments overlap, and a piece could be of several", Remedy.NO_SPLIT)
    return (split_pieces(layers[0]),), []


def _piece_notes(layers: Sequence[Masks]) -> list[str]:
    counts = [count for layer in layers for count in pieces(layer)]
    if sum(counts) == len(counts):
        return []
    labels = "1 label" if len(counts) == 1 else f"{len(counts)} labels"
    return [
        f"the mask has {labels} but {sum(counts)} separate pieces; each label is measured as one node, "
        "unless its pieces are split"
    ]


def _located(ct: Volume, nodes: Sequence[LymphNode]) -> list[LymphNode]:
    """Name the region and station of nodes, as far as the CT shows the anatomy that defines them."""
    from scipy.ndimage import distance_transform_edt

    if not nodes:
        return []
    try:
        landmarks = find_landmarks(ct)
        regions = find_regions(landmarks, "auto")
    except CtlymphError:  # no body, or none of the regions: the nodes' place has no name
        return list(nodes)
    distances_mm = np.full((len(regions), len(nodes)), np.inf)
    for number, region in enumerate(regions):
        outside_mm = distance_transform_edt(~region.mask, sampling=region.geometry.spacing_zyx)
        voxels = [region.geometry.nearest_voxel(node.point_mm)[::-1] for node in nodes]
        distances_mm[number] = [outside_mm[voxel] for voxel in voxels]
    located = []
    for node, to_regions_mm in zip(nodes, distances_mm.T, strict=True):
        name = regions[int(to_regions_mm.argmin())].name if to_regions_mm.min() <= _MAX_DISTANCE_MM else ""
        station = station_of(node.point_mm, landmarks, name) if name else ""
        located.append(replace(node, region=name, station=station))
    return located
