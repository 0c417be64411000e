"""Threads: their number, concurrent use of models, locks and fork."""

import concurrent.futures
import http.server
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from process import run_python

import pynn
from pynn import _core


def test_num_threads_can_be_set_and_restored() -> None:
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
def test_invalid_thread_counts_raise(n: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="n: expected"):
        pynn.set_num_threads(n)  # type: ignore[arg-type]


THREADS = "import pynn; print(pynn.get_num_threads())"


def test_the_environment_sets_the_thread_count() -> None:
    assert run_python(THREADS, PYNN_NUM_THREADS="1", OMP_NUM_THREADS="").stdout == "1\n"
    for wrong in ("0", "two", "-1", "1.5", "100000", "9" * 30):
        done = run_python("import pynn", PYNN_NUM_THREADS=wrong)
        assert done.returncode == 1
        assert f"PYNN_NUM_THREADS={wrong}: expected an integer from 1 to 256" in done.stderr


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2 if hasattr(os, "sched_getaffinity") else True, reason="needs two CPUs")
def test_the_default_thread_count_is_the_smallest_limit() -> None:
    def threads(openmp: str, ours: str = "") -> str:
        return run_python(THREADS, OMP_NUM_THREADS=openmp, PYNN_NUM_THREADS=ours).stdout.strip()

    usable = threads("")
    assert threads("1") == threads(" 1,4") == threads("100", "1") == "1"
    assert threads("100", "200") == usable
    assert [threads(ignored) for ignored in ("0", "-1", "many", "1.5", "")] == [usable] * 5


def test_none_restores_the_default_of_the_environment() -> None:
    code = """
        import os, pynn
        pynn.set_num_threads(7)
        pynn.set_num_threads(None)
        print(pynn.get_num_threads())
        os.environ["PYNN_NUM_THREADS"] = "two"
        try: pynn.set_num_threads(None)
        except ValueError as error: print(error)
        print(pynn.get_num_threads())
    """
    out = run_python(code, OMP_NUM_THREADS="1", PYNN_NUM_THREADS="").stdout
    assert out == "1\nPYNN_NUM_THREADS=two: expected an integer from 1 to 256\n1\n"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs sched_setaffinity")
def test_the_default_thread_count_follows_cpu_affinity() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); " + THREADS
    assert run_python(code, PYNN_NUM_THREADS="", OMP_NUM_THREADS="").stdout == "1\n"


def test_num_threads_within_a_callback_of_parallel_runs_restores_the_number_of_the_process() -> None:
    """While runs train in parallel, each has one thread, which is not the number to restore."""

    def call(logs: object) -> None:
        with pynn.num_threads(2):
            seen.append(pynn.get_num_threads())

    seen: list[int] = []
    nets = [pynn.Sequential(pynn.Linear(4, 3, seed=k)) for k in range(3)]
    runs = [pynn.Run(net, callbacks=[pynn.callbacks.Callback()], epochs=2, seed=0) for net in nets]
    for run in runs:
        run.callbacks[0].on_epoch_end = lambda *args: call(None)
    with pynn.num_threads(3):
        pynn.fit_many(runs, DATA, CLASSES, loss="cross_entropy", n_jobs=2)
        assert pynn.get_num_threads() == 3
    assert len(seen) == 6


# ---- threadpoolctl and joblib ----------------------------------------------------------------------------------------

SHOW = """
with pynn.num_threads(5):
    with threadpoolctl.threadpool_limits(1):
        print(pynn.get_num_threads(), [one["num_threads"] for one in threadpoolctl.threadpool_info() if one["user_api"] == "pynn"])
    with threadpoolctl.threadpool_limits(limits=3, user_api="pynn"):
        print(pynn.get_num_threads())
    with threadpoolctl.threadpool_limits(limits={"pynn": 1000}):
        print(pynn.get_num_threads())
    print(pynn.get_num_threads())
[one] = [one for one in threadpoolctl.threadpool_info() if one["user_api"] == "pynn"]
print(one["version"] == pynn.__version__, one["prefix"], one["filepath"] == pynn._core.__file__)
"""
ORDERS = {
    "before pynn": "import threadpoolctl, pynn",
    "after pynn": "import pynn, threadpoolctl",
    "first use before pynn": "import threadpoolctl; threadpoolctl.threadpool_info(); import pynn",
    "in use before pynn": "import threadpoolctl, contextlib\nwith threadpoolctl.threadpool_limits(1): import pynn",
    "reloaded": "import pynn, threadpoolctl, importlib; importlib.reload(threadpoolctl)",
    "imported again": "import pynn, threadpoolctl, sys; del sys.modules['threadpoolctl']; import threadpoolctl",
    "pynn imported again": "import pynn, sys\nfor name in [*sys.modules]:\n  if name.startswith('pynn') and name != 'pynn._core': "
    "del sys.modules[name]\nimport pynn, threadpoolctl",
}


