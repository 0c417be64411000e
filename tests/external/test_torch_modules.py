"""PyTorch's samples of its modules: layers with the name of a PyTorch module match it, forward and backward.

New layer classes are tested automatically.
"""

import inspect
from typing import Any

import numpy as np
import pytest

import pynn

torch = pytest.importorskip("torch")
common = pytest.importorskip("torch.testing._internal.common_modules")

INFOS = {i.module_cls.__name__: i for i in common.module_db if i.module_cls.__name__ in pynn.Layer.classes}
INFOS = {n: i for n, i in INFOS.items() if not n.endswith("Loss")}
NEAR = {"float64": {"rtol": 1e-9, "atol": 1e-11}, "float32": {"rtol": 1e-4, "atol": 2e-5}}
# Unsupported: Softplus is exact everywhere and needs no threshold; a scalar has no axis for softmax.
ABSENT = {
    "Softplus": lambda made, given: len(made.args) > 1,
    **dict.fromkeys(("Softmax", "Softmin", "LogSoftmax"), lambda made, given: given.args[0].ndim == 0),
}


def samples(name: str, dtype: str, training: bool) -> list[Any]:
    info = INFOS[name]
    torch.manual_seed(0)
    kind = getattr(torch, dtype)
    found: list[Any] = info.module_inputs_func(info, device="cpu", dtype=kind, requires_grad=True, training=training)
    absent = ABSENT.get(name, lambda made, given: False)
    return [s for s in found if not absent(s.constructor_input, s.forward_input)]


def ours(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], dtype: str) -> pynn.Layer:
    """Create the layer from PyTorch's arguments, without those about memory (device, in place)."""
    cls = pynn.Layer.classes[name]
    rest = {k: v for k, v in kwargs.items() if k not in ("device", "dtype", "inplace")}
    if "dtype" in inspect.signature(cls).parameters:
        rest["dtype"] = dtype
    return cls(*args, **rest)


def flat(y: Any) -> list[Any]:
    return list(y) if isinstance(y, (tuple, list)) else [y]


def numpy(t: Any) -> Any:
    return t.detach().numpy() if isinstance(t, torch.Tensor) else t


@pytest.mark.parametrize("name", INFOS)
@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize("training", [True, False])
def test_module(name: str, dtype: str, training: bool) -> None:
    tried = 0
    for sample in samples(name, dtype, training):
        made, given = sample.constructor_input, sample.forward_input
        theirs = INFOS[name].module_cls(*made.args, **made.kwargs).to(getattr(torch, dtype)).train(training)
        layer = ours(name, made.args, made.kwargs, dtype).train(training)
        if isinstance(theirs, torch.nn.modules.lazy.LazyModuleMixin):  # both create their parameters with the first input
            theirs(*given.args)
            layer(*map(numpy, given.args))
        if theirs.state_dict():
            layer.load_state_dict(theirs.state_dict())
        context = f"{name}, {dtype}, {'train' if training else 'eval'}, {made.args} {made.kwargs}: "
        compare(layer, theirs, given, NEAR[dtype], context)
        tried += 1
    assert tried


def compare(layer: pynn.Layer, theirs: Any, given: Any, near: dict[str, float], context: str) -> None:
    given = [*given.args, *given.kwargs.values()]
    inputs = [t.detach().clone().requires_grad_(t.is_floating_point()) if isinstance(t, torch.Tensor) else t for t in given]
    expected = flat(theirs(*inputs))
    got = flat(layer(*map(numpy, inputs)))
    assert len(got) == len(expected), context
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, numpy(b), **near, err_msg=context + "output")
        assert a.shape == tuple(b.shape), context
        assert str(b.dtype) in (f"torch.{a.dtype}", "torch.int64"), context
    for key, state in theirs.state_dict().items():
        np.testing.assert_allclose(layer.state_dict()[key], numpy(state), **near, err_msg=context + key)
    gys = [torch.randn_like(y) for y in expected if y.is_floating_point()]
    leaves = [t for t in inputs if isinstance(t, torch.Tensor) and t.requires_grad]
    if not [y for y in expected if y.requires_grad]:
        return
    torch.autograd.backward([y for y in expected if y.is_floating_point()], gys)
    gxs = flat(layer.backward(*map(numpy, gys)))
    for t, g in zip(leaves, gxs if leaves else [], strict=True):
        expected_gradient = numpy(t.grad) if t.grad is not None else np.zeros(t.shape)
        if context.startswith("LPPool"):  # PyTorch multiplies NaN by 0 outside all windows
            expected_gradient = np.where(np.isnan(expected_gradient) & (g == 0), 0, expected_gradient)
        np.testing.assert_allclose(g, expected_gradient, **near, err_msg=context + "input gradient")
        assert g.shape == tuple(t.shape), context
    for key, p in theirs.named_parameters():
        if p.grad is not None:
            np.testing.assert_allclose(layer.grads[key], numpy(p.grad), **near, err_msg=f"{context}gradient of {key}")
