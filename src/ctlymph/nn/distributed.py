"""Processes that train one network together, one a GPU, when torchrun starts them."""

from __future__ import annotations

import atexit
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ctlymph.core.errors import CtlymphError, Remedy
from ctlymph.nn.run_context import Device

if TYPE_CHECKING:
    from torch import Tensor, nn

_WAIT = timedelta(hours=2)
"""How long a process may prepare cases while the others wait for it."""


@dataclass(frozen=True)
class World:
    """This process among those that train together.

    Attributes:
        rank: Its number, from 0; the first writes the files.
        size: Number of processes.
        device: Where it computes.
    """

    rank: int
    size: int
    device: str

    def parallel(self, module: nn.Module) -> nn.Module:
        """Return a module whose gradients are averaged over all processes; alone, the module itself."""
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(module, broadcast_buffers=False) if self.size > 1 else module

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their means over all processes, which must call this together."""
        import torch.distributed as dist

        if self.size > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)
                tensor /= self.size


def join_world(device: Device = "auto") -> World:
    """Return this process's place among those that torchrun has started; alone, where it has not.

    Args:
        device: ``cpu``, ``cuda``, or ``auto``: a GPU if there is one.

    Raises:
        CtlymphError: If a GPU is required and there is none.
    """
    import torch
    import torch.distributed as dist

    has_gpu = device != "cpu" and torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise CtlymphError("PyTorch sees no GPU", Remedy.CPU)
    if not dist.is_available() or not dist.is_torchelastic_launched():
        return World(0, 1, "cuda" if has_gpu else "cpu")
    if not dist.is_initialized():
        dist.init_process_group("nccl" if has_gpu else "gloo", timeout=_WAIT)
        atexit.register(dist.destroy_process_group)  # else a process that ends first may abort the others
    place = f"cuda:{dist.get_node_local_rank()}" if has_gpu else "cpu"
    if has_gpu:
        torch.cuda.set_device(place)
    return World(dist.get_rank(), dist.get_world_size(), place)
