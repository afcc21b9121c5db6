"""How long networks take: 2.5D views and a network over a region, beside other programs in the same run.

Run ``python benchmarks/networks.py``, with ``--peer PYTHON`` the interpreter of an environment with MONAI and PyTorch.

Views: 100 of each of 40 candidates, 32 x 32 pixels on three planes, by our sampler, by scipy's ``map_coordinates``
(linear), and by PyTorch's ``grid_sample``, which MONAI and torchio resample with; the latter two are given their
coordinates' arithmetic too, as ours has to do it. Network: the LymphNet that comes with the package, over a region of
300 x 255 x 330 mm in voxels of 1.5 mm, in slabs by OpenVINO: in f32, in bf16 where the processor has it, and in int8 as
``detect`` does it; and in windows of 96 voxels with a quarter overlap by MONAI's ``sliding_window_inference`` with
PyTorch in f32, which is asked for the masks only. Medians. The outputs differ where windows end, for zeros lie there.

Last, what nnU-Net's default inference of the same network would take over a whole CT of 512 x 512 x 660 voxels at its
own spacing: windows of 128 voxels half over each other, each in all eight mirrorings, in f32. One window is timed, and
the rest is reckoned. It compares with ``benchmarks/detecting.py``, which times all that ``detect`` does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import map_coordinates

from ctlymph.core.volume import Geometry, Volume
from ctlymph.detectors.lymphnet import LymphNet
from ctlymph.detectors.model_store import INSTALLED, read_model
from ctlymph.detectors.parts import views
from ctlymph.detectors.parts.views import random_frames, views_of
from ctlymph.nn.export import ExportedNetwork
from ctlymph.nn.inference import compile_network
from ctlymph.nn.run_context import Precision, RunContext
from ctlymph.nn.sliding_window import in_slabs

REGION = (220, 170, 200)
MONAI = """
import sys, time
import numpy as np, torch
from monai.inferers import sliding_window_inference
from ctlymph.detectors.lymphnet import LymphNet
from ctlymph.nn.export import load_weights
network = LymphNet().module()
load_weights(network, dict(np.load(sys.argv[1])))
network.eval()
region = torch.from_numpy(np.load(sys.argv[2]))[None, None]
times = []
with torch.inference_mode():
    for _ in range(int(sys.argv[3])):
        start = time.perf_counter()
        found = sliding_window_inference(region, (96, 96, 96), 1, lambda x: network(x)[2], overlap=0.25)
        times.append(time.perf_counter() - start)
