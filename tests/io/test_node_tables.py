from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.core.result import Result
from ctlymph.io.node_tables import read_nodes_csv, row_of, write_nodes_csv, write_nodes_json, write_rows

HEADER = "case,node,x_mm,y_mm,z_mm,i,j,k,score,region,station,short_axis_mm,long_axis_mm,volume_mm3,mean_hu,model"


def test_the_csv_holds_the_documented_columns_in_order_with_fixed_decimals(tmp_path: Path, result: Result) -> None:
    write_nodes_csv(tmp_path / "nodes.csv", result.case, result.nodes)
    header, first, _ = (tmp_path / "nodes.csv").read_bytes().decode().removesuffix("\n").split("\n")
    assert header == HEADER
    node = result.nodes[0]
    values = dict(zip(header.split(","), first.split(","), strict=True))
    assert (values["case"], values["node"], values["score"]) == ("CASE_007", "2", "0.9100")
    assert values["x_mm"] == f"{node.point_mm[0]:.3f}"
    assert [int(values[name]) for name in "ijk"] == list(node.index_ijk)
    assert values["short_axis_mm"] == f"{node.sizes.short_axis.length_mm:.2f}"
    assert (values["region"], values["station"], values["model"]) == ("abdomen", "", "blobs")


def test_rows_come_back_as_written_whatever_the_case_is_called(tmp_path: Path, result: Result) -> None:
    rows = [row_of(case, node) for case in ('O"Neil, 4', "höhe\nzwei", "") for node in result.nodes]
    write_rows(tmp_path / "nodes.csv", rows)
    back = read_nodes_csv(tmp_path / "nodes.csv")
    assert [(row.case, row.node, row.i, row.j, row.k) for row in back] == [
        (row.case, row.node, row.i, row.j, row.k) for row in rows
    ]
    assert np.array([row.point_mm for row in back]) == pytest.approx(np.array([row.point_mm for row in rows]), abs=6e-4)
    assert [row.score for row in back] == pytest.approx([row.score for row in rows])


def test_a_node_without_a_score_comes_back_without_one(tmp_path: Path, result: Result) -> None:
    write_nodes_csv(tmp_path / "nodes.csv", "a", [replace(result.nodes[0], score=None)])
    assert read_nodes_csv(tmp_path / "nodes.csv")[0].score is None


def test_no_nodes_give_a_file_of_only_a_header(tmp_path: Path) -> None:
    write_nodes_csv(tmp_path / "nodes.csv", "a", [])
    assert (tmp_path / "nodes.csv").read_text() == HEADER + "\n"
    assert read_nodes_csv(tmp_path / "nodes.csv") == []


def test_a_csv_of_another_kind_is_refused_by_the_missing_columns(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("seriesuid,coordX\n1,2\n")
    with pytest.raises(CtlymphError, match=r"x\.csv has no column case, node"):
        read_nodes_csv(tmp_path / "x.csv")


def test_a_value_that_is_no_number_is_refused_with_its_line(tmp_path: Path, result: Result) -> None:
    path = tmp_path / "nodes.csv"
    write_nodes_csv(path, "a", result.nodes)
    path.write_text(path.read_text().replace(",5,", ",five,", 1))
    with pytest.raises(CtlymphError, match=r"line 3: node is 'five'"):
        read_nodes_csv(path)


def test_a_binary_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(bytes(range(256)))
    with pytest.raises(CtlymphError, match="cannot read"):
        read_nodes_csv(tmp_path / "x.csv")


def test_the_json_says_everything(tmp_path: Path, result: Result) -> None:
    write_nodes_json(tmp_path / "nodes.json", result)
    document = json.loads((tmp_path / "nodes.json").read_text())
    assert document["notice"] == "For research use, not for diagnosis"
    assert document["case"] == "CASE_007"
    assert document["geometry"]["size_ijk"] == [90, 80, 24]
    assert document["geometry"]["direction"] == [[1, 0, 0], [0, -1, 0], [0, 0, 1]]
    assert document["notes"] == ["2 slices were dropped as duplicates"]
    first = document["nodes"][0]
    sizes = result.nodes[0].sizes
    assert tuple(first["sizes"]["any_plane_long_axis"]["end_mm"]) == sizes.any_plane_long_axis.end_mm
    assert first["sizes"]["short_axis"]["length_mm"] == sizes.short_axis.length_mm
    assert (first["node"], first["index_ijk"]) == (2, list(result.nodes[0].index_ijk))
