"""Methods of other packages: the example of the documentation, and packages that are wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from contexts import scene_with_nodes
from ctlymph.cli.main import app
from ctlymph.core.errors import CtlymphError
from ctlymph.detectors import registry
from ctlymph.detectors.base import Candidates, DetectionContext, TrueNodes
from ctlymph.detectors.registry import METHODS, all_methods, method, plugins
from ctlymph.training.stage_cache import StageCache

PAGE = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution of one module: ``(name, source, entries)``."""
    plugins.cache_clear()
    monkeypatch.syspath_prepend(tmp_path)
    modules = []

    def made(name: str, source: str, entries: dict[str, str], version: str = "0.1") -> None:
        module = name.replace("-", "_")
        modules.append(module)
        (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
        about = tmp_path / f"{module}-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        lines = "".join(f"{key} = {value}\n" for key, value in entries.items())
        (about / "entry_points.txt").write_text(f"[ctlymph.detectors]\n{lines}", encoding="utf-8")

    yield made
    plugins.cache_clear()
    for module in modules:
        sys.modules.pop(module, None)


def example(language: str) -> str:
    """Return a block of code of the page."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def density(install: Install) -> None:
    """Install the package of the page."""
    project = tomllib.loads(example("toml"))["project"]
    install(project["name"], example("python"), project["entry-points"]["ctlymph.detectors"], project["version"])


class _Case:
    """Stands for a case of a collection."""

    region = "mediastinum"

    def __init__(self, number: int) -> None:
        self.number = number
        self.name = self.patient = f"case{number}"

    def digest(self) -> str:
        return self.name

    def load(self) -> tuple[DetectionContext, TrueNodes]:
        return scene_with_nodes(self.number)


def test_the_method_of_the_page_is_listed_with_its_package_and_is_trained(density: None, tmp_path: Path) -> None:
    assert list(all_methods()) == [*METHODS, "density"]
    lines = CliRunner().invoke(app, ["models"], catch_exceptions=False).stdout.splitlines()
    assert "density\tto be trained\tBlobs, scored by their density. (lymph-density 0.1)" in lines
    told = json.loads(CliRunner().invoke(app, ["models", "--json"], catch_exceptions=False).stdout)
    assert told["methods"][-1]["package"] == "lymph-density 0.1"
    assert told["methods"][0]["package"] == "ctlymph"
    system = method("density").systems["mediastinum"]
    stage_cache = StageCache(tmp_path / "cache")
    cases: list[Any] = [_Case(number) for number in range(1, 6)]
    models = stage_cache.fit(system, cases[:4])
    (found,) = stage_cache.predict(system.stages, models, cases[4:])
    assert isinstance(found.candidates, Candidates)
    assert ((found.candidates.scores >= 0) & (found.candidates.scores <= 1)).all()
    assert np.isfinite(stage_cache.model(models[-1])["mean"]).all()


def test_a_package_that_cannot_be_imported_is_a_note_and_nothing_else_suffers(density: None, install: Install) -> None:
    install("broken-one", "raise RuntimeError('its fault')", {"it": "broken_one:METHOD"}, "2.0")
    install("empty-one", "METHOD = None", {"it": "empty_one:METHOD"})
    install("old-one", example("python").replace("version: ClassVar[int] = 1", "pass"), {"it": "old_one:METHOD"})
    install("odd-one", example("python").replace("float = 5.0", "object = object()"), {"it": "odd_one:METHOD"})
    install(
        "shy-one",
        example("python").replace("    examples: ClassVar", "    pattern: ClassVar"),
        {"it": "shy_one:METHOD"},
    )
    install("vain-one", example("python").replace("def score", "def predict"), {"it": "vain_one:METHOD"})
    notes = plugins().notes
    assert len(notes) == 6
    assert notes[0] == "broken-one 2.0: its entry it cannot be used: RuntimeError: its fault"
    assert re.match(r"empty-one 0.1: .* gives None, expected a ctlymph.detectors.method.Method", notes[1])
    assert re.match(r"odd-one 0.1: .*Density.min_sd_hu is <object", notes[2])
    assert re.match(r"old-one 0.1: .*Density is no dataclass with a version", notes[3])
    assert re.match(r"shy-one 0.1: .*Density has a method fit, but not both extract and examples", notes[4])
    assert re.match(r"vain-one 0.1: .*Density has no method score, as later stages have", notes[5])
    assert method("density").name == "density"
    said = CliRunner().invoke(app, ["models"], catch_exceptions=False)
    assert said.exit_code == 0
    assert "note: broken-one 2.0: its entry it cannot be used" in said.output
    with pytest.raises(CtlymphError, match=r"no method 'unheard'; choose .*density.*\(broken-one 2.0: its entry"):
        method("unheard")


def test_names_that_are_taken_are_refused(install: Install) -> None:
    source = example("python")
    install("my-blobs", source.replace('name="density"', 'name="blobs"'), {"it": "my_blobs:METHOD"})
    install("first-one", source, {"it": "first_one:METHOD"})
    install("other-one", source, {"it": "other_one:METHOD"})
    assert plugins().notes == (
        "my-blobs 0.1: its method blobs has the name of a method of ctlymph; rename it",
        "other-one 0.1: its method density has the name of a method of first-one 0.1; rename one",
    )
    assert method("blobs") is METHODS["blobs"]
    with pytest.raises(CtlymphError, match="rename one"):
        method("density")


def test_an_entry_may_give_several_methods(install: Install) -> None:
    source = example("python") + "\nfrom dataclasses import replace\nBOTH = (METHOD, replace(METHOD, name='other'))\n"
    install("several-ones", source, {"it": "several_ones:BOTH"})
    assert list(plugins().methods) == ["density", "other"]
    assert plugins().notes == ()


def test_methods_of_this_package_are_found_without_importing_others(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("broken-one", "raise SystemExit", {"it": "broken_one:METHOD"})
    monkeypatch.setattr(registry, "load_plugins", lambda taken: pytest.fail("it looked"))
    assert method("lymphnet").network


def test_the_shipped_model_is_read_though_a_package_is_broken(install: Install, tmp_path: Path) -> None:
    install("broken-one", "raise RuntimeError", {"it": "broken_one:METHOD"})
    script = (
        "import sys; from ctlymph.workflows.detection import detector; detector('lymphnet'); "
        "print('broken_one' in sys.modules)"
    )
    path = [str(tmp_path), *filter(None, sys.path)]
    told = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {path!r}; {script}"], stdout=subprocess.PIPE, check=True
    )
    assert told.stdout.strip() == b"False"
