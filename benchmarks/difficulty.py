"""How hard a collection is: what plain intensity tells, and how many nodes the simplest detector finds.

Run ``python benchmarks/difficulty.py COLLECTION``, on a synthetic collection or the real one. A collection on which
intensity alone parts nodes from look-alikes, or on which round spots are nodes, says nothing about a detector.
Look-alikes are the spots that ``blobs`` marks far from every annotated node, within the region that is annotated.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ctlymph import Collection
from ctlymph.anatomy.landmarks import find_landmarks
from ctlymph.anatomy.search_regions import find_regions
from ctlymph.core.volume import Volume
from ctlymph.datasets.case import Case
from ctlymph.detectors.blobs import BlobSettings, find_blobs
from ctlymph.evaluation.detections import Detections
from ctlymph.evaluation.protocol import evaluate

FALSE_PER_CT = (1.0, 3.0, 6.0, 10.0)
CORE_MM = 3.0
FAR_MM = 15.0


@dataclass(frozen=True, eq=False)
class Look:
    """What was seen in one case: its spots, and the mean HU in the core of other spots and of nodes from 10 mm on."""

    case: str
    region: str
    points_mm: NDArray[np.float64]
    scores: NDArray[np.float64]
    other_hu: NDArray[np.float64]
    node_hu: NDArray[np.float64]
    searched_litres: float


def look(case: Case) -> Look:
    """Find the spots of one case, in the region whose nodes are annotated."""
    ct = case.ct()
    regions = find_regions(find_landmarks(ct), case.region)
    litres = sum(region.mask.sum() * float(np.prod(region.geometry.spacing_mm)) for region in regions) / 1e6
    marks = [mark for region in regions for mark in find_blobs(ct, region, BlobSettings(max_marks=200))]
    points = np.array([mark.point_mm for mark in marks]).reshape(-1, 3)
    nodes = np.array([node.point_mm for node in case.nodes()]).reshape(-1, 3)
    large = np.array([(node.short_axis_mm or 0) >= 10 for node in case.nodes()], dtype=bool)
    apart = np.linalg.norm(points[:, None] - nodes[None], axis=2).min(axis=1, initial=np.inf)
    others = core_hu(ct, points[apart > FAR_MM])
    scores = np.array([mark.score for mark in marks])
    return Look(case.name, case.region, points, scores, others, core_hu(ct, nodes[large]), litres)


def core_hu(ct: Volume, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the mean HU within 3 mm of each point (n, 3)."""
    span = np.arange(-CORE_MM, CORE_MM + 0.1, 0.75)
    ball = np.stack(np.meshgrid(span, span, span), axis=-1).reshape(-1, 3)
    ball = ball[np.linalg.norm(ball, axis=1) <= CORE_MM]
    sampled = np.rint(ct.geometry.mm_to_index((points_mm[:, None] + ball).reshape(-1, 3))).astype(int)
    i, j, k = np.clip(sampled, 0, np.array(ct.geometry.shape_ijk) - 1).T
    return np.asarray(ct.hu[k, j, i].reshape(len(points_mm), len(ball)).mean(axis=1), dtype=np.float64)


def separation(looks: list[Look]) -> tuple[float, float]:
    """Give the areas under the ROC curve of intensity as it is, and of its nearness to the nodes of the other cases."""
    from sklearn.metrics import roc_auc_score

    is_node, plain, near = [], [], []
    for one in looks:
        rest = np.concatenate([each.node_hu for each in looks if each is not one])
        hu = np.concatenate([one.node_hu, one.other_hu])
        is_node += [True] * len(one.node_hu) + [False] * len(one.other_hu)
        plain += hu.tolist()
        near += (-np.abs(hu - np.median(rest))).tolist()
    return float(roc_auc_score(is_node, plain)), float(roc_auc_score(is_node, near))


def main() -> None:
    """Look at every case and print what each region gave."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    cases = [case for case in Collection(options.collection).cases() if {"ct", "annotations"} <= case.has]
    with get_context("spawn").Pool(options.jobs) as pool:
        looks = []
        for one in pool.imap(look, cases):
            looks.append(one)
            print(f"{one.case}: {len(one.node_hu)} nodes >= 10 mm, {len(one.points_mm)} spots", flush=True)
    for region in sorted({one.region for one in looks}):
        show(region, [one for one in looks if one.region == region], options.collection)


def show(region: str, looks: list[Look], collection: Path) -> None:
    """Print one region: intensity, and the sensitivity of ``blobs``."""
    from ctlymph.evaluation.readers.ground_truth_files import read_ground_truth

    names = tuple(one.case for one in looks)
    points, scores = ({one.case: getattr(one, name) for one in looks} for name in ("points_mm", "scores"))
    detections = Detections.from_points(points, scores, "blobs")
    curve = evaluate(detections, read_ground_truth(collection, names)).results[0].curve
    plain, near = separation(looks)
    nodes, others = (np.concatenate([getattr(one, name) for one in looks]) for name in ("node_hu", "other_hu"))
    print(f"\n{region}: {len(looks)} cases, {len(nodes)} nodes >= 10 mm, {len(others)} look-alikes")
    for what, hu in (("nodes", nodes), ("look-alikes", others)):
        print(f"  core of {what}: {hu.mean():.0f} ± {hu.std():.0f} HU")
    print(f"  AUC of intensity {plain:.2f}; of its nearness to the usual node's {near:.2f}")
    print(
        f"  spots per litre searched {np.median([len(one.scores) / one.searched_litres for one in looks]):.0f} (median)"
    )
    for rate in FALSE_PER_CT:
        print(f"  blobs: sensitivity {curve.operating_point(rate).sensitivity:.2f} at {rate:g} false positives per CT")


if __name__ == "__main__":
    main()
