"""PyTorch's optimizers and schedules as the oracle: every setting of its optimizer database, and every scheduler.

    pip install -r tests/external/requirements.txt && pytest tests/external
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import pynn
from pynn.optim import lr_scheduler

torch = pytest.importorskip("torch")
optim_db = pytest.importorskip("torch.testing._internal.common_optimizers").optim_db

STEPS = 12
SHAPES = [(5,), (3, 4), (2, 3, 4), (1,), (33, 17)]
UNSUPPORTED = {"SparseAdam"}  # gradients here are never sparse


def settings(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {k: float(v) if isinstance(v, torch.Tensor) else v for k, v in kwargs.items()}


DATABASE = [
    (info.optim_cls.__name__, settings(case.kwargs))
    for info in optim_db
    if info.optim_cls.__name__ not in UNSUPPORTED
    for case in info.optim_inputs_func(device="cpu")
]
PASSES = [(name, s) for name, s in DATABASE if name != "LBFGS"]
"""Those whose step needs no function to call."""
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.fixture(autouse=True)
def _exact_muon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let PyTorch's Muon iterate in the parameter's dtype instead of bfloat16, whose 3 digits would hide differences."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)


@pytest.fixture
def default_dtype(dtype: str) -> Iterator[None]:
    """Set the default dtype, in which PyTorch stores step counts and their products."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    yield
    torch.set_default_dtype(before)


def pair(name: str, dtype: str, **kwargs: Any) -> tuple[list[Any], list[pynn.Parameter], Any, Any]:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s).astype(dtype) for s in SHAPES if name != "Muon" or len(s) == 2]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    ours = [pynn.Parameter(a) for a in arrays]
    return theirs, ours, getattr(torch.optim, name)(theirs, **kwargs), getattr(pynn.optim, name)(ours, **kwargs)


def step(theirs: list[Any], ours: list[pynn.Parameter], opt: Any, our_opt: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for t, p in zip(theirs, ours, strict=True):
        p.grad[...] = rng.normal(size=p.shape)
        t.grad = torch.tensor(p.grad.copy())
    opt.step()
    our_opt.step()


def assert_close(theirs: list[Any], ours: list[pynn.Parameter], dtype: str) -> None:
    near = {"rtol": 2e-5, "atol": 2e-6} if dtype == "float32" else {"rtol": 1e-11, "atol": 1e-13}
    for t, p in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(p.data, t.detach().numpy(), **near)


@dtypes
@pytest.mark.parametrize(("name", "kwargs"), PASSES, ids=str)
@pytest.mark.usefixtures("default_dtype")
def test_optimizer_database(name: str, kwargs: dict[str, Any], dtype: str) -> None:
    theirs, ours, opt, our_opt = pair(name, dtype, **kwargs)
    for i in range(STEPS):
        step(theirs, ours, opt, our_opt, i)
        assert_close(theirs, ours, dtype)


@dtypes
@pytest.mark.parametrize(("name", "kwargs"), PASSES, ids=str)
@pytest.mark.usefixtures("default_dtype")
def test_state_round_trip(name: str, kwargs: dict[str, Any], dtype: str) -> None:
    """Each library continues from the state of the other."""
    theirs, ours, opt, our_opt = pair(name, dtype, **kwargs)
    for i in range(3):
        step(theirs, ours, opt, our_opt, i)
    kept = opt.state_dict()
    its = our_opt.state_dict()
    fresh, our_opt = type(opt)(theirs, **kwargs), type(our_opt)(ours, **kwargs)
    our_opt.load_state_dict(kept)
    its["state"] = {i: {k: torch.tensor(v) for k, v in s.items()} for i, s in its["state"].items()}
    for group, like in zip(its["param_groups"], kept["param_groups"], strict=True):
        group.update({k: v for k, v in like.items() if k not in group})
    fresh.load_state_dict(its)
    for i in range(3, 6):
        step(theirs, ours, fresh, our_opt, i)
    assert_close(theirs, ours, dtype)


@pytest.mark.parametrize("name", sorted({name for name, _ in PASSES}))
def test_arguments_and_defaults(name: str) -> None:
    theirs = inspect.signature(getattr(torch.optim, name)).parameters
    ours = inspect.signature(getattr(pynn.optim, name)).parameters
    ignored = {"foreach", "capturable", "differentiable", "fused"}
    if name == "AdamW":
        ignored.add("decoupled_weight_decay")
    missing = theirs.keys() - ignored - ours.keys()
    assert not missing
    for argument in theirs.keys() - ignored - {"params"}:
        assert theirs[argument].default == ours[argument].default
    order = [a for a in theirs if a in ours and theirs[a].kind is not inspect.Parameter.KEYWORD_ONLY]
    assert [a for a in ours if a in order] == order


@pytest.mark.parametrize("name", ["Adam", "SGD"])
def test_unfrozen_parameter_starts_a_new_step_count(name: str) -> None:
    kwargs = {"momentum": 0.9} if name == "SGD" else {}
    theirs, ours, opt, our_opt = pair(name, "float64", **kwargs)
    for i in range(6):
        ours[1].requires_grad = i >= 3
        rng = np.random.default_rng(i)
        for k, (t, p) in enumerate(zip(theirs, ours, strict=True)):
            p.grad[...] = rng.normal(size=p.shape)
            t.grad = None if k == 1 and i < 3 else torch.tensor(p.grad.copy())
        opt.step()
        our_opt.step()
    assert_close(theirs, ours, "float64")


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.5, float("inf")])
@pytest.mark.parametrize("max_norm", [0.1, 1e3])
@dtypes
def test_clipping(norm_type: float, max_norm: float, dtype: str) -> None:
    theirs, ours, opt, our_opt = pair("SGD", dtype)
    step(theirs, ours, opt, our_opt, 0)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    near = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(pynn.optim.clip_grad_norm_(ours, max_norm, norm_type), float(expected), rtol=near)
    for t, p in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(p.grad, t.grad.numpy(), rtol=near)
    torch.nn.utils.clip_grad_value_(theirs, 0.01)
    pynn.optim.clip_grad_value_(ours, 0.01)
    for t, p in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(p.grad, t.grad.numpy(), rtol=near)


