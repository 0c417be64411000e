"""How many threads: the settings, the environment, fork, and a machine that may use fewer CPUs than it has."""

import os
import subprocess
import sys

import numpy as np
import pytest

import pynn


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120)


def test_settings() -> None:
    before = pynn.get_num_threads()
    with pynn.num_threads(3):
        assert pynn.get_num_threads() == 3
        with pytest.raises(ZeroDivisionError), pynn.num_threads(2):
            raise ZeroDivisionError
        assert pynn.get_num_threads() == 3
    assert pynn.get_num_threads() == before
    pynn.set_num_threads(np.int64(2))
    assert pynn.get_num_threads() == 2
    pynn.set_num_threads(before)


@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (-1, ValueError), (257, ValueError), (10**30, ValueError), (1.5, TypeError),
                                          (True, TypeError), ("2", TypeError)])
def test_what_is_no_number_of_threads(n: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="n: expected"):
        pynn.set_num_threads(n)  # type: ignore[arg-type]


def test_environment() -> None:
    assert run("import pynn; print(pynn.get_num_threads())", PYNN_NUM_THREADS="5").stdout == "5\n"
    for wrong in ("0", "two", "-1", "1.5", "100000", "9" * 30):
        done = run("import pynn", PYNN_NUM_THREADS=wrong)
        assert done.returncode == 1
        assert f"PYNN_NUM_THREADS={wrong}" in done.stderr


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_affinity() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); import pynn; print(pynn.get_num_threads())"
    assert run(code, PYNN_NUM_THREADS="").stdout == "1\n"
