"""One training step (forward, loss, backward, Adam; float32, one thread) of pynn and PyTorch, in one process and in turn.

    python benchmarks/step.py [--rounds 15] [case ...]

Prints, for each net, the median microseconds a step and the ratio of the medians. PyTorch 2.13 has to be installed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch

import pynn

CASES = {  # layer widths, activation, rows of a batch, steps that one timing takes
    "tiny": ((2, 16, 16, 1), "tanh", 32, 64),
    "small": ((64, 128, 64, 10), "relu", 32, 64),
    "medium": ((784, 256, 128, 10), "relu", 64, 16),
    "large": ((784, 1024, 1024, 10), "gelu", 256, 2),
}
MODULES = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU, "gelu": torch.nn.GELU}
LR = 1e-6  # the weights stay where they are, however many steps are timed


def data(widths: tuple[int, ...], rows: int) -> tuple[np.ndarray, np.ndarray]:
    r = np.random.default_rng(0)
    x = r.standard_normal((rows, widths[0]), dtype=np.float32)
    y = r.integers(0, 2, (rows, 1)).astype(np.float32) if widths[-1] == 1 else r.integers(0, widths[-1], rows)
    return x, y


def pynn_step(widths: tuple[int, ...], activation: str, rows: int, steps: int) -> Callable[[], float]:
    layers: list[pynn.Layer | str] = []
    for i, (a, b) in enumerate(pairwise(widths)):
        layers += [pynn.Linear(a, b, seed=i), activation]
    model = pynn.Sequential(*layers[:-1])
    x, y = data(widths, rows)
    x, y = np.tile(x, (steps, 1)), np.tile(y, (steps, *[1] * (y.ndim - 1)))
    loss = "bce_with_logits" if widths[-1] == 1 else "cross_entropy"
    optimizer = pynn.optim.Adam(lr=LR)

    def run() -> float:
        history = model.fit(x, y, loss=loss, optimizer=optimizer, batch_size=rows, shuffle=True, seed=0, verbose=False)
        return history.history["seconds"][0] / steps

    return run


def torch_step(fused: bool) -> Callable[..., Callable[[], float]]:
    def make(widths: tuple[int, ...], activation: str, rows: int, steps: int) -> Callable[[], float]:
        layers: list[torch.nn.Module] = []
        for a, b in pairwise(widths):
            layers += [torch.nn.Linear(a, b), MODULES[activation]()]
        model = torch.nn.Sequential(*layers[:-1])
        x, y = map(torch.from_numpy, data(widths, rows))
        functional = torch.nn.functional
        loss = functional.binary_cross_entropy_with_logits if widths[-1] == 1 else functional.cross_entropy
        optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=fused)

        def run() -> float:
            start = time.perf_counter()
            for _ in range(steps):
                optimizer.zero_grad()
                loss(model(x), y).backward()
                optimizer.step()
            return (time.perf_counter() - start) / steps

        return run

    return make


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=list(CASES), metavar="case", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    makers = {"pynn": pynn_step, "torch": torch_step(False), "torch fused": torch_step(True)}
    isa = pynn.show_config("dicts")["instruction set"]
    print(f"{isa:8}" + "".join(f"{name:>14}" for name in [*makers, "torch/pynn", "fused/pynn"]))
    for case in arguments.cases:
        runs = {name: make(*CASES[case]) for name, make in makers.items()}
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(arguments.rounds + 1):
            for name, run in runs.items():
                times[name].append(run())
        ours, *peers = (statistics.median(t[1:]) for t in times.values())
        print(f"{case:8}" + "".join(f"{m * 1e6:12.1f}us" for m in (ours, *peers)) + "".join(f"{m / ours:14.1f}" for m in peers))


if __name__ == "__main__":
    main()
