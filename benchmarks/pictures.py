"""CTs beside each other, a row a CT: five axial slices, a coronal and a sagittal one.

Run ``python benchmarks/pictures.py OUT.jpg CT...``; a CT is what ``ctlymph`` reads, or ``COLLECTION:CASE``. All rows
have one scale and one window, so that synthetic and real ones can be told apart by nothing but what they show.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ctlymph import Collection, read
from ctlymph.core.volume import Volume

WINDOW_HU = (-160.0, 240.0)
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
PIXEL_MM = 1.25
WIDE_MM, HIGH_MM = 400.0, 300.0


def opened(name: str) -> Volume:
    """Read a CT by its path, or by ``COLLECTION:CASE``."""
    folder, colon, case = name.rpartition(":")
    found = Collection(folder).cases(names=[case])[0].ct() if colon else read(Path(name))
    return found.reorient("LPS")


def row(ct: Volume) -> Image.Image:
    """Draw one CT: slices from feet to head, then through the middle of the body from the front and from the left."""
    hu, (dx, dy, dz) = ct.hu, ct.geometry.spacing_mm
    body = hu > -300
    j, i = (int(np.median(np.flatnonzero(body.any(axis=axes)))) for axes in ((0, 2), (0, 1)))
    tiles = [tile(hu[round(level * (len(hu) - 1))], dy, dx) for level in LEVELS]
    tiles += [tile(hu[::-1, j], dz, dx), tile(hu[::-1, :, i], dz, dy)]
    line = Image.fromarray(np.hstack(tiles))
    ImageDraw.Draw(line).text((6, 4), ct.case, fill=255)
    return line


def tile(plane: NDArray[np.int16], high_mm: float, wide_mm: float) -> NDArray[np.uint8]:
    """Put a plane with pixels of so many mm in the middle of a tile of one size and scale."""
    low, high = WINDOW_HU
    grey = (np.clip((plane.astype(np.float32) - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    size = round(plane.shape[1] * wide_mm / PIXEL_MM), round(plane.shape[0] * high_mm / PIXEL_MM)
    picture = Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    canvas = Image.new("L", (round(WIDE_MM / PIXEL_MM), round(HIGH_MM / PIXEL_MM)))
    canvas.paste(picture, ((canvas.width - size[0]) // 2, (canvas.height - size[1]) // 2))
    return np.asarray(canvas)


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, metavar="OUT.jpg")
    parser.add_argument("cts", nargs="+", metavar="CT")
    wanted = parser.parse_args()
    rows = [np.asarray(row(opened(name))) for name in wanted.cts]
    Image.fromarray(np.vstack(rows)).save(wanted.output, quality=82)


if __name__ == "__main__":
    main()
