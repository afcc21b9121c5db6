"""Networks that have learned, ready to run: by OpenVINO on processors, by PyTorch where there is a GPU."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError, Remedy
from ctlymph.nn.layers import Architecture, Weights

Device = Literal["auto", "cpu", "cuda"]
DEVICES: tuple[Device, ...] = get_args(Device)
Precision = Literal["auto", "f32"]

_GPU_NODES = ("/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/dxg", "/dev/kfd")
"""Without one of these Linux has no GPU that PyTorch could use: of NVIDIA's driver, of its small boards, of Windows
around Linux, of AMD's driver."""

Run = Callable[..., tuple[NDArray[np.float32], ...]]
"""Gives a network's outputs for its inputs, float32, batch first."""


@dataclass(frozen=True)
class RunContext:
    """Where and how precisely networks run; ``device`` and ``precision`` as in :func:`ready`."""

    device: Device = "auto"
    precision: Precision = "auto"


def ready(
    architecture: Architecture,
    weights: Weights,
    shapes: Sequence[Sequence[int]],
    *,
    device: Device = "auto",
    precision: Precision = "auto",
) -> Run:
    """Make a network ready to run.

    Args:
        architecture: Of the network.
        weights: What it has learned.
        shapes: Of its inputs, batch first; a batch of -1 may have any size.
        device: ``auto``: a GPU if PyTorch is installed and sees one.
        precision: ``auto``: what the device computes quickly: on processors int8 in layers whose ranges are known, and
            bf16, where there is that, in the others; on GPUs tf32. Or ``f32``.

    Raises:
        CtlymphError: If a GPU is asked for and there is none.
    """
    if device == "cuda" or (device == "auto" and _sees_gpu()):
        return _on_gpu(architecture, weights, precision)
    return _on_cpu(architecture, weights, shapes, precision)


def _sees_gpu() -> bool:
    """Tell whether PyTorch can compute on a GPU; its import takes seconds, so it is asked only where one may be."""
    from importlib.util import find_spec

    is_linux = sys.platform.startswith("linux")
    if find_spec("torch") is None or (is_linux and not any(Path(node).exists() for node in _GPU_NODES)):
        return False
    import torch

    return torch.cuda.is_available()


def _on_cpu(architecture: Architecture, weights: Weights, shapes: Sequence[Sequence[int]], precision: Precision) -> Run:
    from ctlymph.nn.openvino_backend import graph_of

    request = compiled(graph_of(architecture, weights, shapes, short=precision == "auto"), precision)

    def run(*inputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        found = request.infer([np.ascontiguousarray(each, np.float32) for each in inputs])
        return tuple(np.array(values) for values in found.values())

    return run


def compiled(graph: Any, precision: Precision) -> Any:
    """Compile an OpenVINO graph for this processor, on the threads that this process may have; give a request to it."""
    import openvino

    options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": _threads()}
    if precision == "f32":
        options["INFERENCE_PRECISION_HINT"] = "f32"
    return openvino.Core().compile_model(graph, "CPU", options).create_infer_request()


def _threads() -> int:
    """Give the number of threads that whoever started this process allows it, 0 for all, as other libraries do."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return int(allowed) if allowed.isdecimal() else 0


def _on_gpu(architecture: Architecture, weights: Weights, precision: Precision) -> Run:
    if not _sees_gpu():
        raise CtlymphError("there is no GPU that PyTorch sees", Remedy.CPU)
    import torch

    from ctlymph.nn.torch_backend import TorchNetwork

    network = TorchNetwork(architecture)
    network.load(weights)
    network.cuda().eval()
    torch.backends.cudnn.allow_tf32 = precision == "auto"

    def run(*inputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        with torch.inference_mode():
            outputs = network(*(torch.from_numpy(np.ascontiguousarray(each, np.float32)).cuda() for each in inputs))
        return tuple(each.float().cpu().numpy() for each in outputs)

    return run
