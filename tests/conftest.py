"""Fixtures of the tests of the binding."""

from collections.abc import Iterator

import pytest

from pynn import *  # noqa: F403  # registers every layer class, which tests are parametrised by
from pynn import _core

ISAS = [name for name, runs in _core.isas().items() if runs]


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test on every instruction set that this machine has."""
    before = _core.isa()
    _core.set_isa(request.param)
    yield request.param
    _core.set_isa(before)
