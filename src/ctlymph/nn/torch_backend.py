"""The layers in PyTorch: a network that can learn, and that runs on a GPU."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ctlymph.core.errors import CtlymphError
from ctlymph.nn.layers import NORM_EPSILON, Architecture, Weights, padding_of

_MOMENTUM = 0.1
"""Of running means and variances, PyTorch's own."""


class TorchNetwork(nn.Module):
    """A network of an :class:`~ctlymph.nn.layers.Architecture`.

    Its parameters are made when it is, by one walk through the architecture: He's initial weights (ICCV 2015) from
    a generator of the seed, so that the same seed gives the same network.
    """

    def __init__(self, architecture: Architecture, seed: int = 0) -> None:
        super().__init__()
        self.architecture = architecture
        self.eval()  # what is normalised while parameters are made shall leave no trace in the running statistics
        maker = _Speaking(self, torch.Generator().manual_seed(seed))
        with torch.no_grad():
            architecture.build(maker, *(torch.zeros(1, *shape) for shape in architecture.inputs))
        self.train()

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Give the outputs for batches of the inputs."""
        return tuple(self.architecture.build(_Speaking(self), *inputs))

    def value(self, name: str) -> Tensor:
        """Give a parameter or a running statistic by its name in :data:`~ctlymph.nn.layers.Weights`."""
        found = getattr(self, _attribute(name))
        assert isinstance(found, Tensor)
        return found

    def weights(self) -> dict[str, Any]:
        """Give what it has learned, to be kept."""
        return {
            _name(key): np.ascontiguousarray(value.detach().float().cpu().numpy())
            for key, value in self.state_dict().items()
        }

    def load(self, weights: Weights, *, leave: Sequence[str] = ()) -> None:
        """Take weights over.

        Args:
            weights: All of this network's, but those of the layers in ``leave``.
            leave: Layers that keep their own.

        Raises:
            CtlymphError: If one is absent or has another shape.
        """
        with torch.no_grad():
            for key, value in self.state_dict().items():
                name = _name(key)
                if name.rpartition(".")[0] in leave:
                    continue
                if name not in weights:
                    raise CtlymphError(
                        f"{self.architecture.name}: the weights hold no {name}; give those of this network"
                    )
                if tuple(weights[name].shape) != tuple(value.shape):
                    shapes = f"{tuple(weights[name].shape)}, expected {tuple(value.shape)}"
                    raise CtlymphError(f"{self.architecture.name}: {name} has the shape {shapes}")
                value.copy_(torch.from_numpy(np.asarray(weights[name])))


class _Speaking:
    """:class:`~ctlymph.nn.layers.Layers` whose values are tensors.

    With a generator it makes each layer's parameters before it runs.
    """

    def __init__(self, network: TorchNetwork, generator: torch.Generator | None = None) -> None:
        self.network, self.generator = network, generator

    def conv(
        self,
        name: str,
        x: Tensor,
        channels: int,
        size: int = 3,
        *,
        stride: int = 1,
        norm: bool = True,
        relu: bool = True,
    ) -> Tensor:
        dims, value = x.ndim - 2, self.network.value
        self._make(name, (channels, x.shape[1], *[size] * dims), x.shape[1] * size**dims, channels, norm=norm)
        convolve = F.conv2d if x.ndim == 4 else F.conv3d
        bias = None if norm else value(f"{name}.bias")
        with _long_numbers(x, size) as given:
            x = convolve(given, value(f"{name}.weight"), bias, stride, padding_of(size, stride))
        if norm:
            mean, variance = value(f"{name}.mean"), value(f"{name}.variance")
            gain, offset = value(f"{name}.gain"), value(f"{name}.bias")
            x = F.batch_norm(x, mean, variance, gain, offset, self.network.training, _MOMENTUM, NORM_EPSILON)
        return F.relu(x) if relu else x

    def up(self, name: str, x: Tensor, channels: int) -> Tensor:
        self._make(name, (x.shape[1], channels, *[2] * (x.ndim - 2)), x.shape[1], channels)
        transpose = F.conv_transpose2d if x.ndim == 4 else F.conv_transpose3d
        return transpose(x, self.network.value(f"{name}.weight"), self.network.value(f"{name}.bias"), 2)

    def dense(self, name: str, x: Tensor, width: int, *, relu: bool = True) -> Tensor:
        self._make(name, (width, x.shape[1]), x.shape[1], width)
        x = F.linear(x, self.network.value(f"{name}.weight"), self.network.value(f"{name}.bias"))
        return F.relu(x) if relu else x

    def pool(self, x: Tensor, size: int = 2) -> Tensor:
        return F.max_pool2d(x, size) if x.ndim == 4 else F.max_pool3d(x, size)

    def shrink(self, x: Tensor, size: int = 2) -> Tensor:
        return F.avg_pool2d(x, size) if x.ndim == 4 else F.avg_pool3d(x, size)

    def mean(self, x: Tensor) -> Tensor:
        return x.mean(dim=tuple(range(2, x.ndim)))

    def flat(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def relu(self, x: Tensor) -> Tensor:
        return F.relu(x)

    def plus(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y

    def joined(self, *parts: Tensor) -> Tensor:
        return torch.cat(parts, dim=1)

    def dropout(self, x: Tensor, share: float) -> Tensor:
        return F.dropout(x, share, self.network.training)

    def _make(self, name: str, shape: tuple[int, ...], inputs: int, outputs: int, *, norm: bool = False) -> None:
        if self.generator is None:
            return
        if hasattr(self.network, _attribute(f"{name}.weight")):
            raise ValueError(f"two layers are named {name!r}")
        drawn = torch.randn(shape, generator=self.generator) * math.sqrt(2 / inputs)
        made = {"weight": drawn, "bias": torch.zeros(outputs)} | ({"gain": torch.ones(outputs)} if norm else {})
        for kind, value in made.items():
            self.network.register_parameter(_attribute(f"{name}.{kind}"), nn.Parameter(value))
        if norm:
            self.network.register_buffer(_attribute(f"{name}.mean"), torch.zeros(outputs))
            self.network.register_buffer(_attribute(f"{name}.variance"), torch.ones(outputs))


@contextmanager
def _long_numbers(x: Tensor, size: int) -> Iterator[Tensor]:
    """Give what a convolution is to read; small volumes, and those of large filters, in float32 on processors.

    On processors with AVX-512's short numbers but no AMX, PyTorch 2.13 gives wrong or no numbers for the gradients
    of filters of 3 voxels where a volume is 2 voxels high, and of filters of 5 in any. Volumes so small are too small
    for the difference in time to be felt.
    """
    if x.ndim == 5 and x.device.type == "cpu" and (size > 4 or min(x.shape[2:]) < 4):
        with torch.autocast("cpu", enabled=False):
            yield x.float()
    else:
        yield x


def _attribute(name: str) -> str:
    """Give the attribute's name, in which PyTorch allows no dot."""
    return name.replace(".", ":")


def _name(attribute: str) -> str:
    return attribute.replace(":", ".")
