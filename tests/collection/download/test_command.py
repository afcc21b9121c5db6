"""``ctlymph collection download`` as a person uses it."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from fake_bucket import Bucket
from typer.testing import CliRunner, Result

from ctlymph.cli.collection_download import download
from ctlymph.errors import CtlymphError

pytest.importorskip("idc_index_data")


def run(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command()(download)
    result = CliRunner().invoke(app, list(map(str, arguments)))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_dry_run_tells_files_and_bytes_and_writes_nothing(tmp_path: Path) -> None:
    result = run(tmp_path / "data", "--cases", "MED_LYMPH_001", "--dry-run")
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert rows[1:3] == [["CT", "0", "1", "666", "349917034"], ["SEG", "0", "1", "1", "972470"]]
    assert [row[:3] for row in rows[3:]] == [[name, "0", "1"] for name in ("annotations", "candidates", "masks")]
    assert not (tmp_path / "data").exists()


def test_a_dry_run_of_a_region_counts_its_series(tmp_path: Path) -> None:
    result = run(tmp_path, "--region", "abdomen", "--what", "ct", "--dry-run")
    assert result.stdout.splitlines()[1].split("\t")[:4] == ["CT", "0", "86", "54512"]


def test_the_terms_are_shown_and_not_taken_as_accepted(tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match="add --accept-license"):
        run(tmp_path / "data", "--cases", "MED_LYMPH_001")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cases", "MED_LYMPH_999"], "MED_LYMPH_999"),
        (["--what", "xray"], "there is no xray"),
        (["--source", "elsewhere"], "neither idc, nbia nor a .tcia file"),
        (["--source", "list.tcia", "--region", "abdomen"], "leave out --cases, --region and --what"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, options: list[str], said: str) -> None:
    with pytest.raises(CtlymphError, match=said):
        run(tmp_path / "data", *options)


def test_what_could_not_be_had_is_told_and_how_to_go_on(bucket: Bucket, tmp_path: Path) -> None:
    options = ["--what", "seg", "--s3-endpoint", bucket.url, "--accept-license"]
    with pytest.raises(CtlymphError, match=r"1 of 1 series and archives could not be had.*goes on where it stopped"):
        run(tmp_path / "data", "--cases", "MED_LYMPH_001", *options)
    assert (tmp_path / "data" / "LICENSE.txt").is_file()
