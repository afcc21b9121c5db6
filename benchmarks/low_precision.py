"""What int8 and bf16 change in the marks of the model that comes with the package, against float32.

Run ``python benchmarks/low_precision.py CT...``. The network runs over all regions of each CT: in float32; in bf16,
where the processor has that; and as ``detect`` runs it, in int8 where the model has activation ranges. For the marks
in float32 with a probability of 0.05 or more it prints how far the nearest mark is, and how much its score differs.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from ctlymph import read
from ctlymph.anatomy.landmarks import find_landmarks
from ctlymph.anatomy.search_regions import find_regions
from ctlymph.detectors.base import Candidates, DetectionContext
from ctlymph.detectors.lymphnet import LymphNet
from ctlymph.detectors.model_store import INSTALLED, read_model
from ctlymph.nn.run_context import RunContext

MIN_SCORE = 0.05
KINDS = {
    "float32": RunContext("cpu", "f32"),
    "bf16, where the processor has it": RunContext("cpu", "bf16"),
    "int8": RunContext("cpu"),
}


def main() -> None:
    """Print a line for each precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cts", nargs="+", type=Path)
    parser.add_argument("--model", type=Path, default=INSTALLED / "lymphnet")
    options = parser.parse_args()
    part = next(iter(read_model(options.model).parts.values()))[0]
    stage = LymphNet()
    differences: dict[str, list[tuple[float, float]]] = {name: [] for name in KINDS}
    seconds = dict.fromkeys(KINDS, 0.0)
    for path in options.cts:
        ct = read(path)
        landmarks = find_landmarks(ct)
        for region in find_regions(landmarks):
            found = {}
            for name, run in KINDS.items():
                start = time.process_time()
                found[name] = stage.propose(part, DetectionContext(ct, landmarks, region, run=run))
                seconds[name] += time.process_time() - start
            for name, others in found.items():
                differences[name] += _differences(found["float32"], others)
    for name, pairs in differences.items():
        mm, score = (np.quantile(values, (0.5, 0.95, 1)) for values in np.transpose(pairs))
        print(
            f"{name}: {len(pairs)} marks; median, 95 %, most: {mm[0]:.3f}, {mm[1]:.3f}, {mm[2]:.1f} mm; "
            f"score {score[0]:.4f}, {score[1]:.4f}, {score[2]:.3f}; {seconds[name]:.1f} s of computing"
        )


def _differences(first: Candidates, others: Candidates) -> list[tuple[float, float]]:
    """Return for each mark the distance of the nearest of the others, mm, and the difference of their scores."""
    found = []
    for point_mm, score in zip(first.points_mm, first.scores, strict=True):
        if score >= MIN_SCORE:
            distances_mm = np.linalg.norm(others.points_mm - point_mm, axis=1)
            nearest = int(distances_mm.argmin())
            found.append((float(distances_mm[nearest]), abs(float(others.scores[nearest] - score))))
    return found


if __name__ == "__main__":
    main()
