"""The networks that score one 2.5D view: of Roth et al. (2014), and of Shin et al. (2016). They return log-odds."""

from __future__ import annotations

from torch import Tensor, nn

from ctlymph.nn.modules.blocks import ConvBlock, initialise

PLANES = 3
"""Channels of a view: axial, coronal, sagittal."""


class SmallConvNet(nn.Sequential):
    """Roth 2014: two convolutions with pooling, two without, two fully connected layers with dropout.

    Args:
        side: Pixels along the side of a view, a multiple of 4.
    """

    def __init__(self, side: int = 32) -> None:
        super().__init__()
        self.features = nn.Sequential(
            ConvBlock(PLANES, 64, 5, dims=2),
            nn.MaxPool2d(2),
            ConvBlock(64, 64, dims=2),
            nn.MaxPool2d(2),
            ConvBlock(64, 64, dims=2),
            ConvBlock(64, 32, dims=2),
            nn.Flatten(),
        )
        self.hidden = nn.Sequential(nn.Dropout(0.5), nn.Linear(32 * (side // 4) ** 2, 128), nn.ReLU(), nn.Dropout(0.5))
        self.classifier = nn.Linear(128, 1)
        self.apply(initialise)


class SmallAlexNet(nn.Sequential):
    """Shin 2016: an AlexNet for views of 64 pixels, with batch normalisation.

    Args:
        side: Pixels along the side of a view, a multiple of 16.
    """

    def __init__(self, side: int = 64) -> None:
        super().__init__()
        self.features = nn.Sequential(
            ConvBlock(PLANES, 48, 6, stride=2, dims=2),
            nn.MaxPool2d(2),
            ConvBlock(48, 96, 5, dims=2),
            nn.MaxPool2d(2),
            ConvBlock(96, 128, dims=2),
            ConvBlock(128, 128, dims=2),
            ConvBlock(128, 96, dims=2),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.hidden = nn.Sequential(
            nn.Dropout(0.5),
            nn.Linear(96 * (side // 16) ** 2, 256),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(256, 128),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(128, 1)
        self.apply(initialise)


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvBlock(channels, channels, dims=2)
        self.second = ConvBlock(channels, channels, dims=2, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        sum_: Tensor = x + self.second(self.first(x))
        return sum_.relu()


class SmallResNet(nn.Sequential):
    """Shin 2016: a residual network (He et al., CVPR 2016) in place of the GoogLeNet, for views of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            ConvBlock(PLANES, 32, 4, stride=2, dims=2),
            nn.MaxPool2d(2),
            _ResidualBlock(32),
            _ResidualBlock(32),
            ConvBlock(32, 64, 2, stride=2, dims=2),
            _ResidualBlock(64),
            _ResidualBlock(64),
            ConvBlock(64, 128, 2, stride=2, dims=2),
            _ResidualBlock(128),
            _ResidualBlock(128),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.3),
        )
        self.classifier = nn.Linear(128, 1)
        self.apply(initialise)
