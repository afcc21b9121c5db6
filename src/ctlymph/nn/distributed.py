"""Processes that learn together, one a GPU, when torchrun starts them."""

from __future__ import annotations

import atexit
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_WAIT = timedelta(hours=2)
"""So long a process may look at cases while the others wait for it."""


@dataclass(frozen=True)
class Ranks:
    """A process among those that learn together.

    Attributes:
        number: Its own, from 0; the first writes what is kept.
        count: Of all.
        device: Where it computes.
    """

    number: int
    count: int
    device: str

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their means over all processes, which must call this together."""
        import torch.distributed as dist

        if self.count > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)
                tensor /= self.count


def own_rank() -> Ranks:
    """Give this process's place among those that torchrun has started; alone, where it has not."""
    import torch
    import torch.distributed as dist

    has_gpu = torch.cuda.is_available()
    if not dist.is_available() or not dist.is_torchelastic_launched():
        return Ranks(0, 1, "cuda" if has_gpu else "cpu")
    if not dist.is_initialized():
        dist.init_process_group("nccl" if has_gpu else "gloo", timeout=_WAIT)
        atexit.register(dist.destroy_process_group)  # else a process that ends first may abort the others
    device = f"cuda:{dist.get_node_local_rank()}" if has_gpu else "cpu"
    if has_gpu:
        torch.cuda.set_device(device)
    return Ranks(dist.get_rank(), dist.get_world_size(), device)