@pytest.mark.parametrize("order", ORDERS)
def test_threadpoolctl_limits_threads(order: str) -> None:
    pytest.importorskip("threadpoolctl", minversion="3.2")
    done = run_python(f"{ORDERS[order]}\n{SHOW}")
    assert done.stdout.splitlines() == ["1 [1]", "3", "256", "5", "True _core True"], done.stderr


def test_threadpoolctl_is_not_imported_and_keeps_its_loader() -> None:
    pytest.importorskip("threadpoolctl", minversion="3.2")
    code = """
        import sys, pynn
        assert "threadpoolctl" not in sys.modules
        import inspect, threadpoolctl
        assert threadpoolctl.__loader__ is threadpoolctl.__spec__.loader
        print(type(threadpoolctl.__loader__).__name__, "def register" in inspect.getsource(threadpoolctl))
    """
    assert run_python(code).stdout == "SourceFileLoader True\n"


@pytest.mark.parametrize("text", ["", "def register(one): raise ImportError('broken')", "1 / 0"])
def test_other_modules_called_threadpoolctl(text: str, tmp_path: Path) -> None:
    """Versions before 3.2 have no `register`; errors of the module are those of its import."""
    (tmp_path / "threadpoolctl.py").write_text(text and f"class LibController: pass\n{text}")
    code = """
        import pynn
        try: import threadpoolctl
        except Exception as error: print(type(error).__name__)
        print(pynn.relu(1.0))
    """
    done = run_python(code, PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    assert done.stdout.split() == [*{"": [], "1 / 0": ["ZeroDivisionError"]}.get(text, ["ImportError"]), "1.0"]


def test_a_missing_threadpoolctl_is_an_ordinary_import_error() -> None:
    code = """
        import sys, pynn
        sys.path[:] = []
        sys.meta_path[:] = [finder for finder in sys.meta_path if "Editable" not in getattr(finder, "__name__", "")]
        try: import threadpoolctl
        except ModuleNotFoundError as error: print(error)
    """
    assert run_python(code).stdout == "No module named 'threadpoolctl'\n"


WORKERS = """
import os
import joblib

def threads(i):
    import pynn
    return pynn.get_num_threads()

def nested(i):
    return joblib.Parallel(n_jobs=2)(joblib.delayed(threads)(j) for j in range(2))

if __name__ == "__main__":
    for n in (2, 1):
        with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=n):
            print(*joblib.Parallel()(joblib.delayed(threads)(i) for i in range(4)))
    cpus = joblib.cpu_count()
    print(set(joblib.Parallel(n_jobs=cpus, backend="loky")(joblib.delayed(threads)(i) for i in range(cpus))))
    print(joblib.Parallel(n_jobs=2, backend="loky")(joblib.delayed(nested)(i) for i in range(2)) == [[max(cpus // 2, 1)] * 2] * 2)
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2 if hasattr(os, "sched_getaffinity") else True, reason="needs two CPUs")
def test_processes_of_joblib_share_the_cpus(tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    script = tmp_path / "workers.py"
    script.write_text(WORKERS)
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines() == ["2 2 2 2", "1 1 1 1", "{1}", "True"], done.stderr


def test_threads_of_joblib_have_the_limit_of_threadpoolctl() -> None:
    pytest.importorskip("joblib")
    code = """
        import joblib, pynn, threadpoolctl
        def threads(i): return pynn.get_num_threads()
        with pynn.num_threads(4), threadpoolctl.threadpool_limits(1):
            print(*joblib.Parallel(n_jobs=2, backend="threading")(joblib.delayed(threads)(i) for i in range(4)))
    """
    assert run_python(code).stdout == "1 1 1 1\n"


def train(threads: int, isa: str) -> list[bytes]:
    """Train a net that is large enough for several threads, and predict; return weights, predictions and scores."""
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


def test_results_do_not_depend_on_the_thread_count(isa: str) -> None:
    one = train(1, isa)
    for threads in (2, 7):
        assert train(threads, isa) == one


def test_concurrent_training_matches_training_alone() -> None:
    """Python threads share the pool; each gets the result of training alone."""
    alone = train(1, _core.isa())
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert all(result == alone for result in pool.map(lambda _: train(2, _core.isa()), range(6)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_trains_alike() -> None:
    alone = train(2, _core.isa())
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.starmap(train, [(2, _core.isa())] * 2) == [alone] * 2


# ---- one model, several threads --------------------------------------------------------------------------------------


def classifier(width: int = 64, **more: object) -> pynn.Sequential:
    """Return a fitted net with running statistics, which supports all calls that a server makes."""
    net = pynn.Sequential(pynn.Linear(4, width, seed=0), pynn.BatchNorm1d(width), "relu", pynn.Linear(width, 3, seed=1))
    net.fit(DATA[:100], CLASSES[:100], loss="cross_entropy", seed=0, **more)
    return net


DATA = np.random.default_rng(1).normal(size=(3000, 4)).astype(np.float32)
CLASSES = np.random.default_rng(2).integers(0, 3, 3000)


def in_threads(n: int, work: Callable[[int], object]) -> list[object]:
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        return [*pool.map(work, range(8 * n))]


class Cube(pynn.Layer):
    """A layer that keeps its input in an attribute."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.x = x
        time.sleep(0.0005)  # lets another thread run
        return self.x**3

    def backward(self, gy: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return gy * 3 * self.x**2


CALLS: dict[str, Callable[[pynn.Sequential, np.ndarray], object]] = {
    "predict": lambda net, x: net.predict(x),
    "predict_proba": lambda net, x: net.predict_proba(x),
    "predict_class": lambda net, x: net.predict_class(x),
    "evaluate": lambda net, x: net.evaluate(x, CLASSES[: len(x)]),
}


@pytest.mark.parametrize("rows", [1, 7, 3000])
@pytest.mark.parametrize("call", CALLS)
def test_concurrent_predictions_match_sequential_ones(call: str, rows: int) -> None:
    net = classifier()
    expected = [CALLS[call](net, DATA[i : i + rows]) for i in range(8)]
    for i, got in enumerate(in_threads(6, lambda i: CALLS[call](net, DATA[i % 8 : i % 8 + rows]))):
        np.testing.assert_equal(got, expected[i % 8])


def test_concurrent_predictions_with_python_layers_match_sequential_ones() -> None:
    net = pynn.Sequential(pynn.Linear(4, 8, seed=0), Cube(), pynn.Linear(8, 2, seed=1))
    expected = [net.predict(DATA[i : i + 5]) for i in range(8)]
    for i, got in enumerate(in_threads(6, lambda i: net.predict(DATA[i % 8 : i % 8 + 5]))):
        np.testing.assert_array_equal(got, expected[i % 8])


def test_a_threaded_http_server_answers_every_request() -> None:
    net = classifier(256)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = repr(net.predict(DATA[: int(self.path[1:])]).sum().item()).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 200

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:

            def status(i: int) -> int:
                with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{1 + i % 3 * 1000}", timeout=60) as answer:
                    return int(answer.status)

            assert in_threads(25, status) == [200] * 200
        finally:
            server.shutdown()


def two_equal_halves() -> tuple[pynn.Sequential, np.ndarray]:
    """Return a net whose two halves are bit-identical after every complete step, and its targets."""
    halves = [pynn.Sequential(pynn.Linear(4, 300, seed=0), "tanh", pynn.Linear(300, 2, seed=1)) for _ in range(2)]
    half = np.random.default_rng(3).normal(size=(3000, 2)).astype(np.float32)
    return pynn.Sequential(pynn.Concat(*halves)), np.concatenate((half, half), axis=1)


class Background:
    """Run ``work`` repeatedly in a thread until the block ends, and raise its exception, if any."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.work, self.done, self.error = work, threading.Event(), None
        self.began = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        try:
            while not self.done.is_set():
                self.began.set()
                self.work()
        except BaseException as error:
            self.error = error
            self.began.set()

    def __enter__(self) -> "Background":
        self.thread.start()
        self.began.wait()
        return self

    def __exit__(self, *exception: object) -> None:
        self.done.set()
        self.thread.join()
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("rows", [1, 600])
@pytest.mark.parametrize("how", ["fit", "train_on_batch", "manual loop", "load_state_dict"])
def test_predictions_during_training_never_see_a_partial_step(how: str, rows: int) -> None:
    net, target = two_equal_halves()
    opt, loss = pynn.optim.Adam(net.parameters()), pynn.losses.MSELoss()
    other = {name: a + 1 for name, a in net.state_dict().items()}

    def step() -> None:
        if how == "fit":
            net.fit(DATA, target, loss="mse", optimizer=opt, epochs=1, seed=0)
        elif how == "train_on_batch":
            net.train_on_batch(DATA[:50], target[:50], loss="mse", optimizer=opt)
        elif how == "load_state_dict":
            net.load_state_dict(other)
            other.update({name: a + 1 for name, a in other.items()})
        else:
            loss(net(DATA[:50]), target[:50])
            opt.zero_grad()
            net.backward(loss.backward())
            opt.step()

    with Background(step):
        for _ in range(200):
            y = net.predict(DATA[:rows])
            np.testing.assert_array_equal(y[:, :2], y[:, 2:])
        time.sleep(0.05)


def test_short_predictions_never_see_a_partial_optimizer_step() -> None:
    """A short prediction keeps the GIL. It must not run after a step releases the GIL but before it holds its lock."""
    net, target = two_equal_halves()
    opt, loss = pynn.optim.Adam(net.parameters()), pynn.losses.MSELoss()
    loss(net(DATA[:50]), target[:50])
    net.backward(loss.backward())
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with Background(opt.step):
            torn = sum(not np.array_equal(y[:, :2], y[:, 2:]) for y in (net.predict(DATA[:1]) for _ in range(20000)))
    finally:
        sys.setswitchinterval(interval)
    assert torn == 0


@pytest.mark.parametrize("size", [3, 3000])
@pytest.mark.parametrize("call", ["net(x)", "net[0](x)", "train_on_batch", "fit", "step", "net.backward"])
def test_conflicting_calls_during_training_raise(call: str, size: int) -> None:
    net = classifier(512)
    x, opt = DATA[:size], pynn.optim.SGD(net.parameters(), lr=0.1)
    y = net(x)
    work: dict[str, Callable[[], object]] = {
        "net(x)": lambda: net(x),
        "net[0](x)": lambda: net[0](x),
        "train_on_batch": lambda: net.train_on_batch(x, CLASSES[:size]),
        "fit": lambda: net.fit(x, CLASSES[:size], loss="cross_entropy"),
        "step": opt.step,
        "net.backward": lambda: net.backward(y),
    }
    in_epoch, go_on = threading.Event(), threading.Event()

    def wait(epoch: int, logs: dict[str, float]) -> None:
        in_epoch.set()
        go_on.wait(60)

    training = threading.Thread(target=lambda: net.fit(DATA, CLASSES, loss="cross_entropy", seed=0, callbacks=[wait]))
    training.start()
    try:
        assert in_epoch.wait(60)
        with pytest.raises(RuntimeError, match=r"another thread.*copy\.deepcopy|parameters have changed"):
            work[call]()
        assert net.predict(x).shape == (size, 3)
    finally:
        go_on.set()
        training.join()


@pytest.mark.parametrize("frozen", [False, True])
def test_nets_with_a_shared_layer_cannot_train_concurrently(frozen: bool) -> None:
    """Unless the shared layer is frozen, so that training does not change it."""
    body = pynn.Sequential(pynn.Linear(4, 16, seed=0), "relu")
    nets = [pynn.Sequential(body, pynn.Linear(16, 3, seed=1)) for _ in range(2)]
    if frozen:
        body.freeze()
    found: list[BaseException | None] = []

    def other(epoch: int, logs: dict[str, float]) -> None:
        def train() -> None:
            try:
                nets[1].fit(DATA, CLASSES, loss="cross_entropy", seed=0)
                found.append(None)
            except RuntimeError as error:
                found.append(error)

        thread = threading.Thread(target=train)
        thread.start()
        thread.join()

    nets[0].fit(DATA, CLASSES, loss="cross_entropy", seed=0, callbacks=[other])
    assert (found == [None]) if frozen else ("another thread" in str(found[0]))
    nets[1].fit(DATA, CLASSES, loss="cross_entropy", seed=0)


@pytest.mark.parametrize("make", [lambda: pynn.Linear(4, 3, seed=0), lambda: pynn.Sequential(pynn.Linear(4, 3, seed=0)), Cube])
def test_backward_of_another_threads_call_raises(make: Callable[[], pynn.Layer]) -> None:
    layer = make()
    y = layer(DATA[:5])
    in_thread = threading.Thread(target=lambda: layer(DATA[5:10]))
    in_thread.start()
    in_thread.join()
    with pytest.raises(RuntimeError, match="another thread"):
        layer.backward(y)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_during_training_uses_its_copy() -> None:
    """The child must not wait for locks that other threads of the parent held at the fork."""
    net = classifier(512)
    with Background(lambda: net.fit(DATA, CLASSES, loss="cross_entropy", seed=0)), Background(lambda: net.predict(DATA)):
        for _ in range(10):
            child = os.fork()
            if child == 0:
                try:
                    signal.alarm(60)
                    assert net.predict(DATA[:5]).shape == (5, 3)
                    assert net.predict(DATA).shape == (3000, 3)
                    net.backward(net(DATA[:5]))
                    net.fit(DATA[:100], CLASSES[:100], loss="cross_entropy")
                    os._exit(0)
                finally:
                    os._exit(1)
            assert os.waitpid(child, 0)[1] == 0


def test_ctrl_c_interrupts_waiting_for_a_lock() -> None:
    """An assignment waits for a lock that another thread holds."""
    code = """
import _thread, threading, time, numpy as np, pynn
from pynn import _core
p = pynn.Parameter(np.zeros(3)); other = pynn.Parameter(np.zeros(3))
held, done = threading.Event(), threading.Event()
def hold():
    with _core.Writing([p._gate]):
        held.set(); done.wait(60)
threading.Thread(target=hold).start(); held.wait()
threading.Timer(0.3, _thread.interrupt_main).start()
start = time.perf_counter()
try:
    p.data = np.ones(3)
except KeyboardInterrupt:
    print("stopped", time.perf_counter() - start < 5)
done.set()
"""
    assert run_python(code).stdout == "stopped True\n"


def test_a_layer_cannot_train_the_model_that_calls_it() -> None:
    class Trains(pynn.Layer):
        def forward(self, x: np.ndarray) -> np.ndarray:
            if self.training and self.ready:
                net.train_on_batch(DATA[:5], CLASSES[:5], loss="cross_entropy")
            return x

        def backward(self, gy: np.ndarray) -> np.ndarray:  # type: ignore[override]
            return gy

    layer = Trains()
    layer.ready = False
    net = pynn.Sequential(pynn.Linear(4, 3, seed=0), layer)
    net.predict(DATA[:5])
    layer.ready = True
    with pytest.raises(RuntimeError, match=r"cannot train the model that calls it|this model is being trained by fit"):
        net.fit(DATA[:10], CLASSES[:10], loss="cross_entropy", epochs=1)
    layer.ready = False
    net.fit(DATA[:10], CLASSES[:10], loss="cross_entropy", epochs=1)


def test_gates_detect_possible_deadlocks() -> None:
    """Gates that were locked together act as one. A thread that holds a gate raises instead of waiting for another."""
    a, b, c = _core.Gate(), _core.Gate(), _core.Gate()
    before = a.version
    with _core.Writing([a, b]), _core.Writing([b]), _core.Writing([]):
        pass
    assert a.version == before + 1
    assert b.version == before + 2
    with concurrent.futures.ThreadPoolExecutor(1) as thread, _core.Writing([c]):
        writing = _core.Writing([a])
        thread.submit(writing.__enter__).result()
        with pytest.raises(RuntimeError, match="could deadlock"):
            _core.Writing([b]).__enter__()
        thread.submit(writing.__exit__).result()
        _core.Writing([b]).__enter__()
    for wrong in ([1], [None], 3):
        with pytest.raises(TypeError):
            _core.Writing(wrong)
        with pytest.raises(TypeError):
            _core.Claim(wrong)
