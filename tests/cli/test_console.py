"""Tables on terminals of any width, with texts of any kind."""

from __future__ import annotations

import sys

import pytest

from ctlymph.cli.console import show_table


def table_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show_table("3 nodes of [/odd] \x1b[31m[bold]", ("node", "volume mm³"), [("1", "1234567.8"), ("[/2]", "-0.5")])
    return capsys.readouterr().out


def test_a_table_is_drawn_and_what_looks_like_markup_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = table_on_a_terminal(monkeypatch, capsys, 80)
    assert "[/odd]" in said
    assert "[31m[bold]" in said
    assert "\x1b[31m" not in said
    assert "│ [/2] │" in said


def test_a_narrow_terminal_gets_every_digit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = table_on_a_terminal(monkeypatch, capsys, 12)
    assert said == "node\tvolume mm³\n1\t1234567.8\n[/2]\t-0.5\n"
