from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.archive_file import CollectionFile, numbers, whole_numbers


def written(folder: Path, content: bytes) -> CollectionFile:
    path = folder / "a.txt"
    path.write_bytes(content)
    return CollectionFile(path)


def test_numbers_are_read_with_either_line_ending_blank_lines_and_long_exponents(tmp_path: Path) -> None:
    file = written(tmp_path, b"1 2 3\r\n\r\n 9.15527e-005\t-4 5.5 \n")
    assert numbers(file, (3,)).tolist() == [[1, 2, 3], [9.15527e-5, -4, 5.5]]


def test_a_file_of_no_bytes_has_no_rows(tmp_path: Path) -> None:
    assert numbers(written(tmp_path, b""), (3,)).shape == (0, 3)


@pytest.mark.parametrize("line", [b"1 2", b"1 2 3 4", b"1 2 x", b"1 nan 3", b"1 2 inf", b"\xff\xfe1 2 3"])
def test_a_line_that_is_not_the_numbers_wanted_is_named(tmp_path: Path, line: bytes) -> None:
    with pytest.raises(CtlymphError, match=r"a\.txt, line 2: .* is not 3 numbers"):
        numbers(written(tmp_path, b"1 2 3\n" + line), (3,))


def test_rows_must_be_of_one_length(tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match="line 2"):
        numbers(written(tmp_path, b"1\n1 2"), (1, 2))


def test_a_member_of_an_archive_is_read_and_put_on_disk_for_a_while(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x/b.txt", "1 2 3")
    file = CollectionFile(tmp_path / "a.zip", "x/b.txt")
    assert file.read(100) == b"1 2 3"
    with file.on_disk(100) as path:
        assert path.name == "b.txt"
        assert path.read_text() == "1 2 3"
    assert not path.exists()


def test_more_bytes_than_plausible_are_refused_whatever_the_archive_declares(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b.txt", b"\0" * 1_000_000)
    with pytest.raises(CtlymphError, match=r"a\.zip:b\.txt has more than 1000 bytes"):
        CollectionFile(tmp_path / "a.zip", "b.txt").read(1000)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK no archive")
    for file in (CollectionFile(tmp_path / "none.txt"), CollectionFile(tmp_path / "a.zip", "b.txt")):
        with pytest.raises(CtlymphError, match=r"cannot read .*fetch it again"):
            file.read(10)


@pytest.mark.parametrize("place", range(30, 60, 3))
def test_a_damaged_member_of_an_archive_is_named(tmp_path: Path, place: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b", bytes(range(256)) * 4)
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[place] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(CtlymphError, match=r"cannot read .*a\.zip:b"):
        CollectionFile(tmp_path / "a.zip", "b").read(10_000)


@pytest.mark.parametrize("word", ["1e300", "3.7", "-1000001"])
def test_indices_and_ids_are_small_whole_numbers(tmp_path: Path, word: str) -> None:
    with pytest.raises(CtlymphError, match="where a small whole number is due"):
        whole_numbers(written(tmp_path, f"1 2 {word}".encode()), (3,))
