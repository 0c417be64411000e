"""PyTorch: eager with default and fused Adam, and a compiled step; activations of aten, into an existing array where supported."""

from __future__ import annotations

import inspect
import multiprocessing
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from typing import Any

import torch
from harness import Run, repeat
from nets import LR, ConvNet, Net
from numpy.typing import NDArray

VERSION = torch.__version__
IMPORT, DISTRIBUTION = "import torch", "torch"
MODULES = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU, "gelu": torch.nn.GELU}
aten, functional = torch.ops.aten, torch.nn.functional
set_threads = torch.set_num_threads

# name: forward into o; derivative (times g) into o; derivative (times g) into a new tensor. y is the output. None: aten lacks the kernel.
Kernel = Callable[[Any, Any, Any, Any], Any]
KERNELS: dict[str, tuple[Kernel, Kernel | None, Kernel]] = {
    "relu": (
        lambda x, y, g, o: torch.clamp_min(x, 0, out=o),
        lambda x, y, g, o: aten.threshold_backward.grad_input(g, x, 0, grad_input=o),
        lambda x, y, g, o: aten.threshold_backward(g, x, 0),
    ),
    "leaky_relu": (
        lambda x, y, g, o: aten.leaky_relu.out(x, 0.01, out=o),
        lambda x, y, g, o: aten.leaky_relu_backward.grad_input(g, x, 0.01, False, grad_input=o),
        lambda x, y, g, o: aten.leaky_relu_backward(g, x, 0.01, False),
    ),
    "sigmoid": (
        lambda x, y, g, o: torch.sigmoid(x, out=o),
        lambda x, y, g, o: aten.sigmoid_backward.grad_input(g, y, grad_input=o),
        lambda x, y, g, o: aten.sigmoid_backward(g, y),
    ),
    "tanh": (
        lambda x, y, g, o: torch.tanh(x, out=o),
        lambda x, y, g, o: aten.tanh_backward.grad_input(g, y, grad_input=o),
        lambda x, y, g, o: aten.tanh_backward(g, y),
    ),
    "gelu": (
        lambda x, y, g, o: aten.gelu.out(x, out=o),
        lambda x, y, g, o: aten.gelu_backward.grad_input(g, x, grad_input=o),
        lambda x, y, g, o: aten.gelu_backward(g, x),
    ),
    "gelu_tanh": (
        lambda x, y, g, o: aten.gelu.out(x, approximate="tanh", out=o),
        lambda x, y, g, o: aten.gelu_backward.grad_input(g, x, approximate="tanh", grad_input=o),
        lambda x, y, g, o: aten.gelu_backward(g, x, approximate="tanh"),
    ),
    "silu": (
        lambda x, y, g, o: aten.silu.out(x, out=o),
        lambda x, y, g, o: aten.silu_backward.grad_input(g, x, grad_input=o),
        lambda x, y, g, o: aten.silu_backward(g, x),
    ),
    "mish": (lambda x, y, g, o: aten.mish.out(x, out=o), None, lambda x, y, g, o: aten.mish_backward(g, x)),
    "elu": (
        lambda x, y, g, o: aten.elu.out(x, 1.0, 1.0, 1.0, out=o),
        lambda x, y, g, o: aten.elu_backward.grad_input(g, 1.0, 1.0, 1.0, False, x, grad_input=o),
        lambda x, y, g, o: aten.elu_backward(g, 1.0, 1.0, 1.0, False, x),
    ),
    "softplus": (
        lambda x, y, g, o: aten.softplus.out(x, 1.0, 20.0, out=o),
        lambda x, y, g, o: aten.softplus_backward.grad_input(g, x, 1.0, 20.0, grad_input=o),
        lambda x, y, g, o: aten.softplus_backward(g, x, 1.0, 20.0),
    ),
    "softmax": (
        lambda x, y, g, o: aten._softmax.out(x, -1, False, out=o),
        lambda x, y, g, o: aten._softmax_backward_data.out(g, y, -1, x.dtype, grad_input=o),
        lambda x, y, g, o: aten._softmax_backward_data(g, y, -1, x.dtype),
    ),
    "log_softmax": (
        lambda x, y, g, o: aten._log_softmax.out(x, -1, False, out=o),
        lambda x, y, g, o: aten._log_softmax_backward_data.out(g, y, -1, x.dtype, out=o),
        lambda x, y, g, o: aten._log_softmax_backward_data(g, y, -1, x.dtype),
    ),
    "hardtanh": (
        lambda x, y, g, o: aten.hardtanh.out(x, -1.0, 1.0, out=o),
        lambda x, y, g, o: aten.hardtanh_backward.grad_input(g, x, -1.0, 1.0, grad_input=o),
        lambda x, y, g, o: aten.hardtanh_backward(g, x, -1.0, 1.0),
    ),
    "hardsigmoid": (
        lambda x, y, g, o: aten.hardsigmoid.out(x, out=o),
        lambda x, y, g, o: aten.hardsigmoid_backward.grad_input(g, x, grad_input=o),
        lambda x, y, g, o: aten.hardsigmoid_backward(g, x),
    ),
    "hardswish": (lambda x, y, g, o: aten.hardswish.out(x, out=o), None, lambda x, y, g, o: aten.hardswish_backward(g, x)),
    "hardshrink": (
        lambda x, y, g, o: aten.hardshrink.out(x, 0.5, out=o),
        lambda x, y, g, o: aten.hardshrink_backward.grad_input(g, x, 0.5, grad_input=o),
        lambda x, y, g, o: aten.hardshrink_backward(g, x, 0.5),
    ),
    "softshrink": (
        lambda x, y, g, o: aten.softshrink.out(x, 0.5, out=o),
        lambda x, y, g, o: aten.softshrink_backward.grad_input(g, x, 0.5, grad_input=o),
        lambda x, y, g, o: aten.softshrink_backward(g, x, 0.5),
    ),
}