# ---- schedules --------------------------------------------------------------------------------------------------------
ONE = {"max_lr": 1.0}
SCHEDULES: list[tuple[str, dict[str, Any]]] = [
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("StepLR", {"step_size": 4}),
    ("MultiStepLR", {"milestones": [2, 5, 5, 9], "gamma": 0.5}),
    ("ConstantLR", {"factor": 0.3, "total_iters": 4}),
    ("ConstantLR", {}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.2, "end_factor": 0.8, "total_iters": 6}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 10, "power": 2.0}),
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4}),
    ("CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 3, "eta_min": 0.01}),
    ("OneCycleLR", {"max_lr": [1.0, 2.0], "total_steps": 25}),
    ("OneCycleLR", {**ONE, "total_steps": 25, "three_phase": True, "anneal_strategy": "linear"}),
    ("OneCycleLR", {**ONE, "epochs": 5, "steps_per_epoch": 5, "pct_start": 0.5, "cycle_momentum": False}),
    ("CyclicLR", {"base_lr": 0.1, **ONE, "step_size_up": 3, "step_size_down": 4}),
    ("CyclicLR", {"base_lr": [0.1, 0.2], **ONE, "step_size_up": 3, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.1, **ONE, "step_size_up": 3, "mode": "exp_range", "gamma": 0.9, "max_momentum": 0.95}),
    ("LambdaLR", {"lr_lambda": lambda t: 0.9**t}),
    ("LambdaLR", {"lr_lambda": [lambda t: 0.9**t, lambda t: 1 / (1 + t)]}),
    ("MultiplicativeLR", {"lr_lambda": lambda t: 0.9 + 0.01 * t}),
]


def two_groups(name: str = "SGD") -> tuple[Any, Any]:
    theirs = [torch.zeros(2, requires_grad=True) for _ in range(2)]
    ours = [pynn.Parameter(np.zeros(2)) for _ in range(2)]
    groups: Callable[[list[Any]], list[dict[str, Any]]] = lambda p: [{"params": [p[0]]}, {"params": [p[1]], "lr": 0.3}]  # noqa: E731
    return getattr(torch.optim, name)(groups(theirs), lr=0.7), getattr(pynn.optim, name)(groups(ours), lr=0.7)


def moving(opt: Any) -> list[float]:
    return [float(v) for g in opt.param_groups for v in (g["lr"], g.get("momentum", 0), g.get("betas", (0,))[0])]


def assert_together(opt: Any, our_opt: Any, theirs: list[Any], ours: list[Any], times: int = 25) -> None:
    for _ in range(times):
        np.testing.assert_allclose(moving(our_opt), moving(opt), rtol=1e-9, atol=1e-15)
        for t, o in zip(theirs, ours, strict=True):
            np.testing.assert_allclose(o.get_last_lr(), t.get_last_lr(), rtol=1e-9, atol=1e-15)
        opt.step()
        our_opt.step()
        for s in (*theirs, *ours):
            s.step()


@pytest.mark.parametrize(("name", "kwargs"), SCHEDULES, ids=lambda v: v if isinstance(v, str) else "")
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_schedules(name: str, kwargs: dict[str, Any], optimizer: str) -> None:
    opt, our_opt = two_groups(optimizer)
    schedules = getattr(torch.optim.lr_scheduler, name)(opt, **kwargs), getattr(lr_scheduler, name)(our_opt, **kwargs)
    assert_together(opt, our_opt, [schedules[0]], [schedules[1]])


def warm(S: Any, opt: Any) -> Any:
    parts = [S.LinearLR(opt, start_factor=0.1, total_iters=4), S.CosineAnnealingLR(opt, T_max=9), S.ExponentialLR(opt, gamma=0.9)]
    return S.SequentialLR(opt, parts, milestones=[4, 13])


