from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctlymph.core.errors import CtlymphError
from ctlymph.io.mitk import read_point_set, write_point_set

coordinate = st.floats(allow_nan=False, allow_infinity=False)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(points=st.lists(st.tuples(coordinate, coordinate, coordinate), max_size=8))
def test_points_come_back_to_the_last_bit(tmp_path: Path, points: list[tuple[float, float, float]]) -> None:
    write_point_set(tmp_path / "a.mps", points)
    assert [tuple(map(repr, p)) for p in read_point_set(tmp_path / "a.mps")] == [tuple(map(repr, p)) for p in points]


def test_every_point_has_the_fields_that_mitk_demands(tmp_path: Path) -> None:
    write_point_set(tmp_path / "a.mps", [(1.5, -2.0, 3e-7)])
    text = "".join((tmp_path / "a.mps").read_text().split())
    assert "<time_series_id>0</time_series_id><point><id>0</id><specification>0</specification><x>1.5</x>" in text


def test_the_published_point_sets_agree_with_the_text_files_of_their_cases(shared_data: Path, tmp_path: Path) -> None:
    names = ("ABD_LYMPH_057", "MED_LYMPH_004", "MED_LYMPH_012")
    with tarfile.open(shared_data / "nih" / "MED_ABD_LYMPH_annotations_candidates.tar.gz") as archive:
        members = [member for member in archive if member.isfile() and any(name in member.name for name in names)]
        archive.extractall(tmp_path, members, filter="data")
    point_sets = sorted(tmp_path.rglob("*.mps"))
    assert len(point_sets) == 9
    for path in point_sets:
        rows = [line.split() for line in path.with_suffix(".txt").read_text().splitlines() if line.strip()]
        expected = np.array(rows, dtype=float).reshape(-1, 3)
        assert np.array(read_point_set(path)).reshape(-1, 3) == pytest.approx(expected, rel=1e-5)


def test_a_file_of_no_bytes_has_no_points(tmp_path: Path) -> None:
    (tmp_path / "a.mps").touch()
    assert read_point_set(tmp_path / "a.mps") == []


POINT = "<point><id>0</id><x>1</x><y>2</y><z>3</z></point>"


def saved(folder: Path, inside: str, doctype: str = "") -> Path:
    path = folder / "a.mps"
    body = f"<file_version>0.1</file_version><point_set>{inside}</point_set>"
    path.write_text(f'<?xml version="1.0"?>{doctype}<point_set_file>{body}</point_set_file>')
    return path


def test_points_of_old_files_without_time_steps_are_read(tmp_path: Path) -> None:
    assert read_point_set(saved(tmp_path, POINT)) == [(1, 2, 3)]


def test_the_transform_of_a_geometry_is_applied(tmp_path: Path) -> None:
    cells = {(0, 1): -2, (1, 0): 1, (2, 2): 1}
    matrix = " ".join(f'm_{r}_{c}="{cells.get((r, c), 0)}"' for r in range(3) for c in range(3))
    geometry = f'<Geometry3D><IndexToWorld {matrix}/><Offset x="10" y="20" z="30"/></Geometry3D>'
    path = saved(tmp_path, f"<time_series><time_series_id>0</time_series_id>{geometry}{POINT}</time_series>")
    assert read_point_set(path) == [(6, 21, 33)]


@pytest.mark.parametrize(
    "declaration", ['<!DOCTYPE a [<!ENTITY e "11">]>', '<!DOCTYPE a SYSTEM "file:///etc/hostname">', "<!DOCTYPE a>"]
)
def test_a_document_type_is_refused_before_anything_expands(tmp_path: Path, declaration: str) -> None:
    with pytest.raises(CtlymphError, match="document type"):
        read_point_set(saved(tmp_path, POINT, declaration))


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("<point><id>0</id><x>1</x><y>2</y></point>", "z of point 0 is None"),
        ("<point><id>0</id><x>1</x><y>two</y><z>3</z></point>", "y of point 0 is 'two'"),
        ("<point><id>0</id><x>nan</x><y>2</y><z>3</z></point>", "not a finite number"),
        ("<point>", "mismatched tag"),
    ],
)
def test_damaged_points_are_refused_by_name(tmp_path: Path, inside: str, message: str) -> None:
    with pytest.raises(CtlymphError, match=message):
        read_point_set(saved(tmp_path, inside))


def test_xml_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mps").write_text("<html></html>")
    with pytest.raises(CtlymphError, match="another kind"):
        read_point_set(tmp_path / "a.mps")
