from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctlymph.core.errors import CtlymphError
from ctlymph.core.result import Result
from ctlymph.io.slicer import MarkedPoint, read_markups, write_markups


def test_one_file_holds_a_point_list_and_two_lines_a_node_in_lps_mm(tmp_path: Path, result: Result) -> None:
    write_markups(tmp_path / "nodes.mrk.json", result.nodes)
    document = json.loads((tmp_path / "nodes.mrk.json").read_text())
    assert document["@schema"].endswith("/markups-schema-v1.0.3.json#")
    markups = document["markups"]
    assert [markup["type"] for markup in markups] == ["Fiducial"] + ["Line"] * 4
    assert {(markup["coordinateSystem"], markup["coordinateUnits"]) for markup in markups} == {("LPS", "mm")}
    points = [point for markup in markups for point in markup["controlPoints"]]
    assert {point["positionStatus"] for point in points} == {"defined"}
    assert [point["label"] for point in markups[0]["controlPoints"]] == ["2", "5"]
    assert tuple(markups[0]["controlPoints"][0]["position"]) == result.nodes[0].point_mm


def test_the_ends_of_a_line_are_as_far_apart_as_its_length_says(tmp_path: Path, result: Result) -> None:
    write_markups(tmp_path / "nodes.mrk.json", result.nodes)
    for line in json.loads((tmp_path / "nodes.mrk.json").read_text())["markups"][1:]:
        start, end = (np.array(point["position"]) for point in line["controlPoints"])
        (measurement,) = line["measurements"]
        assert np.linalg.norm(end - start) == pytest.approx(measurement["value"])


def test_no_nodes_give_an_empty_point_list(tmp_path: Path) -> None:
    write_markups(tmp_path / "nodes.mrk.json", [])
    (markup,) = json.loads((tmp_path / "nodes.mrk.json").read_text())["markups"]
    assert markup["controlPoints"] == []


def saved(folder: Path, *lists: dict[str, Any]) -> Path:
    path = folder / "a.mrk.json"
    path.write_text(json.dumps({"@schema": "markups-schema-v1.0.3.json#", "markups": lists}))
    return path


def point_list(*positions: Any, **others: Any) -> dict[str, Any]:
    points = [{"label": f"F-{n}", "position": position} for n, position in enumerate(positions, start=1)]
    return {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": points} | others


def test_what_was_written_is_read_back_without_the_lines(tmp_path: Path, result: Result) -> None:
    write_markups(tmp_path / "nodes.mrk.json", result.nodes)
    assert read_markups(tmp_path / "nodes.mrk.json") == [
        MarkedPoint(node.point_mm, str(node.node), node.score) for node in result.nodes
    ]


coordinate = st.floats(allow_nan=False, allow_infinity=False)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    points=st.lists(st.tuples(coordinate, coordinate, coordinate), max_size=5),
    system=st.sampled_from([("LPS", 1), ("RAS", -1), (1, 1), (0, -1), ("1", 1), ("0", -1)]),
)
def test_either_coordinate_system_by_name_or_number_gives_lps(
    tmp_path: Path, points: list[tuple[float, float, float]], system: tuple[str | int, int]
) -> None:
    stated, sign = system
    stored = [[sign * x, sign * y, z] for x, y, z in points]
    path = saved(tmp_path, point_list(*stored, coordinateSystem=stated))
    assert [point.point_mm for point in read_markups(path)] == points


def test_points_that_were_never_placed_are_left_out(tmp_path: Path) -> None:
    markup = point_list([1, 2, 3], None)
    markup["controlPoints"][1]["positionStatus"] = "undefined"
    assert [point.label for point in read_markups(saved(tmp_path, markup))] == ["F-1"]


@pytest.mark.parametrize(
    ("markup", "message"),
    [
        (point_list([1, 2, 3], coordinateSystem=None), "is not stated; state LPS or RAS"),
        (point_list([1, 2, 3], coordinateSystem="IJK"), "is IJK; state LPS or RAS"),
        (point_list([1, 2, 3], coordinateSystem=2), "is 2; state LPS or RAS"),
        (point_list([1, 2, 3], coordinateUnits="um"), "coordinateUnits of a point list are um"),
        (point_list([1, 2]), "position of point 0 is .*, not three finite numbers"),
        (point_list([1, 2, 3], [1, 2, float("nan")]), "position of point 1 is"),
        (point_list([1, 2, 10**400]), "position of point 0 is"),
        (point_list(None), "position of point 0 is None"),
        (point_list(controlPoints=3), "no list of points"),
        (
            point_list(controlPoints=[{"position": [1, 2, 3], "description": "score high"}]),
            "the score of point 0 is 'high'",
        ),
        ({"type": "Line", "coordinateSystem": "LPS"}, "contains Line and no point list"),
    ],
)
def test_a_list_that_cannot_be_placed_is_refused(tmp_path: Path, markup: dict[str, Any], message: str) -> None:
    with pytest.raises(CtlymphError, match=message):
        read_markups(saved(tmp_path, markup))


@pytest.mark.parametrize(("text", "message"), [("{", "cannot read"), ("[]", "no markups"), ('{"markups": 1}', "no m")])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.mrk.json").write_text(text)
    with pytest.raises(CtlymphError, match=message):
        read_markups(tmp_path / "a.mrk.json")
