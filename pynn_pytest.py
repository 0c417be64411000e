"""pytest plugin of pynn: seeds, a table of recorded results, and stored baselines.

pytest loads this module in every run of an environment where pynn is installed. It imports pynn and NumPy only when a test uses a
fixture of it, which is why it is not part of the package: importing a module of the package imports the core and NumPy.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pynn._experiments.baseline import Baseline
    from pynn._experiments.record import Experiment

__all__ = ["baseline", "experiment", "seed"]

_RECORD, _BASELINE = "pynn.record", "pynn.baseline"
"""Names of the properties of a report that carry results, under pytest-xdist from a worker to the controller."""
_current: list[int] = []
"""The seed of the running test, if it uses the fixture `seed`."""


# ---- options and markers --------------------------------------------------------------------------------------------
def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pynn", "experiments with pynn")
    group.addoption("--pynn-seeds", type=_count, metavar="N", help="run each test that uses the fixture `seed` with the seeds 0 to N - 1")
    group.addoption("--pynn-json", metavar="FILE", help="write the results recorded by experiment.record to FILE")
    regen = ["--pynn-force-regen"]
    if importlib.util.find_spec("pytest_regressions") is None:  # which has the same option
        regen.append("--force-regen")
    group.addoption(*regen, action="store_true", dest="pynn_force_regen", help="store the values of baseline.check instead of checking")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(text)
    return int(text)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "seeds(n): run the test with the seeds 0 to n - 1, or with each of a list of seeds (pynn)")
    config.addinivalue_line(
        "markers",
        "experiment(name=None, *, mode=None, test_fraction=None, rope=None, alpha=0.05): the group of the test's results, whether "
        "greater ('max') or smaller ('min') values of a quantity are better, and the settings of pynn.lab.analyze (pynn)",
    )
    path = config.getoption("pynn_json")
    if path and not Path(path).absolute().parent.is_dir():
        raise pytest.UsageError(f"--pynn-json: the directory of {path} does not exist")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Collector(config), "pynn-collector")


def _regenerates(config: pytest.Config) -> bool:
    return bool(config.getoption("pynn_force_regen") or config.getoption("force_regen", False))


# ---- seeds ----------------------------------------------------------------------------------------------------------
@pytest.hookimpl(trylast=True)  # so that the seed is the last part of a test's id
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("seeds")
    count = metafunc.config.getoption("pynn_seeds")
    if marker is None and (count is None or "seed" not in metafunc.fixturenames):
        return
    if not _is_ours(metafunc):
        if marker is not None:
            pytest.fail("seeds: the test has a parameter or another fixture named 'seed'; rename it, or remove the marker", pytrace=False)
        return
    seeds = _seeds(marker, count)
    if "seed" not in metafunc.fixturenames:
        metafunc.fixturenames.insert(0, "seed")
    metafunc.parametrize("seed", seeds, indirect=True, ids=[f"seed{n}" for n in seeds])


def pytest_itemcollected(item: pytest.Item) -> None:
    """Seed tests that have the marker but not the fixture."""
    names = getattr(item, "fixturenames", None)
    if names is not None and "seed" not in names and item.get_closest_marker("seeds") is not None:
        names.insert(0, "seed")


def _seeds(marker: pytest.Mark | None, count: int | None) -> list[int]:
    given = marker.args[0] if marker is not None and len(marker.args) == 1 and not marker.kwargs else count if marker is None else None
    if isinstance(given, int) and not isinstance(given, bool) and given > 0:
        return [*range(count or given)]
    seeds = [*given] if isinstance(given, (list, tuple, range)) else []
    if not seeds or any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in seeds) or len({*seeds}) < len(seeds):
        text = f"seeds: expected a number of seeds such as seeds(10), or a list of different seeds, got {marker.args if marker else count}"
        pytest.fail(text, pytrace=False)
    return seeds


def _is_ours(metafunc: pytest.Metafunc) -> bool:
    """Return whether `seed` is the fixture of this module, and not another one or a parameter of the test."""
    for mark in metafunc.definition.iter_markers("parametrize"):
        names = mark.args[0] if mark.args else mark.kwargs.get("argnames", ())
        if "seed" in ([name.strip() for name in names.split(",")] if isinstance(names, str) else names):
            return False
    found = getattr(metafunc, "_arg2fixturedefs", {}).get("seed")
    return not found or getattr(found[-1].func, "__module__", __name__) == __name__


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> Iterator[int]:
    """Seed of the test, given to `pynn.manual_seed`; 0 without the marker `seeds` and without --pynn-seeds."""
    value = int(getattr(request, "param", 0))
    from pynn import _random

    before = _random._source[:]
    _random.manual_seed(value)
    _current.append(value)
    yield value
    _current.pop()
    _random._source[:] = before


def reseed(seed: int) -> None:
    """Seed pynn if it has been imported. pytest-randomly calls this, also between the fixtures and the call of a test."""
    if "pynn" in sys.modules and not _current:
        from pynn import manual_seed

        manual_seed(seed)


# ---- results --------------------------------------------------------------------------------------------------------
def _seed_of(request: pytest.FixtureRequest) -> int | None:
    """Return the seed of a test: the value of the fixture or parameter of that name."""
    value = request.getfixturevalue("seed") if "seed" in request.fixturenames else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _without_seed(item: Any, seed: int | None) -> tuple[str, str]:
    """Return the name of a test with its classes, and the rest of its id without the seed."""
    name = item.nodeid.partition("::")[2]
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return name, ""
    rest: str = callspec.id
    name = name.removesuffix(f"[{rest}]")
    for one in (f"seed{seed}", str(seed)) if "seed" in callspec.params else ():
        if rest == one:
            rest = ""
        elif rest.endswith(f"-{one}") or rest.startswith(f"{one}-"):
            rest = rest.removesuffix(f"-{one}") if rest.endswith(f"-{one}") else rest.removeprefix(f"{one}-")
        else:
            continue
        break
    return name, rest


@pytest.fixture
def experiment(request: pytest.FixtureRequest) -> Experiment:
    """Recorder of the test's results: ``experiment.record(accuracy=0.97)``."""
    from pynn._experiments.record import Experiment

    item = request.node
    seed = _seed_of(request)
    name, rest = _without_seed(item, seed)
    marker = item.get_closest_marker("experiment")
    given = marker.kwargs if marker is not None else {}
    group = marker.args[0] if marker is not None and marker.args else None
    file = item.nodeid.partition("::")[0]
    label = rest if rest and group is None else f"{name}[{rest}]" if rest else name
    return Experiment(group or f"{file}::{name}", label, seed, given, lambda text: item.user_properties.append((_RECORD, text)))


