"""What every test may use."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The project's folder of real material; tests that use it pass without it by skipping."""
    if not SHARED.is_dir():
        pytest.skip("no folder of shared material beside the checkout")
    return SHARED