def activation(name: str, direction: str, x: NDArray, g: NDArray) -> Mapping[str, Run]:
    if name not in KERNELS:
        return {}
    into, derivative, backward = KERNELS[name]
    x, g = torch.from_numpy(x), torch.from_numpy(g)
    o = torch.zeros_like(x)
    y = into(x, None, None, torch.zeros_like(x))
    kernel = {"forward": into, "derivative": derivative, "backward": backward}[direction]
    return {"": repeat(lambda: kernel(x, y, g, o))} if kernel else {}


def model(net: Net) -> torch.nn.Sequential:
    """Return the net with its initial weights."""
    layers: list[torch.nn.Module] = []
    for (a, b), (weight, bias) in zip(pairwise(net.widths), net.weights(), strict=True):
        layer = torch.nn.Linear(a, b)
        layer.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
        layers += [layer, MODULES[net.activation]()]
    return torch.nn.Sequential(*layers[:-1])


def _step(net: Net, **settings: bool) -> Callable[[], None]:
    x, y = torch.from_numpy(net.inputs(net.batch)), torch.from_numpy(net.targets(net.batch))
    criterion = functional.binary_cross_entropy_with_logits if net.binary else functional.cross_entropy
    m = model(net)
    optimizer = torch.optim.Adam(m.parameters(), lr=LR, **settings)

    def once() -> None:
        optimizer.zero_grad()
        criterion(m(x), y).backward()
        optimizer.step()

    return once


def step(net: Net) -> Mapping[str, Run]:
    return {"adam": repeat(_step(net)), "fused adam": repeat(_step(net, fused=True))}


