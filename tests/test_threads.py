"""How many threads: the settings, the environment, fork, and a machine that may use fewer CPUs than it has."""

import concurrent.futures
import multiprocessing
import os
import subprocess
import sys

import numpy as np
import pytest

import pynn
from pynn import _core


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


def train(threads: int, isa: str) -> list[bytes]:
    """Train a net that is large enough to be shared out, and predict; return everything that came of it."""
    before = _core.isa()
    _core.set_isa(isa)
    try:
        with pynn.num_threads(threads):
            rng = np.random.default_rng(0)
            X, y = rng.normal(size=(520, 300)).astype(np.float32), rng.integers(0, 40, 520)
            model = pynn.Sequential(pynn.Linear(300, 400, seed=1), "gelu", pynn.Linear(400, 40, seed=2), pynn.Softmax())
            hist = model.fit(X, y, loss="cross_entropy", epochs=2, batch_size=256, seed=0, validation_data=(X, y)).history
            scores = [repr(hist[name]).encode() for name in ("loss", "accuracy", "val_loss", "val_accuracy")]
            return [*(a.tobytes() for a in model.params.values()), model.predict(X).tobytes(), *scores]
    finally:
        _core.set_isa(before)


def test_the_same_bits_on_any_number_of_threads(isa: str) -> None:
    one = train(1, isa)
    for threads in (2, 7):
        assert train(threads, isa) == one


def test_two_trainings_at_the_same_time() -> None:
    """In two threads of the program, which share the pool: each gives what it gives alone."""
    alone = train(1, _core.isa())
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert all(result == alone for result in pool.map(lambda _: train(2, _core.isa()), range(6)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_trains_too() -> None:
    alone = train(2, _core.isa())
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.starmap(train, [(2, _core.isa())] * 2) == [alone] * 2
