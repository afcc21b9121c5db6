"""How long an evaluation takes: 176 scans of 100 marks and 5 nodes, with 1000 bootstraps over patients, against others.

``python benchmarks/evaluation.py --peer PYTHON``, where PYTHON is the interpreter of an environment with picai_eval.
picai_eval gets marks that are already matched with nodes: its own matching compares images, which takes longer still,
and is left out in its favour. What it then does is its AP, AUROC and lesion curve, and the bootstrap of the first two.
The loop follows LUNA16's script: for each scan, node and mark in turn; and for each bootstrap the marks of the drawn
scans put together, sorted, counted and interpolated, in Python. Both run once, ours several times. ``--large 10``
evaluates ten million marks in a process of its own and prints its time and its peak of memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ctlymph.evaluation.bootstrap import Resampling, intervals
from ctlymph.evaluation.detections import Detections, GroundTruth
from ctlymph.evaluation.froc import RATES, curve
from ctlymph.evaluation.matching import HIT_DISTANCE_MM, Outcome, match

BAND = tuple(np.geomspace(0.05, 20, 120).tolist())

PICAI = """
import json, sys, time
from picai_eval.metrics import Metrics
results = json.load(open(sys.argv[1]))
start = time.perf_counter()
metrics = Metrics({case: [tuple(row) for row in rows] for case, rows in results.items()})
metrics.AP, metrics.auroc, metrics.lesion_TPR, metrics.lesion_FPR
metrics.bootstrap_score_ci(int(sys.argv[2]), seed=0)
print(time.perf_counter() - start)
"""


def make_problem(scans: int, marks: int, nodes: int) -> tuple[Detections, GroundTruth]:
    """Scatter nodes in a box of 300 mm, a mark near each of most nodes, and the other marks anywhere."""
    rng = np.random.default_rng(0)
    at = rng.uniform(0, 300, (scans, nodes, 3))
    points = rng.uniform(0, 300, (scans, marks, 3)).astype(np.float32)
    points[:, :nodes] = at + rng.normal(0, 6, at.shape)
    scores = rng.beta(1, 6, (scans, marks))
    scores[:, :nodes] = rng.beta(3, 2, scores[:, :nodes].shape)
    names = tuple(f"scan {number}" for number in range(scans))
    truth = GroundTruth(
        cases=names,
        patients=names,
        regions=("",) * scans,
        case=np.repeat(np.arange(scans, dtype=np.int32), nodes),
        points_mm=at.reshape(-1, 3),
        short_axis_mm=np.full(scans * nodes, 12.0),
        long_axis_mm=np.full(scans * nodes, 18.0),
        stations=("",) * (scans * nodes),
        ids=tuple(str(number) for _ in range(scans) for number in range(nodes)),
    )
    found = Detections(
        name="synthetic",
        cases=names,
        case=np.repeat(np.arange(scans, dtype=np.int32), marks),
        points_mm=points.reshape(-1, 3),
        scores=scores.reshape(-1),
        injected=np.zeros(scans * marks, bool),
    )
    return found, truth


def ours(marks: Detections, truth: GroundTruth, bootstraps: int) -> None:
    """Do all: matching, the curve, every figure with its interval, and the band of the curve."""
    matches = match(marks, truth)
    curve(matches)
    intervals(matches, Resampling(bootstraps), band_rates=BAND)


def for_picai(marks: Detections, truth: GroundTruth) -> dict[str, list[tuple[int, float, float]]]:
    """Give what its matching would: hits, false positives, and missed nodes at a score of 0."""
    matches = match(marks, truth)
    results: dict[str, list[tuple[int, float, float]]] = {name: [] for name in truth.cases}
    for case, outcome, score in zip(
        matches.case.tolist(), matches.outcome.tolist(), marks.scores.tolist(), strict=True
    ):
        if outcome in (Outcome.HIT, Outcome.FALSE_POSITIVE):
            results[truth.cases[case]].append(
                (int(outcome == Outcome.HIT), score, 1.0 if outcome == Outcome.HIT else 0.0)
            )
    for case in truth.case[np.isneginf(matches.node_score)].tolist():
        results[truth.cases[case]].append((1, 0.0, 0.0))
    return results


def picai(python: str, marks: Detections, truth: GroundTruth, bootstraps: int) -> float:
    """Give the seconds that picai_eval itself counts, without its start."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.json"
        path.write_text(json.dumps(for_picai(marks, truth)), encoding="utf-8")
        done = subprocess.run([python, "-c", PICAI, path, str(bootstraps)], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])  # after its greeting


