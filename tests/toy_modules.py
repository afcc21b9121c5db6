"""PyTorch modules as training leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def running_statistics(module: Any, shapes: Sequence[Sequence[int]], batch: int = 3) -> tuple[Any, list[np.ndarray]]:
    """Return a module whose running means and variances are not those of the start, and a batch of inputs."""
    import torch

    rng = np.random.default_rng(0)
    inputs = [rng.normal(1, 2, (batch, *shape)).astype(np.float32) for shape in shapes]
    with torch.no_grad():
        for _ in range(3):
            module.train()(*map(torch.from_numpy, inputs))
    return module.eval(), inputs
