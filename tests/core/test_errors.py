"""What errors say, in a program and on the command line."""

from __future__ import annotations

import ast
import pickle
import re
from pathlib import Path
from string import Formatter

import pytest

import ctlymph
from ctlymph.cli.remedies import OPTIONS, in_options
from ctlymph.core.errors import CtlymphError, Remedy

SOURCE = Path(ctlymph.__file__).parent
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def option_texts(path: Path) -> list[str]:
    """Texts of a module that name an option of a command; a text that is an option itself goes to another program."""
    texts = [node.value for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Constant)]
    return [text for text in texts if isinstance(text, str) and OPTION.search(text) and not OPTION.fullmatch(text)]


def names_in(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


@pytest.mark.parametrize(
    "path", [path for path in SOURCE.rglob("*.py") if "cli" not in path.relative_to(SOURCE).parts], ids=str
)
def test_library_code_names_no_option_of_a_command(path: Path) -> None:
    assert option_texts(path) == []


@pytest.mark.parametrize("remedy", Remedy)
def test_the_command_line_has_its_own_words_for_every_remedy(remedy: Remedy) -> None:
    assert OPTION.search(OPTIONS[remedy])
    values = dict.fromkeys(names_in(OPTIONS[remedy]) | names_in(remedy), "VALUE")
    error = CtlymphError("a.csv is at fault", remedy, **values)
    assert not OPTION.search(str(error))
    assert str(error).startswith("a.csv is at fault; ")
    assert in_options(error) == f"a.csv is at fault; {OPTIONS[remedy].format(**values)}"


def test_an_error_keeps_its_remedy_on_its_way_out_of_a_process_and_with_a_place_in_front() -> None:
    error = CtlymphError("no {CT} here", Remedy.DOWNLOAD_CASE, case="MED_LYMPH_001", kinds="ct")
    for copy in (pickle.loads(pickle.dumps(error)), error.at("data")):
        assert isinstance(copy, CtlymphError)
        assert (copy.remedy, copy.values) == (error.remedy, error.values)
        assert in_options(copy).endswith("collection download FOLDER --cases MED_LYMPH_001 --what ct")
    assert str(error.at("data")) == "data: no {CT} here; download ct of MED_LYMPH_001 first"


def test_an_error_without_a_remedy_is_the_same_for_both() -> None:
    assert in_options(CtlymphError("ct.nii is empty")) == str(CtlymphError("ct.nii is empty")) == "ct.nii is empty"