def compiled_step(net: Net) -> Mapping[str, Run]:
    """The whole step in one graph, with Adam written out, as compiled PyTorch is fastest."""
    torch._dynamo.reset()
    x, y = torch.from_numpy(net.inputs(net.batch)), torch.from_numpy(net.targets(net.batch))
    criterion = functional.binary_cross_entropy_with_logits if net.binary else functional.cross_entropy
    m = model(net)
    parameters = {name: p.detach().clone() for name, p in m.named_parameters()}
    first, second = ({name: torch.zeros_like(p) for name, p in parameters.items()} for _ in range(2))
    count = torch.zeros(())

    def loss(parameters: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return criterion(torch.func.functional_call(m, parameters, (x,)), y)

    @torch.compile(fullgraph=True)
    def once() -> None:
        gradients = torch.func.grad(loss)(parameters)
        count.add_(1)
        lr, scale = LR / (1 - 0.9**count), 1 / (1 - 0.999**count)
        for name, g in gradients.items():
            first[name].mul_(0.9).add_(g, alpha=0.1)
            second[name].mul_(0.999).addcmul_(g, g, value=0.001)
            parameters[name].sub_(lr * first[name] / ((second[name] * scale).sqrt() + 1e-8))

    def run(n: int) -> None:
        with torch.no_grad():
            for _ in range(n):
                once()

    return {"compiled": run}


def predict(net: Net, rows: int) -> Mapping[str, Run]:
    m, x = model(net).eval(), torch.from_numpy(net.inputs(rows))

    def run(n: int) -> None:
        with torch.inference_mode():
            for _ in range(n):
                m(x)

    return {"": run}


def conv_step(net: ConvNet) -> Mapping[str, Run]:
    y = torch.from_numpy(net.targets(net.batch))

    def variant(layout: torch.memory_format) -> Run:
        m = torch.nn.Sequential(*(getattr(torch.nn, name)(*arguments) for name, *arguments in net.layers)).to(memory_format=layout)
        x = torch.from_numpy(net.inputs(net.batch)).contiguous(memory_format=layout)
        optimizer = torch.optim.Adam(m.parameters(), lr=LR)

        def once() -> None:
            optimizer.zero_grad()
            functional.cross_entropy(m(x), y).backward()
            optimizer.step()

        return repeat(once)

    return {"": variant(torch.contiguous_format), "last": variant(torch.channels_last)}


def conv_predict(net: ConvNet, rows: int) -> Mapping[str, Run]:
    m = torch.nn.Sequential(*(getattr(torch.nn, name)(*arguments) for name, *arguments in net.layers)).eval()
    x = torch.from_numpy(net.inputs(rows))

    def run(n: int) -> None:
        with torch.inference_mode():
            for _ in range(n):
                m(x)

    return {"": run}


def gemm(form: str, m: int, n: int, k: int) -> Mapping[str, Run]:
    a = torch.randn(k, m).t() if form[0] == "T" else torch.randn(m, k)
    b = torch.randn(n, k).t() if form[1] == "T" else torch.randn(k, n)
    c = torch.zeros(m, n)
    return {"": repeat(lambda: torch.mm(a, b, out=c))}


def layer(name: str, arguments: tuple[int, ...], x: NDArray, g: NDArray) -> Mapping[str, Run]:
    made, x, g = getattr(torch.nn, name)(*arguments), torch.from_numpy(x).requires_grad_(), torch.from_numpy(g)
    leaves = [x, *made.parameters()]

    def once() -> None:
        for leaf in leaves:
            leaf.grad = None
        made(x).backward(g)

    return {"": repeat(once)}


def update(name: str, settings: Mapping[str, float], sizes: list[int]) -> Mapping[str, Run]:
    def variant(**more: bool) -> Run:
        parameters = [torch.nn.Parameter(torch.randn(size)) for size in sizes]
        for p in parameters:
            p.grad = torch.randn(p.shape)
        return repeat(getattr(torch.optim, name)(parameters, lr=LR, **settings, **more).step)

    fused = {"fused": variant(fused=True)} if "fused" in inspect.signature(getattr(torch.optim, name)).parameters else {}
    return {"": variant(), **fused}


def digits(data: tuple[NDArray, ...], epochs: int, batch: int) -> Mapping[str, Callable[[], tuple[float, float]]]:
    make = lambda: torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))  # noqa: E731
    return _trained(make, data, epochs, batch)


def digits_cnn(data: tuple[NDArray, ...], epochs: int, batch: int) -> Mapping[str, Callable[[], tuple[float, float]]]:
    def make() -> torch.nn.Sequential:
        convolutions = torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.Conv2d(16, 32, 3, padding=1)
        parts = [part for conv in convolutions for part in (conv, torch.nn.ReLU(), torch.nn.MaxPool2d(2))]
        return torch.nn.Sequential(*parts, torch.nn.Flatten(), torch.nn.Linear(1568, 10))

    return _trained(make, data, epochs, batch)


def _trained(
    make: Callable[[], torch.nn.Module], data: tuple[NDArray, ...], epochs: int, batch: int
) -> Mapping[str, Callable[[], tuple[float, float]]]:
    X, Xt, y, yt = map(torch.from_numpy, data)

    def train(fused: bool) -> tuple[float, float]:
        torch.manual_seed(0)
        start = time.perf_counter()
        m = make()
        optimizer = torch.optim.Adam(m.parameters(), lr=1e-3, fused=fused)
        for _ in range(epochs):
            for rows in torch.randperm(len(X)).split(batch):
                optimizer.zero_grad()
                functional.cross_entropy(m(X[rows]), y[rows]).backward()
                optimizer.step()
        seconds = time.perf_counter() - start
        with torch.inference_mode():
            return seconds, float((m(Xt).argmax(1) == yt).double().mean())

    return {"adam": lambda: train(False), "fused adam": lambda: train(True)}


def _train_some(net: Net, data: tuple[NDArray, ...], seeds: range, epochs: int) -> None:
    """Train nets one after the other, each on one thread."""
    torch.set_num_threads(1)
    x, y = (torch.from_numpy(a) for a in data)
    for seed in seeds:
        torch.manual_seed(seed)
        m = model(net)
        optimizer = torch.optim.Adam(m.parameters(), lr=1e-3, fused=True)
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).split(net.batch):
                optimizer.zero_grad()
                functional.cross_entropy(m(x[rows]), y[rows]).backward()
                optimizer.step()


def many(net: Net, data: tuple[NDArray, ...], nets: int, epochs: int, jobs: int) -> Mapping[str, Run]:
    if jobs == 1:
        return {"": lambda _: _train_some(net, data, range(nets), epochs)}
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
    shares = [range(k, nets, jobs) for k in range(jobs)]

    def run(_: int) -> None:
        for future in [pool.submit(_train_some, net, data, share, epochs) for share in shares]:
            future.result()

    for future in [pool.submit(_train_some, net, data, range(1), 1) for _ in shares]:  # start the workers
        future.result()
    return {"processes": run}
