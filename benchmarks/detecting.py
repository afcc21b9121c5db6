"""What ``ctlymph detect`` costs on a large CT: time by step, total time and peak memory.

Run ``python benchmarks/detecting.py``. It makes one synthetic torso, samples it
finely (660 slices of 512² by default), writes it as DICOM, and runs the command
on it in a process of its own, several rounds; medians are printed. The peak is
that of the whole process, as the system counts it. ``--grow`` repeats this with
100, 200, 400 and 800 slices.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ctlymph.core.volume import Volume
from ctlymph.io.dicom.ct_writer import write_ct_series
from ctlymph.phantom.scan.patient import PhantomSpec, make_patient


def large_ct(slices: int, size: int) -> Volume:
    """Sample a coarse torso on a fine grid of the given size, and give it noise again."""
    coarse = make_patient(PhantomSpec(seed=1, spacing_mm=(1.6, 1.6, 2.0))).volume
    extent = np.array(coarse.geometry.shape_ijk) * coarse.geometry.spacing_mm
    fine = coarse.resample(coarse.geometry.with_spacing(extent / (size, size, slices)))
    rng = np.random.default_rng(0)
    for plane in fine.hu:
        plane += rng.normal(0, 12, plane.shape).astype(np.int16)
    return fine


def run_once(series: Path, out: Path) -> dict[str, float]:
    """Run the command; give seconds by step, the total, and the peak memory in MB."""
    command = [sys.executable, "-m", "ctlymph", "detect", str(series), "-o", str(out), "--overwrite"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    total = time.perf_counter() - start
    if status != 0:
        raise SystemExit(f"ctlymph detect failed with status {status}")
    found = json.loads((out / "nodes.json").read_text())
    steps = dict(found["seconds"])
    rest = total - sum(steps.values())
    return {
        **steps,
        "start and writing": rest,
        "total": total,
        "peak MB": usage.ru_maxrss / 1024,
        "nodes": len(found["nodes"]),
    }


def measure(slices: int, size: int, rounds: int) -> None:
    """Print the medians for one size of CT."""
    with tempfile.TemporaryDirectory() as folder:
        series = Path(folder) / "ct"
        write_ct_series(large_ct(slices, size), series)
        run_once(series, Path(folder) / "warm-up")
        results = [run_once(series, Path(folder) / f"out{n}") for n in range(rounds)]
    print(f"\n{slices} slices of {size} × {size}, median of {rounds}:")
    for name in results[0]:
        value = statistics.median(result[name] for result in results)
        print(f"  {name:<20} {value:8.2f}" if name not in ("peak MB", "nodes") else f"  {name:<20} {value:8.0f}")


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=660)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--grow", action="store_true", help="100, 200, 400, 800 slices instead")
    options = parser.parse_args()
    for slices in (100, 200, 400, 800) if options.grow else (options.slices,):
        measure(slices, options.size, options.rounds)


if __name__ == "__main__":
    main()
