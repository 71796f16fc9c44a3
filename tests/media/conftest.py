"""Films made on the spot, for the tests of this folder."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _load(name: str) -> ModuleType:
    # test folders are not packages, so a module beside a test is loaded by its path
    specification = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def films() -> ModuleType:
    """The module film_factory: make_film, make_frames, make_info, pattern, png."""
    return _load("film_factory")
