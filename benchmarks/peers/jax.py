"""JAX: a step or a prediction in one jit; a run of steps waits for the result once, at its end, as a training loop would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from harness import Run, repeat
from nets import LR, Net

VERSION = jax.__version__
IMPORT, DISTRIBUTION = "import jax.numpy; jax.numpy.zeros(1)", "jax"
ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu, "gelu": lambda z: jax.nn.gelu(z, approximate=False)}


def set_threads(n: int) -> None:
    """Do nothing: JAX starts as many threads as the process may use CPUs."""


def _forward(net: Net, parameters: Any, x: Any) -> Any:
    for weight, bias in parameters[:-1]:
        x = ACTIVATIONS[net.activation](x @ weight + bias)
    weight, bias = parameters[-1]
    return x @ weight + bias


def _parameters(net: Net) -> Any:
    return [(jnp.asarray(weight.T), jnp.asarray(bias)) for weight, bias in net.weights()]


def step(net: Net) -> Mapping[str, Run]:
    x, y = jnp.asarray(net.inputs(net.batch)), jnp.asarray(net.targets(net.batch))
    tree = jax.tree_util.tree_map

    def loss(p: Any) -> Any:
        z = _forward(net, p, x)
        if net.binary:
            return jnp.mean(jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z))))
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], 1))

    def update(state: Any) -> Any:
        p, m, v, t = state
        g, t = jax.grad(loss)(p), t + 1
        m = tree(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = tree(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        lr, scale = LR / (1 - 0.9**t), 1 / (1 - 0.999**t)
        return tree(lambda p, m, v: p - lr * m / (jnp.sqrt(v * scale) + 1e-8), p, m, v), m, v, t

    p = _parameters(net)
    state = [(p, tree(jnp.zeros_like, p), tree(jnp.zeros_like, p), jnp.zeros(()))]
    jitted = jax.jit(update, donate_argnums=0)

    def once() -> None:
        state[0] = jitted(state[0])

    return {"": repeat(once, lambda: jax.block_until_ready(state[0]))}


def predict(net: Net, rows: int) -> Mapping[str, Run]:
    p, x = _parameters(net), jnp.asarray(net.inputs(rows))
    jitted = jax.jit(lambda p, x: _forward(net, p, x))
    return {"": repeat(lambda: jitted(p, x).block_until_ready())}


def many(net: Net, data: tuple[Any, ...], nets: int, epochs: int, jobs: int) -> Mapping[str, Run]:
    x, y = (jnp.asarray(a) for a in data)
    tree, batches = jax.tree_util.tree_map, len(x) // net.batch
    grad = jax.grad(lambda p, x, y: -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(_forward(net, p, x)), y[:, None], 1)))

    def update(state: Any, rows: Any) -> Any:
        p, m, v, t = state
        g, t = grad(p, x[rows], y[rows]), t + 1
        m = tree(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = tree(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        lr, scale = 1e-3 / (1 - 0.9**t), 1 / (1 - 0.999**t)
        return (tree(lambda p, m, v: p - lr * m / (jnp.sqrt(v * scale) + 1e-8), p, m, v), m, v, t), None

    def epoch(state: Any, key: Any) -> Any:
        order = jax.random.permutation(key, len(x)).reshape(batches, net.batch)
        return jax.lax.scan(update, state, order)[0]

    train = jax.jit(jax.vmap(epoch), donate_argnums=0)

    def run(_: int) -> None:
        p = tree(lambda a: jnp.stack([a] * nets), _parameters(net))
        state = p, tree(jnp.zeros_like, p), tree(jnp.zeros_like, p), jnp.zeros(nets)
        for k in range(epochs):
            state = train(state, jax.random.split(jax.random.key(k), nets))
        jax.block_until_ready(state)

    run(1)  # compile
    return {"vmap": run}
