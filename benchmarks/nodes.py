"""Nodes of synthetic patients compared with real ones: counts, sizes, distances and shapes, as a table in Markdown.

Run ``python benchmarks/nodes.py --annotations MED_ABD_LYMPH_ANNOTATIONS --masks MASKS.npz --patients 40``. The
annotations are the folder of the collection's archive. The masks are optional: an archive with, for each name n, the
packed bits of a mask as n, its shape as n__shape and its affine as n__affineRAS. Of the synthetic nodes those count
that are annotated; their shapes are laid on a grid of 0.75 × 0.75 × 1 mm and measured as the masks are.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.regions import ABDOMEN, MEDIASTINUM, REGIONS
from ctlymph.datasets.annotations import INDICES, POINTS, SIZES, read_annotations
from ctlymph.datasets.archive_file import CollectionFile
from ctlymph.phantom.nodes.growth import node_generations
from ctlymph.phantom.nodes.node_shapes import axes_of_sections
from ctlymph.phantom.nodes.patient_anatomy import Body
from ctlymph.phantom.nodes.placement import make_nodes
from ctlymph.phantom.nodes.synthetic_nodes import TrueNode

PREFIX = {MEDIASTINUM: "MED", ABDOMEN: "ABD"}
GRID_MM = np.array([0.75, 0.75, 1.0])
QUANTILES = (5, 25, 50, 75, 95)


@dataclass
class Sample:
    """What was measured of the nodes of one region: lists of numbers by the name of the figure."""

    counts: list[int]
    figures: dict[str, list[float]]

    def add(self, **figures: float) -> None:
        """Add a number to each figure named."""
        for name, value in figures.items():
            self.figures.setdefault(name, []).append(value)


def main() -> None:
    """Measure both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--masks", type=Path)
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first patient")
    options = parser.parse_args()
    real = {region: annotated(options.annotations, region) for region in REGIONS}
    if options.masks:
        add_masks(real, options.masks)
    ours = synthetic(range(options.seed, options.seed + options.patients))
    for line in table(real, ours):
        print(line)


def annotated(folder: Path, region: str) -> Sample:
    """Read the annotation files of a region's cases."""
    sample = Sample([], {})
    for case in sorted(folder.glob(f"{PREFIX[region]}*")):
        files = {name: CollectionFile(case / f"{case.name}_lymphnodes_{name}") for name in (POINTS, INDICES, SIZES)}
        nodes = read_annotations(files)
        sample.counts.append(len(nodes))
        add_distances(sample, [node.point_mm for node in nodes])
        for node in nodes:
            if node.short_axis_mm:
                sample.add(short=node.short_axis_mm)
            if node.short_axis_mm and node.long_axis_mm:
                sample.add(long=node.long_axis_mm, annotated_ratio=node.long_axis_mm / node.short_axis_mm)
    return sample


def add_masks(samples: Mapping[str, Sample], archive: Path) -> None:
    """Add the shapes of hand-traced masks."""
    with np.load(archive, allow_pickle=False) as masks:
        for name in (name for name in masks.files if "__" not in name):
            shape = masks[f"{name}__shape"]
            mask = np.unpackbits(masks[name])[: int(np.prod(shape))].reshape(shape).astype(bool)
            region = next(region for region, prefix in PREFIX.items() if name.startswith(prefix))
            samples[region].add(**shape_figures(mask, np.abs(np.diag(masks[f"{name}__affineRAS"])[:3])))


def synthetic(seeds: Sequence[int]) -> dict[str, Sample]:
    """Make patients, without lungs and scanner, and measure their annotated nodes."""
    samples = {region: Sample([], {}) for region in REGIONS}
    for seed in seeds:
        placement_field = Body.of(seed).placement_field
        nodes = [
            node
            for node in make_nodes(placement_field, node_generations(seed, placement_field, 1)[0].node_seeds)
            if node.marked
        ]
        for region, sample in samples.items():
            own = [node for node in nodes if node.region == region]
            sample.counts.append(len(own))
            add_distances(sample, [node.centre_mm for node in own])
            for node in own:
                sample.add(short=node.short_axis_mm, long=node.long_axis_mm)
                sample.add(**shape_figures(voxels(node, seed), GRID_MM))
    return samples


def voxels(node: TrueNode, seed: int) -> NDArray[np.bool_]:
    """Lay a node on a grid that begins anywhere; array x, y, z."""
    low, high = node.solid.bounds
    start = low - 2 - np.random.default_rng([seed, node.node]).uniform(0, 1, 3) * GRID_MM
    x, y, z = (np.arange(start[n], high[n] + 2, GRID_MM[n], dtype=np.float32) for n in range(3))
    return np.asarray(node.solid.on_grid(x, y, z, 3.0) < 0).transpose(2, 1, 0)


