"""Stages at work on cases, with all that they give kept.

Every scene, observation, model and list of candidates lies under a name that says what it was made from. What is there
is not made again, so that a run that was killed goes on, and a change of one stage leaves what came before it standing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ctlymph.errors import CtlymphError
from ctlymph.io.atomic import new_file
from ctlymph.models import dump_part, load_part
from ctlymph.progress import SILENT, Progress
from ctlymph.systems import NO_CANDIDATES, Arrays, Candidates, Stage
from ctlymph.training.cases import KnownCase, read_scene, write_scene
from ctlymph.training.names import code_of, digest_of

InProcesses = Callable[[int, Callable[..., Any], Sequence[tuple[Any, ...]]], Iterator[Any]]
"""Calls a function with each tuple of arguments, so many at a time."""

INNER_FOLDS = 3
_NOTHING = "nothing"
"""Name of the empty candidates that the first stage is given."""


def one_by_one(jobs: int, function: Callable[..., Any], work: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
    """Call a function with each tuple of arguments, in this process."""
    return (function(*arguments) for arguments in work)


@dataclass(frozen=True)
class Laboratory:
    """Where stages learn and are applied.

    Attributes:
        folder: Where all is kept.
        seed: For whatever is drawn.
        jobs: Cases at a time.
        in_processes: Who works on several at a time.
        progress: Where to show the advance.
    """

    folder: Path
    seed: int = 0
    jobs: int = 1
    in_processes: InProcesses = one_by_one
    progress: Progress = SILENT

    def learn(self, stages: Sequence[Stage], cases: Sequence[KnownCase]) -> tuple[str, ...]:
        """Let the stages of a system learn, one after the other.

        Each but the first learns from what the one before gives for cases that it has not learned from: the cases are
        dealt out to :data:`INNER_FOLDS`, and for each of these the stage learns from the others.

        Returns:
            The name of each stage's model.

        Raises:
            CtlymphError: If there are too few cases, or they teach nothing.
        """
        if len(cases) < INNER_FOLDS:
            raise CtlymphError(f"{len(cases)} cases are too few to learn from; give {INNER_FOLDS} or more")
        given = [_NOTHING] * len(cases)
        models = []
        for number, stage in enumerate(stages):
            observed = self._observed(stage, cases, given)
            models.append(self._model(stage, observed))
            if number < len(stages) - 1:
                held_out = [
                    self._model(stage, [name for n, name in enumerate(observed) if n % INNER_FOLDS != fold])
                    for fold in range(INNER_FOLDS)
                ]
                given = self._applied(stage, [held_out[n % INNER_FOLDS] for n in range(len(cases))], cases, given)
        return tuple(models)

    def apply(self, stages: Sequence[Stage], models: Sequence[str], cases: Sequence[KnownCase]) -> list[Candidates]:
        """Give the candidates of cases, by the models that :meth:`learn` named."""
        given = [_NOTHING] * len(cases)
        for stage, model in zip(stages, models, strict=True):
            given = self._applied(stage, [model] * len(cases), cases, given)
        return [_read_candidates(self.folder, name) for name in given]

    def model(self, name: str) -> dict[str, Any]:
        """Give what a stage has learned, by the name that :meth:`learn` gave."""
        return load_part(_place(self.folder, name, ".skops"))

    def _observed(self, stage: Stage, cases: Sequence[KnownCase], given: Sequence[str]) -> list[str]:
        names = [
            digest_of("observed", *_settings(stage), case.digest(), each)
            for case, each in zip(cases, given, strict=True)
        ]
        work = [
            (self.folder, stage, case, each, name)
            for case, each, name in zip(cases, given, names, strict=True)
            if not _place(self.folder, name, ".npz").exists()
        ]
        self._do(f"{stage.name}: looking", _observe, work)
        return names

    def _model(self, stage: Stage, observed: Sequence[str]) -> str:
        name = digest_of("model", *_settings(stage), self.seed, list(observed))
        path = _place(self.folder, name, ".skops")
        if not path.exists():
            with self.progress.task(f"{stage.name}: learning", 1) as advance:
                seen = [_read_arrays(_place(self.folder, each, ".npz")) for each in observed]
                dump_part(path, stage.learn(seen, self.seed))
                advance(1)
        return name

    def _applied(
        self, stage: Stage, models: Sequence[str], cases: Sequence[KnownCase], given: Sequence[str]
    ) -> list[str]:
        names = [
            digest_of("applied", *_settings(stage), model, case.digest(), each)
            for model, case, each in zip(models, cases, given, strict=True)
        ]
        work = [
            (self.folder, stage, model, case, each, name)
            for model, case, each, name in zip(models, cases, given, names, strict=True)
            if not _place(self.folder, name, ".npz").exists()
        ]
        self._do(f"{stage.name}: finding", _apply, work)
        return names

    def _do(self, what: str, function: Callable[..., None], work: Sequence[tuple[Any, ...]]) -> None:
        if work:
            with self.progress.task(what, len(work)) as advance:
                for _ in self.in_processes(self.jobs, function, work):
                    advance(1)


def _settings(stage: Stage) -> tuple[str, str]:
    """Tell a stage, its settings and its code, from every other."""
    return repr(stage), code_of(type(stage).__module__)


def _observe(folder: Path, stage: Stage, case: KnownCase, given: str, name: str) -> None:
    scene, truth = _scene(folder, case)
    _write_arrays(_place(folder, name, ".npz"), stage.observe(scene, _read_candidates(folder, given), truth))


def _apply(folder: Path, stage: Stage, model: str, case: KnownCase, given: str, name: str) -> None:
    scene, _ = _scene(folder, case)
    part = load_part(_place(folder, model, ".skops"))
    found = stage.apply(part, scene, _read_candidates(folder, given))
    extra = {f"extra_{key}": values for key, values in found.extra.items()}
    arrays = {"points_mm": found.points_mm, "scores": found.scores, "radii_mm": found.radii_mm, **extra}
    _write_arrays(_place(folder, name, ".npz"), arrays)


def _scene(folder: Path, case: KnownCase) -> Any:
    path = _place(folder, digest_of("scene", code_of(type(case).__module__), case.digest()), ".npz")
    if not path.exists():
        with new_file(path, overwrite=True) as staging:
            write_scene(staging, *case.look())
    return read_scene(path)


def _read_candidates(folder: Path, name: str) -> Candidates:
    if name == _NOTHING:
        return NO_CANDIDATES
    arrays = _read_arrays(_place(folder, name, ".npz"))
    extra = {key.removeprefix("extra_"): values for key, values in arrays.items() if key.startswith("extra_")}
    return Candidates(arrays["points_mm"], arrays["scores"], arrays["radii_mm"], extra)


def _place(folder: Path, name: str, suffix: str) -> Path:
    return folder / name[:2] / f"{name}{suffix}"


def _write_arrays(path: Path, arrays: Arrays) -> None:
    with new_file(path, overwrite=True) as staging:
        np.savez(staging, **arrays)  # type: ignore[arg-type]


def _read_arrays(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
