"""What the README promises: its Python runs, its commands exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from ctlymph.cli.main import app
from ctlymph.io.dicom.ct_writer import write_ct_series
from ctlymph.phantom.scan.patient import Phantom

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_example_runs_and_prints_nodes(
    phantom: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_ct_series(phantom.volume, tmp_path / "DEMO" / "ct")
    (example,) = blocks("python")
    exec(compile(example, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert 1 <= len(lines) <= 3
    assert all(re.fullmatch(r"\d+\.\d mm short axis at -?\d+, -?\d+, -?\d+, score 0\.\d\d", line) for line in lines)


def test_every_command_and_option_of_the_readme_exists() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    lines = [line for block in blocks("") for line in block.splitlines() if line.startswith("ctlymph ")]
    assert len(lines) >= 5
    for line in lines:
        name, *words = shlex.split(line, comments=True)[1:]
        command = commands[name]
        if name == "collection":
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known, line


def test_every_file_the_readme_links_to_is_there() -> None:
    own = r"https://(?:github\.com/ctlymph/ctlymph/blob/main|raw\.githubusercontent\.com/ctlymph/ctlymph/main)/"
    targets = [re.sub(own, "", target) for target in re.findall(r"\]\(([^)#]+)\)", README)]
    targets = [target for target in targets if not target.startswith("http")]
    assert len(targets) >= 5
    for target in targets:
        assert (ROOT / target).exists(), target


def test_every_link_of_the_readme_works_on_the_package_index_too() -> None:
    assert [target for target in re.findall(r"\]\(([^)]+)\)", README) if not target.startswith(("https://", "#"))] == []


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)", README)) <= targets | {"and"}
