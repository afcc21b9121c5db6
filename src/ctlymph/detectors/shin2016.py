"""Shin 2016: the views of Roth 2014 through deeper networks.

Shin HC, Roth HR, Gao M, Lu L, Xu Z, Nogues I, Yao J, Mollura D, Summers RM: Deep convolutional neural networks for
computer-aided detection: CNN architectures, dataset characteristics and transfer learning, IEEE TMI 2016, arXiv
1602.03409. Patches of 64 × 64 pixels go through an AlexNet and a GoogLeNet, trained from scratch or fine-tuned from
ImageNet, all but the last layer at a tenth of the learning rate.

Chosen here: an AlexNet for images of 64 pixels, with batch normalisation in place of its local one; and for the
GoogLeNet a residual network (He et al., CVPR 2016), which does as well with fewer kinds of layers. Fine-tuning starts
from weights of the user's own, for none come with this package.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from ctlymph.detectors.base import Stage
from ctlymph.detectors.parts.view_network import Averaged, ViewNetwork
from ctlymph.detectors.settings import TRAINING_ONLY
from ctlymph.nn.training_loop import Schedule

if TYPE_CHECKING:
    from torch import nn

_SCHEDULE = Schedule(steps=1500, last_layer="classifier")


@dataclass(frozen=True)
class _LargerViews(ViewNetwork):
    side_px: int = 64
    schedule: Schedule = field(default=_SCHEDULE, kw_only=True, metadata=TRAINING_ONLY)


@dataclass(frozen=True)
class AlexViews(_LargerViews):
    """Every view scored by the AlexNet."""

    version: ClassVar[int] = 2

    name: str = "shin2016-alex-views"

    def module(self) -> nn.Module:
        """Return the AlexNet."""
        from ctlymph.nn.modules.view_classifiers import SmallAlexNet

        return SmallAlexNet(self.side_px)


@dataclass(frozen=True)
class ResidualViews(_LargerViews):
    """Every view scored by the residual network."""

    version: ClassVar[int] = 2

    name: str = "shin2016-views"

    def module(self) -> nn.Module:
        """Return the residual network."""
        from ctlymph.nn.modules.view_classifiers import SmallResNet

        return SmallResNet()


ALEXNET: tuple[Stage, ...] = (AlexViews(), Averaged("shin2016-alex-mean"))
RESIDUAL: tuple[Stage, ...] = (ResidualViews(), Averaged("shin2016-mean"))
