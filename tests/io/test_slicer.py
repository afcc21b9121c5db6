from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ctlymph.io.results import Result
from ctlymph.io.slicer import write_markups


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
