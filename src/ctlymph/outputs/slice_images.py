"""Pictures of a CT: a square about a point, cut across one axis, windowed, as a JPEG that a page can hold.

Pictures show the array's own planes nearest to axial, coronal and sagittal, in radiological convention: the
patient's right on the viewer's left, the front or the head up. The array's i, j, k must grow to the left, the back
and the head. Pixels are made square by bicubic interpolation before windowing.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctlymph.core.nodes import Point
from ctlymph.core.short_repr import short_repr
from ctlymph.core.volume import AIR_HU, Geometry

WINDOW_HU = (-160.0, 240.0)
"""Level 40, width 400: soft tissue."""

PICTURE_PX = 288


@dataclass(frozen=True)
class ViewPlane:
    """A way to cut the volume: across array axis ``axis`` (0 z, 1 y, 2 x), with the letters at the picture's edges."""

    name: str
    axis: int
    left: str
    right: str
    top: str
    bottom: str

    @property
    def down(self) -> int:
        """1 where the picture's rows run with the index, −1 where they run against it: the head is up."""
        return 1 if self.axis == 0 else -1


AXIAL = ViewPlane("Axial", 0, "R", "L", "A", "P")
CORONAL = ViewPlane("Coronal", 1, "R", "L", "S", "I")
SAGITTAL = ViewPlane("Sagittal", 2, "A", "P", "S", "I")


@dataclass(frozen=True, eq=False)
class PictureFrame:
    """The square cut out of a slice: where it lies, and how indices become mm in the picture."""

    plane: ViewPlane
    index: int
    centre: NDArray[np.float64]
    spacing_mm: NDArray[np.float64]
    width_mm: float

    __repr__ = short_repr

    @property
    def step(self) -> NDArray[np.float64]:
        """Millimetres in the picture per index, rows and columns."""
        return self.spacing_mm * [self.plane.down, 1]

    def to_picture(self, row_column: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map fractional indices (…, row and column) to mm (…, x and y) from the upper left corner."""
        return np.asarray(((row_column - self.centre) * self.step + self.width_mm / 2)[..., ::-1])

    def box(self, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Return the part of the slice that the picture needs, with a margin for the interpolation."""
        half = self.width_mm / 2 / self.spacing_mm + 3
        low = np.clip(np.floor(self.centre - half), 0, shape).astype(int)
        high = np.clip(np.ceil(self.centre + half) + 1, 0, shape).astype(int)
        return slice(low[0], high[0]), slice(low[1], high[1])


def frame_about(grid: Geometry, plane: ViewPlane, centre_zyx: NDArray[np.float64], width_mm: float) -> PictureFrame:
    """PictureFrame a square of a side of ``width_mm`` about a point, given as an index; the nearest slice is taken."""
    size = grid.shape_zyx[plane.axis]
    index = int(np.clip(np.rint(centre_zyx[plane.axis]), 0, size - 1))
    return PictureFrame(
        plane, index, np.delete(centre_zyx, plane.axis), np.delete(grid.spacing_zyx, plane.axis), width_mm
    )


def caption(grid: Geometry, frame: PictureFrame) -> str:
    """Return where the slice lies, such as ``L 12.5 mm``."""
    index_zyx = np.insert(frame.centre, frame.plane.axis, frame.index)
    axis = 2 - frame.plane.axis
    letters = ("RL", "AP", "IS")[axis]
    position = float(grid.index_to_mm(index_zyx[::-1])[axis])
    return f"{letters[int(position > 0)]} {abs(position):.1f} mm"


def square(part: NDArray[np.int16], start: NDArray[np.int_], frame: PictureFrame) -> NDArray[np.uint8]:
    """Resample a part of a slice, which begins at index ``start``, to the picture's square pixels; window it."""
    from PIL import Image

    # Pillow counts from the outer edge of a pixel, so that the centre of pixel n is at n + 0.5.
    row_step, column_step = frame.width_mm / PICTURE_PX / frame.step
    row, column = frame.centre - start + 0.5 - frame.width_mm / 2 / frame.step
    image = Image.fromarray(np.ascontiguousarray(part, dtype=np.float32))
    resampled = image.transform(
        (PICTURE_PX, PICTURE_PX),
        Image.Transform.AFFINE,
        (column_step, 0, column, 0, row_step, row),
        resample=Image.Resampling.BICUBIC,
        fillcolor=AIR_HU,
    )
    return grey(np.asarray(resampled), *WINDOW_HU)


def grey(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.uint8]:
    """Spread values from ``low`` to ``high`` over black to white."""
    return np.asarray(np.clip((values - low) * (255 / (high - low)), 0, 255), dtype=np.uint8)


def jpeg(pixels: NDArray[np.uint8], quality: int) -> str:
    """Return a picture as a data URL."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def rows_columns(points_mm: Sequence[Point], grid: Geometry, plane: ViewPlane) -> NDArray[np.float64]:
    """Map points, LPS mm, to fractional rows and columns of the slices of a plane."""
    return np.delete(grid.mm_to_index(points_mm)[..., ::-1], plane.axis, axis=-1)


def spread(positions: list[float], gap: float, low: float, high: float) -> list[float]:
    """Move sorted positions until neighbours are ``gap`` apart, within ``low`` and ``high`` if they fit."""
    places = list(positions)
    for n in range(len(places)):
        places[n] = max(places[n], low if n == 0 else places[n - 1] + gap)
    for n in reversed(range(len(places))):
        places[n] = min(places[n], high if n == len(places) - 1 else places[n + 1] - gap)
    return places
