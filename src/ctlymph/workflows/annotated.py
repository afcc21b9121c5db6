"""Nodes that someone drew, from any file: brought onto their CT's grid, measured, named by place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from ctlymph.core.errors import CtlymphError, Remedy
from ctlymph.core.nodes import LymphNode
from ctlymph.core.short_repr import short_repr
from ctlymph.core.volume import Masks, Volume

_BESIDE_MM = 15.0
"""A node may lie so far beside a search region and still be named after it."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Nodes as they were drawn.

    Attributes:
        layers: Masks on the CT's grid; more than one only where nodes overlap.
        nodes: Measured, by number.
        notes: What a user should know, one sentence each.
    """

    layers: tuple[Masks, ...]
    nodes: tuple[LymphNode, ...]
    notes: tuple[str, ...]

    __repr__ = short_repr


def read_drawn(file: Path, volume: Volume, *, split: bool = False) -> Drawn:
    """Read and measure nodes that were drawn on a CT.

    Args:
        file: Labels, one a node, as an image file, a DICOM-SEG, or a DICOM report (TID 1500) beside the DICOM-SEG that
            it refers to, which gives the nodes' scores.
        volume: The CT.
        split: Take each separate piece of a label for a node of its own.

    Raises:
        CtlymphError: If the file cannot be read, is of another patient or grid than the CT, or is to be split though
            its nodes overlap.
    """
    from ctlymph.io.dicom.sr_reader import is_report, read_report
    from ctlymph.measurement.axes import measure_masks
    from ctlymph.measurement.noderads import judge_nodes

    scores: Mapping[int, float] = {}
    try:
        segmentation = file
        if is_report(file):
            report = read_report(file)
            segmentation, scores = report.segmentation, report.scores
        layers, notes = _layers(segmentation, volume, split)
    except CtlymphError as error:
        raise error if str(file) in error.message else error.at(file) from error
    measured = [measure_masks(volume, layer) for layer in layers]
    named = iter(placed(volume, [node for nodes in measured for node in nodes]))  # the anatomy is found once for all
    judged = [
        replace(node, score=None if split else scores.get(node.node))
        for layer, nodes in zip(layers, measured, strict=True)
        for node in judge_nodes(volume, layer, list(islice(named, len(nodes))))
    ]
    if len(layers) > 1:
        notes.append("nodes overlap; each is measured whole")
    if not judged:
        notes.append(f"{file} holds no node; every voxel is 0")
    return Drawn(layers, tuple(sorted(judged, key=lambda node: node.node)), tuple(notes))


def _layers(file: Path, volume: Volume, split: bool) -> tuple[tuple[Masks, ...], list[str]]:
    from ctlymph.io.dicom.seg_reader import is_segmentation, read_segments
    from ctlymph.io.images import image_suffix, read_masks
    from ctlymph.measurement import masks as drawn

    if image_suffix(file) or not is_segmentation(file):
        layers: tuple[Masks, ...] = (drawn.on_grid(read_masks(file), volume.geometry),)
    else:
        layers = read_segments(file, volume.geometry, volume.attributes)
    if split and len(layers) > 1:
        raise CtlymphError("its segments overlap, and a piece could be of several", Remedy.NO_SPLIT)
    if split:
        return (drawn.split(layers[0]),), []
    return layers, [note for layer in layers for note in _in_pieces(drawn.pieces(layer))]


def _in_pieces(counts: Sequence[int]) -> list[str]:
    if sum(counts) == len(counts):
        return []
    labels = "1 label" if len(counts) == 1 else f"{len(counts)} labels"
    return [
        f"the mask has {labels} but {sum(counts)} separate pieces; each label is measured as one node, "
        "unless its pieces are split"
    ]


def placed(volume: Volume, nodes: Sequence[LymphNode]) -> list[LymphNode]:
    """Name the region and station of nodes, as far as the anatomy that tells them is in view."""
    import numpy as np
    from scipy.ndimage import distance_transform_edt

    from ctlymph.anatomy.landmarks import find_landmarks
    from ctlymph.anatomy.search_regions import find_regions
    from ctlymph.anatomy.stations import station_of

    if not nodes:
        return []
    try:
        landmarks = find_landmarks(volume)
        regions = find_regions(landmarks, "auto")
    except CtlymphError:  # no body, or none of the regions: nobody can tell where the nodes lie
        return list(nodes)
    off_mm = np.full((len(regions), len(nodes)), np.inf)
    for number, region in enumerate(regions):
        off = distance_transform_edt(~region.mask, sampling=region.geometry.spacing_zyx)
        places = [region.geometry.nearest_voxel(node.point_mm)[::-1] for node in nodes]
        off_mm[number] = [off[place] for place in places]
    named = []
    for node, off in zip(nodes, off_mm.T, strict=True):
        where = regions[int(off.argmin())].name if off.min() <= _BESIDE_MM else ""
        station = station_of(node.point_mm, landmarks, where) if where else ""
        named.append(replace(node, region=where, station=station))
    return named