np.save(sys.argv[4], found.numpy())
print(sorted(times)[len(times) // 2])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer", help="Python with MONAI and PyTorch")
    options = parser.parse_args()
    _views(options.repeats)
    _network(options.repeats, options.peer)
    _nnunet(options.repeats)


def _views(repeats: int) -> None:
    rng = np.random.default_rng(0)
    grid = Geometry((400, 512, 512), np.zeros(3), np.array([0.75, 0.75, 1.0]))
    volume = Volume(rng.integers(-150, 250, grid.shape_zyx).astype(np.int16), grid)
    places = grid.index_to_mm(rng.uniform(0.2, 0.8, (40, 3)) * grid.shape_ijk)
    frames = random_frames((30.0, 35.0, 40.0, 45.0), 5, 5, shift_mm=3.0, seed=0)

    def coordinates() -> np.ndarray:
        grids = views._grids(grid, places, frames, 32)
        pixel = np.arange(32, dtype=np.float32)
        return (
            grids.first[:, None, None]
            + pixel[:, None, None] * grids.row[:, None, None]
            + pixel[None, :, None] * grids.column[:, None, None]
        )

    def by_scipy() -> np.ndarray:
        at = coordinates()[..., ::-1].reshape(-1, 3).T
        return map_coordinates(volume.hu, at, order=1, output=np.float32, cval=-1024).reshape(40, 100, 3, 32, 32)

    def by_torch() -> np.ndarray:
        import torch

        at = torch.from_numpy(coordinates()) / (torch.tensor(grid.shape_ijk) - 1) * 2 - 1
        source = torch.from_numpy(volume.hu).float()[None, None]
        found = torch.nn.functional.grid_sample(source, at.reshape(1, 1, 1, -1, 3), align_corners=True)
        return found.numpy().reshape(40, 100, 3, 32, 32)

    ours, own = _timed(lambda: views_of(volume, places, frames, 32), repeats)
    print(f"views: ours {ours:.3f} s")
    for name, other in (("scipy", by_scipy), ("PyTorch", by_torch)):
        seconds, found = _timed(other, repeats)
        apart = np.abs(own - found).max()
        print(f"views: {name} {seconds:.3f} s, {seconds / ours:.1f} times ours; apart by {apart:.3f} HU")


def _network(repeats: int, peer: str | None) -> None:
    stage = LymphNet()
    region = np.random.default_rng(0).uniform(-1, 1, REGION).astype(np.float32)
    network = ExportedNetwork.from_arrays(next(iter(read_model(INSTALLED / "lymphnet").parts.values()))[0])

    def ours(precision: Precision, outputs: tuple[int, ...] | None) -> list[np.ndarray]:
        run = RunContext("cpu", precision)
        return in_slabs(
            lambda shape: compile_network(network, [shape], stage.module, run, outputs),
            region,
            slices=stage.slab,
            overlap=stage.overlap,
            multiple=stage.multiple,
            fill=-1.0,
        )

    kinds: dict[str, tuple[Precision, tuple[int, ...] | None]] = {
        "f32, masks included": ("f32", None),
        "f32": ("f32", stage.used_outputs),
        "bf16, where the processor has it": ("bf16", stage.used_outputs),
        "int8": ("auto", stage.used_outputs),
    }
    times, outputs = {}, {}
    for name, kind in kinds.items():
        times[name], outputs[name] = _timed(lambda kind=kind: ours(*kind), repeats)
        print(f"network: ours in {name} {times[name]:.2f} s, the compiler's time included")
    if peer is None:
        print("network: MONAI not timed; give --peer PYTHON, of an environment with MONAI and PyTorch")
        return
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        np.savez(place / "weights.npz", **network.weights())
        np.save(place / "region.npy", region)
        arguments = [place / "weights.npz", place / "region.npy", repeats, place / "found.npy"]
        source = Path(__file__).parents[1] / "src"
        printed = subprocess.run(
            [peer, "-c", MONAI, *map(str, arguments)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(source)},
        )
        other = float(printed.stdout.split()[-1])
        part = (0, slice(60, 90), slice(60, 90), slice(60, 90))
        middle = np.load(place / "found.npy")[0][part] - outputs["f32, masks included"][2][part]
    print(f"network: MONAI {other:.2f} s; outputs in f32 apart by {np.abs(middle).mean():.4f}")
    for name, seconds in times.items():
        print(f"network: MONAI takes {other / seconds:.1f} times as long as ours in {name}")


def _nnunet(repeats: int) -> None:
    import torch

    network = LymphNet().module().eval()
    window = torch.zeros(1, 1, 128, 128, 128)

    def once() -> np.ndarray:
        with torch.inference_mode():
            return network(window)[2].numpy()

    seconds, _ = _timed(once, repeats)
    windows = int(np.prod([np.ceil((length - 128) / 64) + 1 for length in (660, 512, 512)]))
    print(
        f"network: as nnU-Net runs one by default, a CT of 660 slices takes {windows} windows x 8 mirrorings x "
        f"{seconds:.2f} s = {windows * 8 * seconds:.0f} s (one window timed, the rest reckoned)"
    )


def _timed(function: Callable[[], object], repeats: int) -> tuple[float, np.ndarray]:
    found = function()  # once for nothing: numba compiles
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times), found  # type: ignore[return-value]


if __name__ == "__main__":
    sys.exit(main())
