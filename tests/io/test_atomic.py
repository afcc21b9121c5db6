"""Outputs appear whole or not at all, and replace only the files that they may replace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.io import atomic
from ctlymph.io.atomic import check_new_folder, explained, new_file, new_folder


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_folder_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), new_folder(tmp_path / "out") as staging:  # noqa: PT012
        (staging / "half").write_text("half")
        raise error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_file_leaves_the_former_one(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "ct.nii.gz"
    target.write_text("former")
    with pytest.raises(error), new_file(target, overwrite=True) as staging:  # noqa: PT012
        staging.write_text("half")
        raise error
    assert [file.name for file in tmp_path.iterdir()] == ["ct.nii.gz"]
    assert target.read_text() == "former"


def test_nothing_is_at_its_place_before_the_end(tmp_path: Path) -> None:
    with new_folder(tmp_path / "out") as staging, new_file(tmp_path / "file.csv") as file:
        (staging / "sub").mkdir()
        (staging / "sub" / "a").write_text("a")
        file.write_text("b")
        assert not (tmp_path / "out").exists()
        assert not (tmp_path / "file.csv").exists()
    assert (tmp_path / "out" / "sub" / "a").read_text() == "a"
    assert (tmp_path / "file.csv").read_text() == "b"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.csv", "out"]


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    with new_folder(tmp_path) as staging:
        (staging / "a").write_text("a")
    assert (tmp_path / "a").read_text() == "a"


def test_a_folder_that_holds_files_needs_overwrite_and_keeps_the_others(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "other").write_text("other")
    (out / "a").write_text("former")
    with pytest.raises(CtlymphError, match=r"out holds files already.*overwrite=True"), new_folder(out):
        pytest.fail("the block must not run")
    with new_folder(out, overwrite=True) as staging:
        (staging / "a").write_text("new")
    assert {file.name: file.read_text() for file in out.iterdir()} == {"a": "new", "other": "other"}


def test_a_file_that_exists_needs_overwrite(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    target.write_text("former")
    with pytest.raises(CtlymphError, match=r"a\.csv exists.*overwrite=True"), new_file(target):
        pytest.fail("the block must not run")
    assert target.read_text() == "former"


def test_files_in_the_folder_of_a_staged_file_come_along_under_the_same_rule(tmp_path: Path) -> None:
    (tmp_path / "a.img").write_text("former")

    def write(overwrite: bool) -> None:
        with new_file(tmp_path / "a.hdr", overwrite=overwrite) as staging:
            staging.write_text("header")
            staging.with_suffix(".img").write_text("voxels")

    with pytest.raises(CtlymphError, match=r"a\.img exists"):
        write(overwrite=False)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"a.img": "former"}
    write(overwrite=True)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"a.hdr": "header", "a.img": "voxels"}


def test_a_file_is_no_folder_and_a_folder_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CtlymphError, match="is a file"):
        check_new_folder(tmp_path / "file", overwrite=True)
    with pytest.raises(CtlymphError, match="is a folder"), new_file(tmp_path, overwrite=True):
        pytest.fail("the block must not run")


def test_an_output_below_a_file_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CtlymphError, match=r"cannot write .*out.*choose another place"):
        check_new_folder(tmp_path / "file" / "out", overwrite=False)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission_is_refused_before_the_work(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CtlymphError, match="cannot write"):
        check_new_folder(tmp_path / "out", overwrite=False)
    tmp_path.chmod(0o700)


def test_a_new_folder_may_be_read_by_those_who_may_read_any_new_folder(tmp_path: Path) -> None:
    with new_folder(tmp_path / "out"):
        pass
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_the_system_objects_to_becomes_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(CtlymphError, match=r"cannot write .*: No space left on device; choose another place"),
        explained(tmp_path),
    ):
        raise OSError(28, "No space left on device")


def test_a_folder_in_a_read_only_one_or_on_another_disk_may_be_filled(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with new_folder(out) as staging:
        assert staging.parent == out
        (staging / "a").write_text("a")
    assert [file.name for file in out.iterdir()] == ["a"]


def test_what_a_killed_process_left_is_in_nobodys_way(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with new_folder(out) as staging:
        (staging / "a").write_text("a")
        staging.with_name(".other.partial-1").mkdir()
    (out / "a").unlink()
    (out / ".out.partial-2").mkdir()
    check_new_folder(out, overwrite=False)


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    with new_folder(tmp_path / ("a" * 255)), new_file(tmp_path / ("ä" * 100)) as staging:
        staging.write_text("a")
    assert (tmp_path / ("a" * 255)).is_dir()


def test_an_error_of_many_lines_is_reported_by_its_cause(tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match=r"^cannot write .*: No space left on device; choose"), explained(tmp_path):  # noqa: PT012
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            raise OSError("With tag (7FE0,0010)\nTraceback") from error


def test_of_two_at_work_on_one_folder_the_first_to_end_is_kept(tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match=r"holds files already"), new_folder(tmp_path / "out") as slow:  # noqa: PT012
        (slow / "a").write_text("slow")
        with new_folder(tmp_path / "out") as quick:
            (quick / "a").write_text("quick")
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "a").read_text() == "quick"


def test_a_staging_folder_goes_with_the_process(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ctlymph.io.atomic import new_folder\n"
        "kept = new_folder(Path(sys.argv[1])); (kept.__enter__() / 'a').write_text('a'); sys.exit()"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "out"], check=True)
    assert list(tmp_path.iterdir()) == []


# --- Windows, as far as it can be tried elsewhere


def test_a_file_that_another_program_has_open_for_a_moment_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = iter((True, True, False))
    replace = Path.replace

    def replace_unless_held(source: Path, target: Path) -> Path:
        if next(held):
            raise PermissionError(13, "The process cannot access the file")
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", replace_unless_held)
    monkeypatch.setattr(atomic, "_PAUSES_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(atomic, "_IS_WINDOWS", True)
    with new_file(tmp_path / "a.csv") as staging:
        staging.write_text("new")
    assert (tmp_path / "a.csv").read_text() == "new"


def test_a_file_that_another_program_keeps_open_is_named_and_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(source: Path, target: Path) -> Path:
        raise PermissionError(13, "The process cannot access the file")

    (tmp_path / "a.csv").write_text("former")
    monkeypatch.setattr(Path, "replace", held)
    monkeypatch.setattr(atomic, "_PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(atomic, "_IS_WINDOWS", True)
    with (
        pytest.raises(CtlymphError, match=r"cannot write .*a\.csv: The process cannot access the file"),
        new_file(tmp_path / "a.csv", overwrite=True) as staging,
    ):
        staging.write_text("new")
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "former"
