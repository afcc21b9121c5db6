"""Shin 2016: the views of Roth 2014 through deeper networks.

Shin HC, Roth HR, Gao M, Lu L, Xu Z, Nogues I, Yao J, Mollura D, Summers RM: Deep convolutional neural networks for
computer-aided detection: CNN architectures, dataset characteristics and transfer learning, IEEE TMI 2016, arXiv
1602.03409. Patches of 64 × 64 pixels go through an AlexNet and a GoogLeNet, learned from scratch or fine-tuned from
pictures of the world, all but the last layer at a tenth of the rate.

Chosen here: an AlexNet for pictures of 64 pixels, with batch normalisation in place of its local one; and for the
GoogLeNet a residual network (He et al., CVPR 2016), which does as well with fewer kinds of layers. Fine-tuning begins
with weights of the user's own, for none come with this package.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from ctlymph.detectors.base import Stage
from ctlymph.detectors.parts.view_network import Averaged, ViewNetwork
from ctlymph.detectors.settings import TRAINING_ONLY
from ctlymph.nn.layers import Architecture, Layers
from ctlymph.nn.training_loop import Schedule


def _alexnet(layers: Layers, x: Any) -> list[Any]:
    x = layers.pool(layers.conv("first", x, 48, 6, stride=2))
    x = layers.pool(layers.conv("second", x, 96, 5))
    x = layers.conv("third", x, 128)
    x = layers.conv("fourth", x, 128)
    x = layers.pool(layers.conv("fifth", x, 96))
    x = layers.dense("sixth", layers.dropout(layers.flat(x), 0.5), 256)
    x = layers.dense("seventh", layers.dropout(x, 0.5), 128)
    return [layers.dense("answer", x, 1, relu=False)]


def _residual(layers: Layers, x: Any) -> list[Any]:
    x = layers.pool(layers.conv("first", x, 32, 4, stride=2))
    for number, channels in enumerate((32, 64, 128), start=1):
        if number > 1:
            x = layers.conv(f"down{number}", x, channels, 2, stride=2)
        for block in "ab":
            y = layers.conv(f"block{number}{block}1", x, channels)
            y = layers.conv(f"block{number}{block}2", y, channels, relu=False)
            x = layers.relu(layers.plus(x, y))
    return [layers.dense("answer", layers.dropout(layers.mean(x), 0.3), 1, relu=False)]


_SCHEDULE = Schedule(steps=1500, last_layer="answer")


@dataclass(frozen=True)
class _LargerViews(ViewNetwork):
    side_px: int = 64
    schedule: Schedule = field(default=_SCHEDULE, kw_only=True, metadata=TRAINING_ONLY)


@dataclass(frozen=True)
class AlexViews(_LargerViews):
    """Every view scored by the AlexNet."""

    version: ClassVar[int] = 1

    name: str = "shin2016-alex-views"

    @property
    def architecture(self) -> Architecture:
        """The AlexNet."""
        return Architecture("Shin 2016, AlexNet", _alexnet, ((3, self.side_px, self.side_px),))


@dataclass(frozen=True)
class ResidualViews(_LargerViews):
    """Every view scored by the residual network."""

    version: ClassVar[int] = 1

    name: str = "shin2016-views"

    @property
    def architecture(self) -> Architecture:
        """The residual network."""
        return Architecture("Shin 2016, residual", _residual, ((3, self.side_px, self.side_px),))


ALEXNET: tuple[Stage, ...] = (AlexViews(), Averaged("shin2016-alex-mean"))
RESIDUAL: tuple[Stage, ...] = (ResidualViews(), Averaged("shin2016-mean"))