def called(S: Any, opt: Any) -> Any:
    return S.SequentialLR(opt, [S.ConstantLR(opt, factor=0.1, total_iters=20), S.LambdaLR(opt, lambda t: 0.5**t)], milestones=[4])


def restarted(S: Any, opt: Any) -> Any:
    return S.SequentialLR(opt, [S.ExponentialLR(opt, gamma=0.5), S.CosineAnnealingWarmRestarts(opt, T_0=3, T_mult=2)], milestones=[3])


def chained(S: Any, opt: Any) -> Any:
    return S.ChainedScheduler([S.ConstantLR(opt, factor=0.1, total_iters=4), S.ExponentialLR(opt, gamma=0.9), S.StepLR(opt, 6)])


@pytest.mark.parametrize("make", [warm, called, restarted, chained])
def test_composed_schedules(make: Callable[[Any, Any], Any]) -> None:
    opt, our_opt = two_groups()
    assert_together(opt, our_opt, [make(torch.optim.lr_scheduler, opt)], [make(lr_scheduler, our_opt)])


def test_two_schedules_of_one_optimizer() -> None:
    opt, our_opt = two_groups()
    both = [[S.ExponentialLR(o, 0.9), S.StepLR(o, 4)] for S, o in ((torch.optim.lr_scheduler, opt), (lr_scheduler, our_opt))]
    for _ in range(20):
        np.testing.assert_allclose(moving(our_opt), moving(opt), rtol=1e-9)
        opt.step()
        for s in (*both[0], *both[1]):
            s.step()


@pytest.mark.parametrize("kwargs", [
    {}, {"mode": "max"}, {"patience": 1, "cooldown": 2}, {"mode": "max", "threshold_mode": "abs", "threshold": 0.01, "patience": 2},
    {"threshold_mode": "abs", "threshold": 0.1, "patience": 0, "factor": 0.5, "min_lr": [0.01, 0.02]},
])  # fmt: skip
def test_reduce_on_plateau(kwargs: dict[str, Any]) -> None:
    opt, our_opt = two_groups()
    theirs, ours = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, **kwargs), lr_scheduler.ReduceLROnPlateau(our_opt, **kwargs)
    for score in np.random.default_rng(0).random(60):
        theirs.step(score)
        ours.step(score)
        np.testing.assert_allclose(moving(our_opt), moving(opt), rtol=1e-12)


# ---- L-BFGS -----------------------------------------------------------------------------------------------------------
LBFGS = [s for name, s in DATABASE if name == "LBFGS"]
LBFGS += [{"line_search_fn": "strong_wolfe", "history_size": 3, "lr": 0.5}]
LBFGS += [{"history_size": 2, "max_iter": 4}, {"max_iter": 6, "max_eval": 3}]


@dtypes
@pytest.mark.parametrize("kwargs", LBFGS, ids=str)
@pytest.mark.usefixtures("default_dtype")
def test_lbfgs(kwargs: dict[str, Any], dtype: str) -> None:
    """Equal numbers of closure calls, equal losses and equal results, on nonlinear least squares."""
    rng = np.random.default_rng(0)
    A, expected = rng.normal(size=(40, 6)).astype(dtype), rng.normal(size=(40, 2)).astype(dtype)
    weight, bias = rng.normal(size=(6, 2)).astype(dtype), np.zeros(2, dtype)
    theirs = [torch.tensor(a, requires_grad=True) for a in (weight, bias)]
    ours = [pynn.Parameter(a.copy()) for a in (weight, bias)]
    opt, our_opt = torch.optim.LBFGS(theirs, **kwargs), pynn.optim.LBFGS(ours, **kwargs)
    calls = [0, 0]

    def their_closure() -> Any:
        opt.zero_grad()
        e = torch.tensor(A) @ theirs[0] + theirs[1] - torch.tensor(expected)
        loss = (e**2 + 0.1 * e**4).mean()
        loss.backward()
        calls[0] += 1
        return loss

    def our_closure() -> float:
        e = A @ ours[0].data + ours[1].data - expected
        g = (2 * e + 0.4 * e**3) / e.size
        ours[0].grad[...], ours[1].grad[...] = A.T @ g, g.sum(0)
        calls[1] += 1
        return float((e**2 + 0.1 * e**4).mean())

    near = 2e-3 if dtype == "float32" else 1e-6
    for i in range(STEPS):
        losses = opt.step(their_closure).item(), our_opt.step(our_closure)
        assert dtype == "float32" or i > 3 or calls[0] == calls[1]  # later the stopping rules depend on rounding
        np.testing.assert_allclose(losses[1], losses[0], rtol=near)
        for t, p in zip(theirs, ours, strict=True):
            np.testing.assert_allclose(p.data, t.detach().numpy(), rtol=near, atol=near)
