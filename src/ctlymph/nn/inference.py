"""Exported networks at work: by OpenVINO on processors, by PyTorch where there is a GPU."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.errors import CtlymphError, Remedy
from ctlymph.nn.export import ExportedNetwork, load_weights, outputs_of
from ctlymph.nn.openvino_runtime import request_for
from ctlymph.nn.quantization import compute_in_int8
from ctlymph.nn.run_context import Precision, RunContext

if TYPE_CHECKING:
    from torch import nn

_GPU_NODES = ("/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/dxg", "/dev/kfd")
"""Without one of these Linux has no GPU that PyTorch could use: of NVIDIA's driver, of its small boards, of Windows
around Linux, of AMD's driver."""

Run = Callable[..., tuple[NDArray[np.float32], ...]]
"""Returns a network's outputs for its inputs, float32, batch first."""


def compile_network(
    network: ExportedNetwork,
    shapes: Sequence[Sequence[int]],
    module: Callable[[], nn.Module],
    run: RunContext | None = None,
    outputs: Sequence[int] | None = None,
) -> Run:
    """Make an exported network ready to run.

    Args:
        network: The network.
        shapes: Of its inputs, batch first; a batch of -1 may have any size.
        module: Builds the PyTorch module that was exported; called only where the network runs on a GPU.
        run: Where and how exactly; None: as :class:`RunContext` has it by default.
        outputs: Numbers of the outputs that are needed, in this order; nothing else is computed. None: all.

    Raises:
        CtlymphError: If a GPU is asked for and there is none.
    """
    run = run or RunContext()
    if run.device == "cuda" or (run.device == "auto" and _sees_gpu()):
        return _on_gpu(network, module, run.precision, outputs)
    return _on_cpu(network, shapes, run.precision, outputs)


def _sees_gpu() -> bool:
    """Return whether PyTorch can compute on a GPU; its import takes seconds, so it is asked only where one may be."""
    from importlib.util import find_spec

    is_linux = sys.platform.startswith("linux")
    if find_spec("torch") is None or (is_linux and not any(Path(node).exists() for node in _GPU_NODES)):
        return False
    import torch

    return torch.cuda.is_available()


def _on_cpu(
    network: ExportedNetwork, shapes: Sequence[Sequence[int]], precision: Precision, outputs: Sequence[int] | None
) -> Run:
    import openvino

    model = network.read()
    if outputs is not None:
        model = openvino.Model([model.output(number) for number in outputs], model.get_parameters(), "network")
    model.reshape(dict(enumerate(openvino.PartialShape(list(shape)) for shape in shapes)))
    if precision == "auto":
        compute_in_int8(model, network)
    request = request_for(model, precision)

    def run(*inputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        found = request.infer([np.ascontiguousarray(each, np.float32) for each in inputs])
        return tuple(np.array(values) for values in found.values())

    return run


def _on_gpu(
    network: ExportedNetwork, build: Callable[[], nn.Module], precision: Precision, outputs: Sequence[int] | None
) -> Run:
    if not _sees_gpu():
        raise CtlymphError("there is no GPU that PyTorch sees", Remedy.CPU)
    import torch

    module = build()
    load_weights(module, network.weights())
    module.cuda().eval()
    torch.backends.cudnn.allow_tf32 = precision != "f32"

    def run(*inputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        with torch.inference_mode():
            every = outputs_of(module(*(torch.from_numpy(np.ascontiguousarray(x, np.float32)).cuda() for x in inputs)))
        used = every if outputs is None else [every[number] for number in outputs]
        return tuple(each.float().cpu().numpy() for each in used)

    return run