def in_a_loop(marks: Detections, truth: GroundTruth, bootstraps: int) -> None:
    """Judge as LUNA16's script does, in plain Python."""
    by_scan: list[list[tuple[float, int]]] = [[] for _ in truth.cases]
    marks_of: list[list[tuple[list[float], float]]] = [[] for _ in truth.cases]
    for case, point, score in zip(marks.case.tolist(), marks.points_mm.tolist(), marks.scores.tolist(), strict=True):
        marks_of[case].append((point, score))
    nodes_of: list[list[list[float]]] = [[] for _ in truth.cases]
    for case, point in zip(truth.case.tolist(), truth.points_mm.tolist(), strict=True):
        nodes_of[case].append(point)
    for case, nodes in enumerate(nodes_of):
        left = dict(enumerate(marks_of[case]))
        for node in nodes:
            near = [
                key
                for key, (at, _) in enumerate(marks_of[case])
                if (at[0] - node[0]) ** 2 + (at[1] - node[1]) ** 2 + (at[2] - node[2]) ** 2 < HIT_DISTANCE_MM**2
            ]
            if near:
                by_scan[case].append((max(marks_of[case][key][1] for key in near), 1))
            for key in near:
                left.pop(key, None)
        by_scan[case] += [(score, 0) for _, score in left.values()]
    rng = np.random.default_rng(0)
    for scans in [range(len(by_scan)), *rng.integers(0, len(by_scan), (bootstraps, len(by_scan))).tolist()]:
        rows = sorted((row for scan in scans for row in by_scan[scan]), reverse=True)
        nodes, hits, false = sum(len(nodes_of[scan]) for scan in scans), 0, 0
        x, y = [0.0], [0.0]
        for _, hit in rows:
            hits, false = hits + hit, false + 1 - hit
            x.append(false / len(by_scan))
            y.append(hits / nodes)
        np.interp(RATES, x, y)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def large(millions: float, bootstraps: int) -> None:
    """Judge many marks; print the time and the peak of this process, which holds the marks too."""
    scans = 176
    marks, truth = make_problem(scans, round(millions * 1e6 / scans), 5)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    taken = seconds(lambda: ours(marks, truth, bootstraps))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{len(marks):,} marks: {taken:.1f} s, peak {peak:.2f} GiB ({before:.2f} GiB while they were made)")


def main() -> None:
    """Time ours and the others, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="interpreter of an environment with picai_eval")
    parser.add_argument("--bootstraps", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--large", type=float, metavar="MILLIONS", help="evaluate so many million marks, and nothing else"
    )
    options = parser.parse_args()
    if options.large:
        large(options.large, options.bootstraps)
        return
    marks, truth = make_problem(176, 100, 5)
    median = statistics.median(seconds(lambda: ours(marks, truth, options.bootstraps)) for _ in range(options.repeats))
    print(f"ctlymph: {median:.2f} s (median of {options.repeats})", flush=True)
    taken = seconds(lambda: in_a_loop(marks, truth, options.bootstraps))
    print(f"a loop of LUNA16's kind: {taken:.1f} s, {taken / median:.0f} times as long", flush=True)
    if options.peer:
        taken = picai(options.peer, marks, truth, options.bootstraps)
        print(f"picai_eval, without its matching: {taken:.1f} s, {taken / median:.0f} times as long", flush=True)
    command = [sys.executable, __file__, "--large", "10", "--bootstraps", str(options.bootstraps)]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
