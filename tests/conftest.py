"""Fixtures of the Python tests."""

from collections.abc import Iterator

import pytest

from pynn import *  # noqa: F403  # registers all layer classes, over which some tests are parametrized
from pynn import _core

ISAS = [name for name, runs in _core.isas().items() if runs]


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test on every instruction set that this machine supports."""
    before = _core.isa()
    _core.set_isa(request.param)
    yield request.param
    _core.set_isa(before)
