from __future__ import annotations

from pathlib import Path

import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.annotations import AnnotatedNode, read_annotations
from ctlymph.datasets.archive_file import CollectionFile


def files(folder: Path, **contents: str) -> dict[str, CollectionFile]:
    names = {"points": "physicalPoints.txt", "indices": "indices.txt", "sizes": "sizes.txt"}
    for kind, content in contents.items():
        (folder / names[kind]).write_text(content)
    return {names[kind]: CollectionFile(folder / names[kind]) for kind in contents}


def test_row_i_is_the_same_node_in_every_file(tmp_path: Path) -> None:
    given = files(tmp_path, points="1 2 3\n4 5 6\n", indices="10 20 30\n40 50 60\n", sizes="8.5 11\n12 13.5\n")
    assert read_annotations(given) == (
        AnnotatedNode(1, (1, 2, 3), (10, 20, 30), 8.5, 11),
        AnnotatedNode(2, (4, 5, 6), (40, 50, 60), 12, 13.5),
    )


def test_a_size_of_zero_is_not_known_and_axes_in_the_wrong_order_are_put_right(tmp_path: Path) -> None:
    nodes = read_annotations(files(tmp_path, points="1 2 3\n4 5 6", sizes="0 0\n11.06 9.6"))
    assert [(node.short_axis_mm, node.long_axis_mm) for node in nodes] == [(None, None), (9.6, 11.06)]
    assert [node.index_ijk for node in nodes] == [None, None]


def test_mediastinal_nodes_have_a_short_axis_alone(tmp_path: Path) -> None:
    (node,) = read_annotations(files(tmp_path, points="1 2 3", sizes="11.1"))
    assert (node.short_axis_mm, node.long_axis_mm) == (11.1, None)


def test_files_of_different_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match="2 points, 1 indices and 2 sizes"):
        read_annotations(files(tmp_path, points="1 2 3\n4 5 6", indices="1 2 3", sizes="1\n2"))


def test_sizes_without_points_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match="without its points"):
        read_annotations(files(tmp_path, sizes="11"))
