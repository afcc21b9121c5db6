from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ctlymph.core.result import Result
from ctlymph.core.volume import Geometry, Masks, Volume
from ctlymph.measurement.axes import measure_masks
from ctlymph.outputs.nodes_page import write_report


class Page(HTMLParser):
    """All elements of a page, as (tag, attributes), and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, kind: str | None = None) -> list[dict[str, str | None]]:
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and (kind is None or kind in (attributes.get("class") or "").split())
        ]


def page_of(tmp_path: Path, result: Result) -> Page:
    write_report(tmp_path / "report.html", result)
    return Page((tmp_path / "report.html").read_text(encoding="utf-8"))


def pixels(image: dict[str, str | None]) -> NDArray[np.float64]:
    data = (image["href"] or "").removeprefix("data:image/jpeg;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))), dtype=np.float64)


def centre_of_mass(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """Place of what is bright, x and y as fractions of the picture."""
    y, x = np.nonzero(picture > 128)
    return np.array([(x.mean() + 0.5) / picture.shape[1], (y.mean() + 0.5) / picture.shape[0]])


def test_the_page_shows_every_node_and_what_made_it(tmp_path: Path, result: Result) -> None:
    page = page_of(tmp_path, result)
    assert [card["id"] for card in page.all("article")] == ["node-2", "node-5"]
    assert len(page.all("image")) == 2 + 2 * 3
    for text in ("CASE_007", "For research use, not for diagnosis", "2 slices were dropped", "Not trained;", "blobs"):
        assert text in page.text
    for node in result.nodes:
        assert f"{node.sizes.short_axis.length_mm:.1f} mm short axis" in page.text
        assert f"{node.sizes.long_axis.length_mm:.1f} mm long axis" in page.text


def test_the_page_needs_nothing_from_outside(tmp_path: Path, result: Result) -> None:
    page = page_of(tmp_path, result)
    links = [value for _, attributes in page.elements for name, value in attributes.items() if name in ("src", "href")]
    assert all((link or "").startswith(("data:image/jpeg;base64,", "#node-")) for link in links)
    style_and_script = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "@import" not in style_and_script
    assert not re.search(r"https?://", style_and_script)
    assert not page.all("link")


def test_names_from_outside_cannot_put_anything_on_the_page(tmp_path: Path, result: Result) -> None:
    wicked = '<script>alert("1")</script><img src=x>'
    volume = replace(result.volume, case=wicked)
    nodes = [replace(node, region=wicked, station=wicked) for node in result.nodes]
    page = page_of(
        tmp_path, replace(result, volume=volume, nodes=nodes, notes=(wicked,), trained_on=wicked, seconds={wicked: 1.0})
    )
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert page.text.count(wicked) >= 4


def test_a_scan_without_nodes_says_so(tmp_path: Path, result: Result) -> None:
    page = page_of(tmp_path, replace(result, nodes=[]))
    assert "No nodes found" in page.text
    assert "does not mean that there is no enlarged node" in page.text
    assert not page.all("article")


def test_nodes_without_scores_have_no_score_column(tmp_path: Path, result: Result) -> None:
    page = page_of(tmp_path, replace(result, nodes=[replace(node, score=None) for node in result.nodes], model=""))
    assert "Score" not in page.text
    assert not page.all("input", "filter")
    assert [row.get("data-score") for row in page.all("tr")] == [None] * 3


def orientation_result(orientation: str) -> Result:
    """A dim node at the centre, and bright balls 20 mm to its left, in front of it and above it."""
    grid = Geometry((40, 70, 80), np.array([-40.0, -35.0, 100.0]), np.array([1.0, 1.0, 2.0]))
    k, j, i = np.indices(grid.shape_zyx)
    points = grid.index_to_mm(np.stack([i, j, k], axis=-1))
    centre = np.array([0.0, 0.0, 140.0])

    def ball(at: tuple[float, float, float], radius: float) -> NDArray[np.bool_]:
        return np.asarray(np.linalg.norm(points - (centre + at), axis=-1) <= radius)

    hu = np.full(grid.shape_zyx, -150, dtype=np.int16)
    for at in ((20.0, 0.0, 0.0), (0.0, -20.0, 0.0), (0.0, 0.0, 20.0)):
        hu[ball(at, 6)] = 240
    labels = ball((0.0, 0.0, 0.0), 6).astype(np.uint16)
    volume = Volume(hu, grid).reorient(orientation)
    masks = Masks(labels, grid).reorient(orientation)
    return Result(volume, masks, measure_masks(volume, masks))


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "SPL", "AIR"])
def test_left_is_on_the_right_the_front_and_the_head_are_up_whatever_the_array(
    tmp_path: Path, orientation: str
) -> None:
    page = page_of(tmp_path, orientation_result(orientation))
    axial, coronal, sagittal = (pixels(image) for image in page.all("image")[2:])
    step = 20 / 90
    assert bright_at(axial, 0.5 + step, 0.5)
    assert bright_at(axial, 0.5, 0.5 - step)
    assert bright_at(coronal, 0.5 + step, 0.5)
    assert bright_at(coronal, 0.5, 0.5 - step)
    assert bright_at(sagittal, 0.5 - step, 0.5)
    assert bright_at(sagittal, 0.5, 0.5 - step)
    for picture in (axial, coronal, sagittal):
        assert np.mean(picture > 128) == pytest.approx(2 * np.pi * 36 / 90**2, rel=0.1)


def bright_at(picture: NDArray[np.float64], x: float, y: float) -> bool:
    height, width = picture.shape
    return bool(picture[int(y * height), int(x * width)] > 200)


def test_the_outline_lies_on_the_node_and_the_axes_end_on_the_outline(tmp_path: Path) -> None:
    grid = Geometry((30, 60, 70), np.array([9.0, -35.0, 100.0]), np.array([0.7, 0.9, 3.0]), np.diag([-1.0, 1, 1]))
    k, j, i = np.indices(grid.shape_zyx)
    inside = (((np.stack([i, j, k], axis=-1) - [40, 22, 14]) / [14, 9, 4]) ** 2).sum(axis=-1) <= 1
    hu = np.where(inside, 240, -160).astype(np.int16)
    volume, masks = Volume(hu, grid), Masks(inside.astype(np.uint16), grid)
    page = page_of(tmp_path, Result(volume, masks, measure_masks(volume, masks)))
    paths = [np.array(re.findall(r"([\d.]+),([\d.]+)", path["d"] or ""), float) for path in page.all("path", "outline")]
    for image, outline in zip(page.all("image")[2:], paths, strict=True):
        assert outline.mean(axis=0) / 90 == pytest.approx(centre_of_mass(pixels(image)), abs=0.006)
        assert np.ptp(outline, axis=0) / 90 == pytest.approx(
            [np.ptp(n) / 288 for n in np.nonzero(pixels(image) > 128)[::-1]], abs=0.04
        )
    long, short = ([float(line[name] or 0) for name in ("x1", "y1", "x2", "y2")] for line in page.all("line"))
    for x1, y1, x2, y2 in (long, short):
        for end in ((x1, y1), (x2, y2)):
            assert np.linalg.norm(paths[0] - end, axis=1).min() < 0.5
    assert np.hypot(long[0] - long[2], long[1] - long[3]) == pytest.approx(28 * 0.7, abs=0.6)


def test_the_same_result_gives_the_same_bytes(tmp_path: Path, result: Result) -> None:
    write_report(tmp_path / "a.html", result)
    write_report(tmp_path / "b.html", result)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
