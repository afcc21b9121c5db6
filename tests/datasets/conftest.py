"""Fixtures for the tests of the collection."""

from __future__ import annotations

from pathlib import Path

import pytest

from small_collection import SmallCase, write_small_collection


@pytest.fixture(scope="session")
def small_collection(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, SmallCase]]:
    """The folder of a small collection, as idc-index lays it out, and what its cases hold; not to be written to."""
    folder = tmp_path_factory.mktemp("collection")
    return folder, write_small_collection(folder)
