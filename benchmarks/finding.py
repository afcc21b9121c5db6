"""How many nodes of synthetic patients ``detect`` finds, how many other marks it makes, how right its sizes are.

Run ``python benchmarks/finding.py --cases 6``. A node counts as found when a
mark lies within it, that is nearer to its centre than half its long axis; sizes
and masks are compared where it is found. The CTs are synthetic and simpler than
life: the figures compare versions of the program, and say nothing of patients.
"""

from __future__ import annotations

import argparse

import numpy as np

from ctlymph.detectors.registry import DEFAULT
from ctlymph.phantom.scan.patient import PhantomSpec, make_patient
from ctlymph.workflows.detection import DetectOptions, find_nodes

THRESHOLDS = (0.0, 0.3, 0.4, 0.45, 0.5, 0.6)


def main() -> None:
    """Make the patients, detect, and print one line a case and a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=6)
    parser.add_argument("--seed", type=int, default=100, help="seed of the first patient")
    parser.add_argument("--model", default=DEFAULT)
    options = parser.parse_args()
    shorts, scores, errors, dices = [], [], [], []
    others: list[float] = []
    for seed in range(options.seed, options.seed + options.cases):
        patient = make_patient(PhantomSpec(seed=seed, spacing_mm=(0.8, 0.8, 2.0), contrast=bool(seed % 2)))
        result = find_nodes(patient.volume, DetectOptions(model=options.model, threshold=0.0))
        unmatched = {node.node: node for node in result.nodes}
        for truth in patient.nodes:
            shorts.append(truth.short_axis_mm)
            near = [
                node
                for node in unmatched.values()
                if np.linalg.norm(np.subtract(node.point_mm, truth.centre_mm)) < truth.long_axis_mm / 2
            ]
            scores.append(near[0].score if near else -1.0)
            for node in near:
                del unmatched[node.node]
            if near:
                found, true = result.masks.labels == near[0].node, patient.masks.labels == truth.node
                errors.append(near[0].sizes.short_axis.length_mm - truth.short_axis_mm)
                dices.append(2 * (found & true).sum() / (found.sum() + true.sum()))
        others += [node.score or 0.0 for node in unmatched.values()]
        print(f"{patient.volume.case}: {len(patient.nodes)} nodes, {len(result.nodes)} marks", flush=True)
    short, score, other = np.array(shorts), np.array(scores), np.array(others)
    print(f"\n{len(short)} nodes, {(short >= 10).sum()} with a short axis of 10 mm or more")
    print("threshold   found   found >= 10 mm   other marks a case")
    for threshold in THRESHOLDS:
        hit = score >= threshold
        marks = (other >= threshold).sum() / options.cases
        print(f"{threshold:9.2f} {hit.mean():7.0%} {hit[short >= 10].mean():16.0%} {marks:20.1f}")
    low, middle, high = np.percentile(errors, [10, 50, 90])
    print(f"short axis less truth: median {middle:+.1f} mm, 10 to 90 % {low:+.1f} to {high:+.1f} mm")
    print(f"Dice of the masks: median {np.median(dices):.2f}, lowest tenth {np.percentile(dices, 10):.2f}")


if __name__ == "__main__":
    main()
