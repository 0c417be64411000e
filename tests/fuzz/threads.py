"""Threads under the thread sanitizer: several threads train, call and predict with an extension that is built with it.

Data races in the extension's code are faults. Python and NumPy are not instrumented, but the sanitizer still sees their synchronization,
which uses locks of the C library.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

TOP = Path(__file__).parents[2]
# The built extension is reused for the next seed of the same process.
BUILT: dict[str, tuple[tempfile.TemporaryDirectory[str], dict[str, str]]] = {}

WORK = """
import random, sys, threading
import numpy as np, pynn
pynn.set_num_threads(3)

r, rng = random.Random(int(sys.argv[1])), np.random.default_rng(int(sys.argv[1]))
X, Y, images = rng.standard_normal((96, 6)), rng.integers(0, 3, 96), rng.standard_normal((8, 2, 8, 8))
net = lambda: pynn.Sequential(pynn.Linear(6, 16), "gelu", pynn.Dropout(0.2), pynn.LayerNorm(16), pynn.Linear(16, 3))
def pictures():
    layers = [pynn.Conv2d(2, 8, 3, padding=1), "relu", pynn.MaxPool2d(2), pynn.BatchNorm2d(8), pynn.Flatten(), pynn.Linear(128, 3)]
    return pynn.Sequential(*layers)
shared, shared_pictures = net(), pictures()
shared.predict(X)
# more than 1,000 parameters, so that a step releases the GIL; a prediction of one row keeps it
stepped = pynn.Sequential(pynn.Linear(6, 300), "tanh", pynn.Linear(300, 3))
stepped.zero_grad()
optimizer = pynn.optim.SGD(stepped.parameters(), lr=0.1)
options = {"loss": "cross_entropy", "verbose": False}

def eager():
    model = net()
    loss = pynn.losses.get("cross_entropy")
    opt = pynn.optim.Adam(model.parameters())
    for _ in range(3):
        loss(model(X), Y)
        model.backward(loss.backward())
        opt.step()

def tolerant(call):
    # calls of one net in several threads succeed, or raise a documented error
    def run():
        try: call()
        except (RuntimeError, ValueError) as error: assert str(error)
    return run

CALLS = [
    eager, lambda: net().fit(X, Y, epochs=2, **options), lambda: pictures().fit(images, Y[:8], batch_size=4, **options),
    lambda: pynn.softmax(pynn.gelu(X)), lambda: pynn.set_num_threads(r.choice([1, 2, 3])),
    lambda: net().health(X, Y, loss="cross_entropy"),
    lambda: net().fit(X, np.eye(3)[Y], loss="mse", optimizer="lbfgs", verbose=False),
    tolerant(lambda: shared.predict(X, batch_size=16)), tolerant(lambda: shared_pictures.predict(images, batch_size=2)),
    tolerant(lambda: shared.fit(X, Y, **options)), tolerant(lambda: shared(X)),
    tolerant(lambda: shared.evaluate(X, Y, loss="cross_entropy")),
    tolerant(lambda: [optimizer.step() for _ in range(200)]), lambda: [stepped.predict(X[:1]) for _ in range(400)],
]
done, wrong = [], []
def work(calls):
    try:
        for call in calls: call()
        done.append(len(calls))
    except BaseException as error:
        wrong.append(repr(error))
for _ in range(4):
    threads = [threading.Thread(target=work, args=([r.choice(CALLS) for _ in range(6)],)) for _ in range(4)]
    for t in threads: t.start()
    for t in threads: t.join()
assert not wrong, wrong
print(sum(done))
"""


def built() -> dict[str, str]:
    """Build the extension with the thread sanitizer in a copy of the sources, and return the environment in which it runs."""
    if "environment" not in BUILT:
        compiler = shutil.which("gcc")
        if compiler is None:
            raise RuntimeError("threads: needs gcc")
        folder = tempfile.TemporaryDirectory()
        for name in ("csrc", "pynn", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
            source = TOP / name
            ignore = shutil.ignore_patterns("*.so", "__pycache__")
            if source.is_dir():
                shutil.copytree(source, Path(folder.name) / name, ignore=ignore)
            else:
                shutil.copy(source, folder.name)
        flags = {"CC": os.environ.get("CC", compiler), "CFLAGS": "-O1 -g1 -fsanitize=thread", "LDFLAGS": "-fsanitize=thread"}
        command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
        subprocess.run(command, cwd=folder.name, check=True, env=os.environ | {"PYNN_BUILD_ISA": "base"} | flags)
        preload = subprocess.run([compiler, "-print-file-name=libtsan.so"], capture_output=True, text=True, check=True).stdout.strip()
        options = "exitcode=66 report_thread_leaks=0 report_signal_unsafe=0 history_size=4"
        environment = {"LD_PRELOAD": preload, "TSAN_OPTIONS": options, "PYTHONPATH": folder.name}
        BUILT["environment"] = folder, environment
    return BUILT["environment"][1]


def run(seed: int, done: Counter[str]) -> None:
    """Run four threads, four times, in a separate process."""
    environment = os.environ | built()
    ended = subprocess.run([sys.executable, "-c", WORK, str(seed)], env=environment, cwd="/", capture_output=True, text=True, timeout=900)
    assert ended.returncode == 0, f"threads: exit status {ended.returncode}\n{ended.stdout[-500:]}\n{ended.stderr[:6000]}"
    assert "WARNING: ThreadSanitizer" not in ended.stderr, ended.stderr[:6000]
    done["calls in threads"] += int(ended.stdout)
