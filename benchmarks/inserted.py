"""Nodes put into CTs, found and measured by a network that has not learned from these CTs: sensitivity, sizes.

Run ``python benchmarks/inserted.py INSERTED --cache CACHE`` with the options that ``ctlymph train`` was given; what it
has kept in its cache is not learned again. Each CT is left out in turn: as many folds as there are patients. For every
enlarged node that is hit at 3 false positives a CT, the mask drawn at its mark is measured against the truth.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ctlymph.core.nodes import Mark
from ctlymph.datasets.case import Collection
from ctlymph.datasets.folds import make_folds
from ctlymph.detectors.registry import method
from ctlymph.evaluation.bootstrap import Resampling
from ctlymph.evaluation.froc import RATES
from ctlymph.evaluation.matching import MatchingRules, Outcome
from ctlymph.evaluation.protocol import DetectorResult, Protocol, evaluate_region
from ctlymph.evaluation.readers.ground_truth_files import read_ground_truth
from ctlymph.measurement.axes import measure_masks
from ctlymph.measurement.segmentation import segment_marks
from ctlymph.training.cross_validation import OutOfFold, Split, cross_validate, detections_of
from ctlymph.training.splits import make_splits, training_cases
from ctlymph.training.stage_cache import StageCache
from ctlymph.workflows.training import FALSE_PER_CT, Training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--method", default="lymphnet")
    parser.add_argument("--with", dest="further", type=Path, nargs="*", default=[])
    parser.add_argument("--region", action="append")
    parser.add_argument("--folds", type=int, default=7)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--begin-with", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    given = parser.parse_args()
    training = Training(
        method(given.method),
        Collection(given.collection),
        tuple(given.region or ("mediastinum", "abdomen")),
        extra_train=tuple(map(Collection, given.extra_train)),
        steps=given.steps,
        begin_with=given.begin_with,
    )
    stage_cache = StageCache(given.cache)
    chosen = training_cases(training.collection, training.regions)
    folds = make_folds([case.case for case in chosen.all], given.folds, stage_cache.seed)
    for region, split in make_splits(stage_cache, chosen, folds, training.extra_train).items():
        tested = cross_validate(stage_cache, training.systems[region], split)
        marks = detections_of(given.method, split, tested)
        truth = read_ground_truth(training.collection.folder, marks.cases)
        judged = evaluate_region([marks], truth, region, Protocol(MatchingRules(), Resampling(1000, 0)))
        (result,) = judged.results
        at = result.metrics.sensitivity
        for rate, value, low, high in zip(RATES, at.value, at.low, at.high, strict=True):
            print(f"{region}: {value:.2f} ({low:.2f} to {high:.2f}) at {rate:g}")
        _by_patient(result, region)
        _sizes(stage_cache, split, tested, result)


def _threshold(result: DetectorResult) -> float:
    """Give the score above which there are 3 false positives a CT."""
    matches = result.matches
    false = np.sort(matches.detections.scores[matches.false])[::-1]
    allowed = int(FALSE_PER_CT * len(matches.truth.cases))
    return float(false[allowed]) if allowed < len(false) else 0.0


def _by_patient(result: DetectorResult, region: str) -> None:
    matches, least = result.matches, _threshold(result)
    truth = matches.truth
    patients = np.array(truth.patients)
    for patient in sorted(set(patients)):
        mine = np.isin(truth.case, np.flatnonzero(patients == patient)) & ~matches.excluded
        found = int((matches.node_score[mine] > least).sum())
        rows = np.isin(matches.case, np.flatnonzero(patients == patient)) & matches.false
        false = int((matches.detections.scores[rows] > least).sum()) / (patients == patient).sum()
        print(f"{region} {patient}: {found} of {mine.sum()} nodes, {false:.1f} false positives a CT")


def _sizes(stage_cache: StageCache, split: Split, tested: OutOfFold, result: DetectorResult) -> None:
    """Measure what was drawn at the hits."""
    matches, least = result.matches, _threshold(result)
    errors: list[float] = []
    guessed: list[float] = []
    for case in split.readable:
        number = matches.truth.cases.index(case.name)
        hits = np.flatnonzero(
            (matches.case == number) & (matches.outcome == Outcome.HIT) & (matches.detections.scores > least)
        )
        if not len(hits) or case.name not in tested.predictions:
            continue
        volume = stage_cache.context(case)[0].volume
        candidates = tested.predictions[case.name].candidates
        marks, nodes = [], []
        for hit in hits:
            row = int(np.linalg.norm(candidates.points_mm - matches.detections.points_mm[hit], axis=1).argmin())
            x, y, z = candidates.points_mm[row]
            mark = Mark(
                (float(x), float(y), float(z)),
                float(candidates.scores[row]),
                float(candidates.radii_mm[row]),
                case.region,
            )
            marks.append(mark)
            nodes.append(int(matches.node[hit]))
        masks, kept = segment_marks(volume, marks)
        for measured, (_, mark) in zip(measure_masks(volume, masks), kept, strict=True):
            true = matches.truth.short_axis_mm[nodes[marks.index(mark)]]
            errors.append(measured.sizes.short_axis.length_mm - true)
            guessed.append(2 * mark.radius_mm - true)
    for name, each in (("drawn", errors), ("told by the network", guessed)):
        off = np.abs(each)
        print(
            f"short axis {name}: {len(each)} nodes, median error {np.median(off):.1f} mm, bias {np.median(each):+.1f}"
        )


if __name__ == "__main__":
    main()