@pytest.fixture
def baseline(request: pytest.FixtureRequest) -> Baseline:
    """Values stored beside the test: ``baseline.check(loss, rtol=1e-5)``."""
    from pynn._experiments.baseline import Baseline

    item = request.node
    seed = _seed_of(request)
    name, rest = _without_seed(item, seed)
    path = item.path.parent / "baselines" / f"{item.path.stem}.json"
    send = (lambda text: item.user_properties.append((_BASELINE, text))) if _regenerates(request.config) else None
    return Baseline(path, f"{name}[{rest}]" if rest else name, seed, send)


class _Collector:
    """Collects results from the reports of tests, in the controller only if there are workers."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.records: dict[str, list[str]] = {}
        self.baselines: list[str] = []
        self.failed: set[str] = set()
        self.written: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.user_properties:
            return
        if report.failed:
            self.failed.add(report.nodeid)
        if report.when == "teardown":
            given = {name: [str(text) for key, text in report.user_properties if key == name] for name in (_RECORD, _BASELINE)}
            if given[_RECORD]:
                self.records[report.nodeid] = given[_RECORD]
            self.baselines += given[_BASELINE]

    def pytest_sessionfinish(self) -> None:
        path = self.config.getoption("pynn_json")
        if path:
            from pynn._experiments.table import write_json

            write_json(path, self.records, self.failed)
        if self.baselines:
            from pynn._experiments.baseline import store

            self.written = [os.path.relpath(file, self.config.invocation_params.dir) for file in store(self.baselines)]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.records:
            from pynn._experiments.table import lines

            terminalreporter.section("experiments")
            for line in lines(self.records, self.failed, terminalreporter._tw.fullwidth):
                terminalreporter.write_line(line)
        if self.baselines:
            terminalreporter.section("baselines")
            terminalreporter.write_line(f"{len(self.baselines)} values stored in {', '.join(self.written)}")
