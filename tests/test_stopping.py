"""A signal stops long calls of any function in the core."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")

# Each case defines `call`, which would take seconds without the signal.
# ruff: noqa: E501
CASES = {
    "matrix product": "x, layer = np.zeros((9000, 5000), 'f4'), pynn.Linear(5000, 5000, seed=0); call = lambda: layer(x)",
    "backward of a product": "layer = pynn.Linear(4000, 4000, seed=0); y = layer(np.zeros((5000, 4000), 'f4')); call = lambda: layer.backward(y)",
    "one image": "x, layer = np.zeros((1, 64, 500, 500), 'f4'), pynn.Conv2d(64, 64, 9, seed=0); call = lambda: layer(x)",
    "backward of one image": "layer = pynn.Conv2d(64, 64, 9, seed=0); y = layer(np.zeros((1, 64, 300, 300), 'f4')); call = lambda: layer.backward(y)",
    "few channels": "x, layer = np.zeros((1, 1, 2500, 2500), 'f4'), pynn.Conv2d(1, 2, 63, seed=0); call = lambda: layer(x)",
    "depthwise": "x, layer = np.zeros((1, 128, 500, 500), 'f4'), pynn.Conv2d(128, 128, 31, groups=128, seed=0); call = lambda: layer(x)",
    "predict": "x, net = np.zeros((4, 64, 300, 300), 'f4'), pynn.Sequential(pynn.Conv2d(64, 64, 9, seed=0)); call = lambda: net.predict(x)",
    "fit": "net = pynn.Sequential(pynn.Linear(5000, 5000, seed=0), pynn.Linear(5000, 1, seed=1)); x, y = np.zeros((7000, 5000), 'f4'), np.zeros((7000, 1)); "
    "call = lambda: net.fit(x, y, loss='mse', optimizer='sgd', batch_size=9000)",
    "train_on_batch": "net = pynn.Sequential(pynn.Linear(5000, 5000, seed=0), pynn.Linear(5000, 1, seed=1)); x, y = np.zeros((7000, 5000), 'f4'), np.zeros((7000, 1)); "
    "call = lambda: net.train_on_batch(x, y, loss='mse', optimizer='sgd')",
    "Levenberg-Marquardt": "net = pynn.Sequential(pynn.Linear(20, 90, seed=0), pynn.Tanh(), pynn.Linear(90, 1, seed=1)); rng = np.random.default_rng(0); "
    "x, y = rng.normal(size=(9000, 20)), rng.normal(size=(9000, 1)); call = lambda: net.fit(x, y, loss='mse', optimizer='lm', batch_size=9000)",
    "L-BFGS": "net = pynn.Sequential(pynn.Linear(3000, 3000, seed=0), pynn.Tanh(), pynn.Linear(3000, 1, seed=1)); rng = np.random.default_rng(0); "
    "x, y = rng.normal(size=(3000, 3000)), rng.normal(size=(3000, 1)); call = lambda: net.fit(x, y, loss='mse', optimizer='lbfgs', batch_size=3000)",
    "CTC": "loss, scores, n = pynn.CTCLoss(), np.full((9000, 2, 30), -3.4), np.array([3000, 3000]); labels = np.ones((2, 3000), int); "
    "labels[:, ::2] = 2; call = lambda: loss(scores, labels, np.array([9000, 9000]), n)",
    "a large layer": "call = lambda: pynn.Linear(40000, 40000, seed=0)",
    "a large table": "call = lambda: pynn.Embedding(8_000_000, 64, seed=0)",
    "initial values": "a = np.empty(400_000_000, 'f4'); call = lambda: pynn.init.normal_(a, seed=0)",
    "activation": "x = np.full(40_000_000, 0.3); y = np.empty_like(x); call = lambda: [pynn.gelu(x, out=y) for _ in range(40)]",
    "activation of integers": "x = np.full(600_000_000, 3, 'i1'); call = lambda: pynn.mish(x, dtype='f4')",
    "bags": "x, layer = np.zeros((2000, 20000), 'i1'), pynn.EmbeddingBag(9, 128, mode='max', seed=0); call = lambda: layer(x)",
    "targets before fit": "x, net = np.zeros((80_000_000, 1), 'f4'), pynn.Sequential(pynn.Linear(1, 1, seed=0)); "
    "call = lambda: net.fit(x, x, loss='mse', optimizer='sgd', batch_size=1000)",
    "pooling": "x, layer = np.ones((1, 16, 600, 600), 'f4'), pynn.AvgPool2d(301, 1); call = lambda: layer(x)",
}  # fmt: skip

SCRIPT = """
import signal, time
import numpy as np, pynn
{case}
def interrupt(*_):
    raise KeyboardInterrupt
signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 0.3)
began = time.perf_counter()
try:
    call()
except KeyboardInterrupt:
    print(time.perf_counter() - began - 0.3)
"""


@pytest.mark.parametrize("case", CASES)
def test_a_signal_stops_long_calls(case: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", SCRIPT.format(case=CASES[case])], capture_output=True, text=True, env=env, timeout=120)
    assert done.stderr == ""
    assert done.stdout, "the call ended before the signal"
    assert float(done.stdout) < 1.5, done.stdout  # about 0.05 on an idle machine


def test_an_interrupted_fit_leaves_complete_steps() -> None:
    script = """
import signal
import numpy as np, pynn
def interrupt(*_):
    raise KeyboardInterrupt
signal.signal(signal.SIGALRM, interrupt)
net = pynn.Sequential(pynn.Linear(2000, 2000, seed=0), pynn.ReLU(), pynn.Linear(2000, 1, seed=1))
x, y = np.ones((2000, 2000), "f4"), np.ones((2000, 1), "f4")
signal.setitimer(signal.ITIMER_REAL, 0.3)
optimizer = pynn.optim.SGD(net.parameters(), lr=1e-6)
try:
    net.fit(x, y, loss="mse", optimizer=optimizer, batch_size=2000, epochs=1000)
except KeyboardInterrupt:
    pass
again = pynn.Sequential(pynn.Linear(2000, 2000, seed=0), pynn.ReLU(), pynn.Linear(2000, 1, seed=1))
optimizer, steps = pynn.optim.SGD(again.parameters(), lr=1e-6), 0
while not all((a.data == b.data).all() for a, b in zip(net.parameters(), again.parameters(), strict=True)) and steps < 200:
    again.fit(x, y, loss="mse", optimizer=optimizer, batch_size=2000)
    steps += 1
print(steps < 200)
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, timeout=240)
    assert (done.stdout, done.stderr) == ("True\n", "")