def add_distances(sample: Sample, points_mm: Sequence[Sequence[float]]) -> None:
    """Add how far each node is from the nearest other one of its case."""
    if len(points_mm) > 1:
        points = np.array(points_mm)
        apart = np.linalg.norm(points[:, None] - points[None], axis=2)
        np.fill_diagonal(apart, np.inf)
        for nearest in apart.min(axis=1):
            sample.add(nearest=float(nearest))


def shape_figures(mask: NDArray[np.bool_], spacing_mm: NDArray[np.float64]) -> dict[str, float]:
    """Measure the largest piece of a mask (x, y, z)."""
    from scipy.ndimage import gaussian_filter, label
    from scipy.spatial import ConvexHull
    from skimage.measure import marching_cubes, mesh_surface_area, regionprops

    pieces, _ = label(mask)
    mask = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
    places = np.argwhere(mask) * spacing_mm
    # Diameters of the ellipsoid with the mask's second moments.
    variance, axes = np.linalg.eigh(np.cov(places.T) + np.diag(spacing_mm**2 / 12))
    a, b, c = 2 * np.sqrt(5 * variance)
    # The staircase of voxels, and the hand's from slice to slice, is smoothed a little.
    soft = gaussian_filter(np.pad(mask, 6).astype(np.float32), 1.0 / spacing_mm)
    corners, faces, _, _ = marching_cubes(soft, 0.5, spacing=tuple(spacing_mm))
    first, second, third = (corners[faces[:, n]] for n in range(3))
    volume = abs(float(np.einsum("ij,ij->i", first, np.cross(second, third)).sum()) / 6)
    widest = mask.sum(axis=(0, 1)).argmax()
    long, short = axes_of_sections(0.5 - soft.transpose(2, 1, 0), float(spacing_mm[0]))
    return {
        "ratio": long / short,
        "widening": b / a,
        "lengthening": c / b,
        "solidity": volume / ConvexHull(corners).volume,
        "flat_solidity": float(regionprops(mask[:, :, widest].astype(int))[0].solidity),
        "sphericity": np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / float(mesh_surface_area(corners, faces)),
        "tilt": float(np.degrees(np.arccos(min(1.0, abs(axes[2, 2]))))),
    }


ROWS = {
    "short": "short axis, mm",
    "long": "long axis, mm",
    "annotated_ratio": "long / short axis, as annotated",
    "ratio": "long / short axis, of the mask",
    "nearest": "nearest other node, mm",
    "widening": "middle / shortest diameter",
    "lengthening": "longest / middle diameter",
    "tilt": "longest diameter to z, degrees",
    "solidity": "volume / that of the convex hull",
    "flat_solidity": "the same of the largest section",
    "sphericity": "sphericity",
}


def table(real: Mapping[str, Sample], ours: Mapping[str, Sample]) -> Iterator[str]:
    """Give the lines of the table."""
    yield "| | mediastinum, real | ours | abdomen, real | ours |"
    yield "|---|---|---|---|---|"
    columns = [sample for region in REGIONS for sample in (real[region], ours[region])]
    yield _row("cases", [str(len(one.counts)) for one in columns])
    yield _row("of these without an annotated node", [str(one.counts.count(0)) for one in columns])
    yield _row("annotated nodes", [str(sum(one.counts)) for one in columns])
    yield _row("nodes a case (of those that have any): 25, 50, 75 %, most", [_counts(one.counts) for one in columns])
    yield _row("short axis below 10 mm", [f"{np.mean(np.array(one.figures['short']) < 10):.0%}" for one in columns])
    for name, title in ROWS.items():
        yield _row(f"{title}: 5, 25, 50, 75, 95 %", [_quantiles(one.figures.get(name, [])) for one in columns])


def _row(title: str, cells: Sequence[str]) -> str:
    return f"| {title} | {' | '.join(cells)} |"


def _counts(counts: Sequence[int]) -> str:
    some = [count for count in counts if count]
    return ", ".join(f"{value:g}" for value in (*np.percentile(some, (25, 50, 75)), max(some)))


def _quantiles(values: Sequence[float]) -> str:
    if not values:
        return "–"
    digits = 1 if np.median(values) > 5 else 2
    return ", ".join(f"{value:.{digits}f}" for value in np.percentile(values, QUANTILES))


if __name__ == "__main__":
    main()
