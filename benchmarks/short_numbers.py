"""What int8 and bf16 change in the marks of the model that comes with the package, beside float32.

Run ``python benchmarks/short_numbers.py CT...``. Each CT is looked at in all its regions: in float32; in bf16, where
the processor has that; and as ``detect`` does it, in int8 where the model has ranges. Of every mark in float32 with a
chance of 0.05 or more it tells how far the nearest mark is, and how much its score differs.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from ctlymph import read
from ctlymph.anatomy.landmarks import find_landmarks
from ctlymph.anatomy.search_regions import find_regions
from ctlymph.detectors.base import Candidates, DetectionContext
from ctlymph.detectors.lymphnet import LymphNet
from ctlymph.detectors.model_store import INSTALLED, read_model
from ctlymph.detectors.registry import method
from ctlymph.nn.inference import RunContext

LEAST = 0.05


def main() -> None:
    """Print a line for each kind of numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cts", nargs="+", type=Path)
    parser.add_argument("--model", type=Path, default=INSTALLED / "lymphnet")
    options = parser.parse_args()
    model = read_model(options.model)
    (stage,) = next(iter(method("lymphnet").systems.values())).stages
    assert isinstance(stage, LymphNet)
    weights = next(iter(model.parts.values()))[0]["weights"]
    plain = {name: values for name, values in weights.items() if not name.endswith(".range")}
    kinds: dict[str, tuple[RunContext, dict[str, Any]]] = {
        "float32": (RunContext(precision="f32"), dict(weights)),
        "bf16, where there is that": (RunContext(), plain),
        "int8": (RunContext(), dict(weights)),
    }
    apart: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    seconds = dict.fromkeys(kinds, 0.0)
    for path in options.cts:
        ct = read(path)
        landmarks = find_landmarks(ct)
        for region in find_regions(landmarks):
            found = {}
            for name, (networks, own) in kinds.items():
                start = time.process_time()
                found[name] = stage.propose({"weights": own}, DetectionContext(ct, landmarks, region, run=networks))
                seconds[name] += time.process_time() - start
            for name, others in found.items():
                apart[name] += _apart(found["float32"], others)
    for name, pairs in apart.items():
        mm, score = (np.quantile(values, (0.5, 0.95, 1)) for values in np.transpose(pairs))
        print(
            f"{name}: {len(pairs)} marks; median, 95 %, most: {mm[0]:.3f}, {mm[1]:.3f}, {mm[2]:.1f} mm; "
            f"score {score[0]:.4f}, {score[1]:.4f}, {score[2]:.3f}; {seconds[name]:.1f} s of computing"
        )


def _apart(first: Candidates, others: Candidates) -> list[tuple[float, float]]:
    """Give of each mark how far the nearest of the others is, mm, and by how much its score differs."""
    found = []
    for point_mm, score in zip(first.points_mm, first.scores, strict=True):
        if score >= LEAST:
            away_mm = np.linalg.norm(others.points_mm - point_mm, axis=1)
            nearest = int(away_mm.argmin())
            found.append((float(away_mm[nearest]), abs(float(others.scores[nearest] - score))))
    return found


if __name__ == "__main__":
    main()
