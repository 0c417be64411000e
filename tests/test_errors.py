"""Invalid input raises an exception of the right type that names the argument, the given value and the allowed values."""

import functools
import inspect
import re
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pynn
from pynn import _core, _tables


def net(last: str | None = None) -> pynn.Sequential:
    return pynn.Sequential(pynn.Linear(4, 8, seed=1), "relu", pynn.Linear(8, 3, seed=2), *([last] if last else []))


def another() -> pynn.Optimizer:
    return pynn.optim.SGD(net().parameters())


def load(state: Any) -> None:
    pynn.optim.LBFGS([pynn.Parameter(R)]).load_state_dict(state)


X, y = np.random.default_rng(0).normal(size=(12, 4)), np.arange(12) % 3
R = np.zeros((12, 3))
MASKED = np.ma.masked_less(X, -1.0)


def predict_twice(model: pynn.Sequential, X: Any) -> Any:
    model.predict(X.data)
    return model.predict(X)


class Sparse:
    """The common interface of scipy.sparse matrices."""

    nnz, shape = 3, (12, 4)

    def toarray(self) -> Any:
        raise AssertionError("a sparse matrix must not be converted implicitly")


cross = {"loss": "cross_entropy"}
CASES: dict[str, tuple[Any, type[Exception], str]] = {
    # names
    "layer name": (lambda: pynn.Sequential("reul"), ValueError, "unknown activation 'reul'; did you mean 'relu'"),
    "layer object": (lambda: pynn.Sequential(3), TypeError, r"layers: .*got 3"),
    "layer class": (lambda: pynn.Sequential.from_config({"layers": [{"class": "Linaer"}]}), ValueError, "'Linaer'.*'Linear'"),
    "loss name": (lambda: net().fit(X, y, loss="crosentropy"), ValueError, "unknown loss 'crosentropy'.*cross_entropy"),
    "optimizer name": (lambda: net().fit(X, y, **cross, optimizer="adma"), ValueError, "unknown optimizer 'adma'.*adam"),
    "optimizer class": (
        lambda: net().fit(X, y, **cross, optimizer=pynn.optim.Adam),
        TypeError,
        r"optimizer: expected a name or an optimizer, got the class Adam; call it: Adam\(\)",
    ),
    "no optimizer": (lambda: net().fit(X, y, **cross, optimizer=None), TypeError, "optimizer: expected a name or an optimizer, got None"),
    "loss of another type": (lambda: net().fit(X, y, loss=3), ValueError, "unknown loss 3"),
    "approximate": (lambda: pynn.GELU(approximate="erf"), ValueError, "approximate.*'none'.*'tanh'.*'erf'"),
    "reduction": (lambda: pynn.MSELoss(reduction="avg"), ValueError, "reduction: .*'mean'.*'avg'"),
    "isa": (lambda: _core.set_isa("sse9"), ValueError, f"sse9.*{_core.isa()}"),
    # sizes and settings of layers
    "negative size": (lambda: pynn.Linear(-1, 2), ValueError, "in_features: .*-1"),
    "float size": (lambda: pynn.Linear(2, 2.5), TypeError, "out_features: .*2.5"),
    "flag as size": (lambda: pynn.Linear(True, 2), TypeError, "in_features: .*True"),
    "layer dtype": (lambda: pynn.Linear(2, 2, dtype="int8"), ValueError, "dtype: .*float32.*int8"),
    "half layer": (lambda: pynn.Linear(2, 2, dtype=np.float16), ValueError, "dtype: .*float16"),
    "seed": (lambda: pynn.Linear(2, 2, seed=-1), ValueError, "seed: .*-1"),
    "seed type": (lambda: pynn.Linear(2, 2, seed="x"), TypeError, "seed: .*'x'"),
    "activation's parameter": (lambda: pynn.Softplus(beta=0), ValueError, "Softplus: got beta=0.*beta > 0"),
    "activation's text": (lambda: pynn.LeakyReLU(negative_slope="a"), TypeError, "negative_slope must be a number, got 'a'"),
    "missing parameter": (lambda: pynn.Threshold(), TypeError, "threshold"),
    "dim type": (lambda: pynn.Softmax(dim=1.5), TypeError, "dim: .*1.5"),
    "dim": (lambda: pynn.Softmax(dim=2)(X), ValueError, "Softmax: axis 2 .*2 dimensions"),
    "mixed dtypes": (lambda: pynn.Sequential(pynn.Linear(2, 2), pynn.Linear(2, 2, dtype="f8")), ValueError, "one dtype.*float32.*float64"),
    "flatten order": (lambda: pynn.Flatten(2, 1)(np.ones((2, 3, 4))), ValueError, "start_dim 2 comes after end_dim 1"),
    # input of layers
    "wrong features": (lambda: net()(X[:, :3]), ValueError, r"layer 0 \(Linear\).*\(3,\).*in_features = 4"),
    "inner mismatch": (lambda: pynn.Sequential(pynn.Linear(4, 5), pynn.Linear(6, 2))(X), ValueError, r"layer 1 \(Linear\).*\(5,\).*6"),
    "number for rows": (lambda: net()(3.0), ValueError, r"\(\)"),
    "complex": (lambda: net()(X + 1j), TypeError, "x: dtype complex128 is not allowed; expected real"),
    "object": (lambda: net()(X.astype(object)), TypeError, "x: dtype object"),
    "text": (lambda: net()([["a"] * 4]), TypeError, "x: dtype <U1"),
    "long double": (lambda: net()(X.astype("longdouble")), TypeError, "x: dtype float128|x: dtype longdouble"),
    "dates": (lambda: pynn.ReLU()(np.array(["2020-01-01"], "M8[D]")), TypeError, "x: dtype datetime64"),
    "ragged": (lambda: net()([[1, 2], [3]]), ValueError, "x: rows have different lengths.*pad"),
    "ragged X": (lambda: net().fit([[1, 2], [3]], [0, 1], **cross), ValueError, "X: rows have different lengths"),
    "ragged y": (lambda: net().fit(X[:2], [[1, 2], [3]], loss="mse"), ValueError, "y: rows have different lengths"),
    "masked X": (lambda: net().fit(MASKED, y, **cross), TypeError, r"X: got a masked array.*X\.filled\(value\), or drop"),
    "masked y": (lambda: net().fit(X, np.ma.masked_equal(y, 2), **cross), TypeError, "y: got a masked array.*filled"),
    "masked numbers": (lambda: net().fit(X, MASKED[:, :3], loss="mse"), TypeError, "y: got a masked array"),
    "masked rows": (lambda: net().fit([*MASKED], y, **cross), TypeError, "X: got a masked array"),
    "masked weights": (lambda: net().fit(X, y, **cross, sample_weight=MASKED[:, 0] ** 2), TypeError, "sample_weight: got a masked array"),
    "masked input": (lambda: net()(MASKED), TypeError, "x: got a masked array"),
    "masked to predict": (lambda: (lambda m: (m.predict(X), m.predict(MASKED)))(net()), TypeError, "X: got a masked array"),
    "masked to predict at once": (lambda: predict_twice(net(), MASKED.astype("f4")), TypeError, "X: got a masked array"),
    "masked target": (lambda: pynn.MSELoss()(X, MASKED), TypeError, "target: got a masked array"),
    "masked labels": (lambda: net().partial_fit(X, np.ma.masked_equal(y, 2), classes=[0, 1, 2]), TypeError, "y: got a masked array"),
    "masked metric": (lambda: pynn.metrics.mse(X, MASKED), TypeError, "y_pred: got a masked array"),
    "sparse X": (
        lambda: net().fit(Sparse(), y, **cross), TypeError,
        r"X: got a sparse Sparse, expected a dense array; pass X\.toarray\(\).*batches",
    ),
    "sparse y": (lambda: net().fit(X, Sparse(), loss="mse"), TypeError, "y: got a sparse Sparse"),
    "sparse to predict": (lambda: net().predict(Sparse()), TypeError, "X: got a sparse Sparse"),
    "nine dimensions": (lambda: pynn.ReLU()(np.ones((1,) * 10)), ValueError, "dimensions.*at most 8"),
    "backward first": (lambda: net().backward(R), RuntimeError, "backward needs a forward call before it"),
    "no outputs": (lambda: pynn.Sequential(pynn.Linear(4, 0)).predict_class(X), ValueError, r"predict_class .*\(12, 0\)"),
    "beyond counting": (lambda: net().predict(X, batch_size=1 << 64), ValueError, "batch_size: .*at most"),
    "gy shape": (lambda: (lambda m: (m(X), m.backward(R[:5])))(net()), ValueError, r"gy: shape \(5, 3\).*\(12, 3\)"),
    "gy dtype": (lambda: (lambda m: (m(X), m.backward(R * 1j)))(net()), TypeError, "gy: dtype complex128"),
    # losses
    "loss backward first": (lambda: pynn.MSELoss().backward(), RuntimeError, "backward needs a preceding call"),
    "g for a mean": (lambda: (lambda q: (q(R, R), q.backward(R)))(pynn.MSELoss()), TypeError, "g: not allowed with reduction='mean'"),
    "no g": (lambda: (lambda q: (q(R, R), q.backward()))(pynn.MSELoss(reduction="none")), TypeError, "g: required with"),
    "target shape": (lambda: pynn.MSELoss()(R, R[:5]), ValueError, r"target: shape \(5, 3\).*\(12, 3\)"),
    "label too large": (lambda: pynn.CrossEntropyLoss()(R, y + 1), ValueError, r"target: class 3 in row 2 is not in 0\.\.2"),
    "negative label": (lambda: pynn.CrossEntropyLoss()(R, y - 1), ValueError, "target: class -1 in row 0"),
    "float labels": (lambda: pynn.NLLLoss()(R, y * 1.0), TypeError, "target: .*float64.*integers"),
    "NaN target": (lambda: pynn.MSELoss()(R, R * np.nan), ValueError, "target: .*nan in row 0"),
    "infinite target": (lambda: pynn.MSELoss()(R, R + np.inf), ValueError, "target: inf"),
    "target over 1": (lambda: pynn.BCELoss()(R, R + 1.5), ValueError, r"target: 1.5 in row 0 is not in \[0, 1\]"),
    "complex target": (lambda: pynn.MSELoss()(R, R * 1j), TypeError, "target: dtype complex128"),
    "text target": (lambda: pynn.CrossEntropyLoss()(R, ["a"] * 12), TypeError, "target: dtype <U1"),
    "classes of three axes": (lambda: pynn.CrossEntropyLoss()(np.ones((2, 3, 4)), [0, 1]), ValueError, r"target: .*\(2, 3, 4\)"),
    "no classes": (lambda: pynn.CrossEntropyLoss()(np.ones((2, 0)), [0, 0]), ValueError, "at least one class"),
    # optimizers
    "negative lr": (lambda: pynn.optim.Adam(lr=-1), ValueError, "Adam: got lr=-1.*lr >= 0"),
    "NaN lr": (lambda: pynn.optim.SGD(lr=float("nan")), ValueError, "lr=nan"),
    "betas": (lambda: pynn.optim.Adam(betas=(0.9, 1.0)), ValueError, "betas"),
    "one beta": (lambda: pynn.optim.Adam(betas=0.9), TypeError, "betas must be a tuple of 2 numbers"),
    "nesterov alone": (lambda: pynn.optim.SGD(nesterov=True), ValueError, "nesterov"),
    "arrays for parameters": (lambda: pynn.optim.SGD([np.ones(3)]), TypeError, "params: expected pynn.Parameter, got ndarray"),
    "a parameter twice": (lambda: (lambda p: pynn.optim.SGD([p, p]))(pynn.Parameter(R)), ValueError, "twice"),
    "unknown setting": (lambda: pynn.optim.SGD([{"params": [], "momentm": 1}]), TypeError, "SGD has no setting 'momentm'.*momentum"),
    "step without parameters": (lambda: pynn.optim.SGD().step(), RuntimeError, r"SGD\(model.parameters\(\)\)"),
    "clip_norm": (lambda: pynn.optim.SGD(clip_norm=0.0), ValueError, "clip_norm must be over 0, or None to disable it; got 0.0"),
    "clip_value": (lambda: pynn.optim.SGD(clip_value="1"), TypeError, "clip_value must be a number or None, got '1'"),
    "l1_decay": (lambda: pynn.optim.SGD(l1_decay=-0.1), ValueError, "l1_decay must be over 0"),
    "ema_decay": (lambda: pynn.optim.SGD(ema_decay=1.0), ValueError, "ema_decay must be between 0 and 1"),
    "decay_exclude": (lambda: pynn.optim.SGD(decay_exclude="biases"), ValueError, "None or 'vectors', got 'biases'"),
    "no averages": (lambda: pynn.optim.SGD([]).swap_averages(), RuntimeError, "keeps no averages"),
    "Muon on a vector": (lambda: pynn.optim.Muon([pynn.Parameter(np.ones(3))]), ValueError, "Muon updates matrices only"),
    "Muon's word": (lambda: pynn.optim.Muon(adjust_lr_fn="adam"), ValueError, "adjust_lr_fn='adam'.*match_rms_adamw"),
    "LBFGS without closure": (lambda: pynn.optim.LBFGS([pynn.Parameter(R)]).step(), TypeError, "needs a closure"),
    "LM and classes": (lambda: net().fit(X, y, **cross, optimizer="levenberg_marquardt"), ValueError, "needs MSELoss.*not Cross"),
    "LM alone": (lambda: pynn.optim.LevenbergMarquardt().step(), RuntimeError, "which only fit computes"),
    "LBFGS's groups": (lambda: pynn.optim.LBFGS([{"params": []}, {"params": []}]), ValueError, "only one parameter group"),
    "LBFGS's search": (lambda: pynn.optim.LBFGS(line_search_fn="wolfe"), ValueError, "line_search_fn='wolfe'.*strong_wolfe"),
    "clip to nothing": (lambda: pynn.optim.clip_grad_norm_([pynn.Parameter(R)], -1.0), ValueError, "max_norm=-1.0"),
    "clip arrays": (lambda: pynn.optim.clip_grad_value_([R], 1.0), TypeError, "parameters: expected pynn.Parameter, got ndarray"),
    "state of another": (lambda: pynn.optim.SGD([pynn.Parameter(R)]).load_state_dict(pynn.optim.SGD([]).state_dict()), ValueError, "state"),
    "no state": (lambda: another().load_state_dict({}), TypeError, r"state: expected the result of .*state_dict\(\), got {}"),
    "array as state": (lambda: load(R), TypeError, r"state: .*got array"),
    "state without memory": (lambda: load(pynn.optim.SGD([pynn.Parameter(R)]).state_dict()), ValueError, "state: expected a key 'memory'"),
    "complex parameter": (lambda: pynn.Parameter(R * 1j), TypeError, "data: dtype complex128"),
    # fit, evaluate, predict
    "rows": (lambda: net().fit(X, y[:5], **cross), ValueError, r"y: expected 12 rows, one for each row of the inputs, got shape \(5,\)"),
    "features": (lambda: net().fit(X[:, :3], y, **cross), ValueError, r"layer 0 \(Linear\).*\(3,\).*4"),
    "no rows": (lambda: net().fit(X[:0], y[:0], **cross), ValueError, "X: expected at least one row, it has no rows"),
    "fit label": (lambda: net().fit(X, y + 1, **cross), ValueError, r"class 3 in row 2 is not in 0\.\.2"),
    "fit NaN target": (lambda: net().fit(X, R * np.nan, loss="mse"), ValueError, "nan in row 0"),
    "NaN labels": (lambda: net().fit(X, np.where(y == 1, np.nan, y), **cross), TypeError, "y: .*class indices.*float64"),
    "text labels": (lambda: net().fit(X, ["a"] * 12, **cross), TypeError, "y: dtype <U1 is not allowed"),
    "target columns": (lambda: net().fit(X, R[:, :2], loss="mse"), ValueError, r"y: shape \(12, 2\).*\(12, 3\)"),
    "epochs": (lambda: net().fit(X, y, **cross, epochs=-1), ValueError, "epochs: .*-1"),
    "epochs type": (lambda: net().fit(X, y, **cross, epochs=1.5), ValueError, "epochs: .*1.5"),
    "batch_size": (lambda: net().fit(X, y, **cross, batch_size=0), ValueError, "batch_size: .*0"),
    "predict batch_size": (lambda: net().predict(X, batch_size=-3), ValueError, "batch_size: .*-3"),
    "verbose": (lambda: net().fit(X, y, **cross, verbose="loud"), ValueError, "verbose: .*'loud'"),
    "fit seed": (lambda: net().fit(X, y, **cross, seed=1.5), TypeError, "seed: .*1.5"),
    "reduction none": (lambda: net().fit(X, R, loss=pynn.MSELoss(reduction="none")), ValueError, "'mean' or 'sum'"),
    "validation features": (lambda: net().fit(X, y, **cross, validation_data=(R, y)), ValueError, r"validation_data\[0\].*\(3,\).*\(4,\)"),
    "validation rows": (
        lambda: net().fit(X, y, **cross, validation_data=(X, y[:2])), ValueError,
        r"validation_data\[1\]: expected 12 rows, one for each row of the inputs, got shape \(2,\)",
    ),
    "validation label": (lambda: net().fit(X, y, **cross, validation_data=(X, y + 7)), ValueError, "class 7 in row 0"),
    "an optimizer of another model": (lambda: net().fit(X, y, **cross, optimizer=another()), ValueError, "optimizer"),
    "complex X": (lambda: net().fit(X * 1j, y, **cross), TypeError, "X: dtype complex128"),
    "evaluate unfitted": (lambda: net().evaluate(X, y), ValueError, "loss: .*has not been fitted"),
    "evaluate nothing": (lambda: net().evaluate(X[:0], y[:0], **cross), ValueError, "X: .*at least one row"),
    "probabilities of what": (lambda: net().predict_proba(X), ValueError, "predict_proba needs"),
}


@pytest.mark.parametrize("case", CASES)
def test_error_describes_the_problem(case: str) -> None:
    call, kind, message = CASES[case]
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert re.search(message, str(caught.value), re.S), caught.value


OTHERS: dict[str, Any] = {
    "loss": {
        "binary_crossentropy": "'bce' or 'bce_with_logits'", "binary_focal_crossentropy": "'focal' or 'sigmoid_focal'", "L2": "'mse'",
        "root_mean_squared_error": "'mse'", "cosine_similarity": "'cosine_embedding'",
    },
    "optimizer": {"momentum": "'sgd'"},
    "metrics": {"AUC": "'roc_auc'", "sparse_categorical_accuracy": "'accuracy'"},
}  # fmt: skip


@pytest.mark.parametrize(("what", "name"), [(what, name) for what, names in OTHERS.items() for name in names])
def test_names_of_other_libraries_are_suggested(what: str, name: str) -> None:
    with pytest.raises(ValueError, match=rf"unknown \w+ '{name}'; did you mean {OTHERS[what][name]}\? known: "):
        net().fit(X, y, **{**cross, what: [name] if what == "metrics" else name})


SAME: dict[str, dict[str, str]] = {
    "loss": {
        "mae": "l1", "MAE": "l1", "MeanAbsoluteError": "l1", "L1Loss": "l1", "MSE": "mse", "MSELoss": "mse", "mean_squared_error": "mse",
        "ce": "cross_entropy", "CE": "cross_entropy", "CrossEntropyLoss": "cross_entropy", "crossentropy": "cross_entropy",
        "categorical_crossentropy": "cross_entropy", "sparse_categorical_crossentropy": "cross_entropy", "BCE": "bce", "BCELoss": "bce",
        "BCEWithLogitsLoss": "bce_with_logits", "bce-with-logits": "bce_with_logits", "kl_divergence": "kl_div", "KLD": "kl_div",
        "Huber": "huber", "huber_loss": "huber", "SmoothL1": "smooth_l1", "nll_loss": "nll", "NLLLoss": "nll", "LogCosh": "log_cosh",
        "GIoU": "giou", "GIoULoss": "giou",
    },
    "optimizer": {
        "Adam": "adam", "ADAM": "adam", "AdamW": "adamw", "SGD": "sgd", "RMSProp": "rmsprop", "rms_prop": "rmsprop", "L-BFGS": "lbfgs",
        "RAdam": "radam", "lm": "levenberg_marquardt", "LevenbergMarquardt": "levenberg_marquardt",
    },
}  # fmt: skip


@pytest.mark.parametrize(("what", "name"), [(what, name) for what, names in SAME.items() for name in names])
def test_other_spellings_of_names_are_accepted(what: str, name: str) -> None:
    module = {"loss": pynn.losses, "optimizer": pynn.optim}[what]
    assert type(module.get(name)) is module.by_name[SAME[what][name]]


def test_loss_in_another_spelling_is_fused_and_saved(tmp_path: Any) -> None:
    given, plain = (pynn.Sequential(pynn.Linear(4, 3, seed=0), "Softmax") for _ in range(2))
    for model, loss, optimizer in ((given, "CE", "Adam"), (plain, "cross_entropy", "adam")):
        model.fit(X, y, loss=loss, optimizer=optimizer, epochs=2, seed=0)
    np.testing.assert_array_equal(given[0].weight, plain[0].weight)
    given.save(tmp_path / "model")
    assert pynn.load(tmp_path / "model").evaluate(X, y) == plain.evaluate(X, y)


def test_synonyms_refer_to_existing_names() -> None:
    ours = {*pynn.losses.by_name, *pynn.optim.by_name, *pynn.metrics.by_name, *(row["name"] for row in _core.ACTIVATIONS)}
    for table in (_tables._SUGGESTIONS, _tables._SYNONYMS):
        assert {name for names in table.values() for name in names} <= ours
        assert all(_tables._bare(name) == name for name in table)


def test_masked_and_sparse_arrays() -> None:
    """A masked array without masked elements is accepted. SciPy's sparse arrays are rejected, but may be given as dense batches."""
    plain, model = net(), net()
    plain.fit(X, y, **cross, seed=0)
    model.fit(np.ma.masked_array(X), np.ma.masked_array(y), **cross, seed=0)
    assert np.array_equal(model.predict(X), plain.predict(X))
    sparse = pytest.importorskip("scipy.sparse")
    for kind in (sparse.csr_matrix, sparse.csr_array, sparse.coo_array):
        with pytest.raises(TypeError, match=rf"X: got a sparse {kind.__name__}, expected a dense array"):
            net().fit(kind(X), y, **cross)
    again, rows = net(), sparse.csr_array(X)
    again.fit(lambda: ((rows[[i]].toarray(), y[[i]]) for i in range(12)), **cross, epochs=2)
    one_by_one = net()
    one_by_one.fit(X, y, **cross, epochs=2, batch_size=1, shuffle=False)
    assert np.array_equal(again.predict(X), one_by_one.predict(X))


def test_rejected_fit_changes_nothing() -> None:
    model = net()
    before = model.state_dict()
    for arguments in ({"y": y + 1}, {"y": y, "validation_data": (X, y + 7)}, {"y": y, "epochs": -1}):
        with pytest.raises(ValueError, match=r"class|epochs"):
            model.fit(X, **{**cross, "epochs": 3, **arguments})
        assert all(np.array_equal(a, before[name]) for name, a in model.params.items())
    model.fit(X, y, **cross)


@pytest.mark.parametrize("call", [
    lambda: pynn.Linear(2**40, 2**40), lambda: pynn.Linear(2**62, 4), lambda: pynn.Linear(2**70, 1),
    lambda: pynn.Linear(1, 1)(np.broadcast_to(np.float32(1), (2**45, 1))), lambda: net().predict(np.broadcast_to(1.0, (2**50, 4))),
])  # fmt: skip
def test_sizes_beyond_memory_raise(call: Any) -> None:
    with pytest.raises((MemoryError, ValueError, OverflowError)):
        call()


# ---- the compiled core ----------------------------------------------------------------------------------------------
CALLS: dict[str, tuple[Any, int]] = {
    "Graph": (_core.Graph, 2), "Plan": (_core.Plan, 3), "Fit": (_core.Fit, 8), "loss": (_core.loss, 5), "Update": (_core.Update, 1),
    "schedule": (_core.schedule, 4), "power_sum": (_core.power_sum, 2), "lbfgs": (_core.lbfgs, 6),
    "uniform": (_core.uniform, 5), "set_isa": (_core.set_isa, 1), "set_doc": (_core.set_doc, 2),
    "set_threads": (_core.set_threads, 1), "Predictor": (_core.Predictor, 2), "Fit.batch": (lambda *a: fit().batch(*a), 2),
    "Predictor.predict": (lambda a: predictor().predict(a), 1), "Predictor.quick": (lambda a: predictor().quick(a), 1),
    "Predictor.score": (lambda *a: predictor().score(*a), 3),
    "Graph.add": (lambda *a: _core.Graph("float64", (3,)).add(*a), 6), "Graph.input": (lambda a: _core.Graph("float64", (3,)).input(a), 1),
    "Graph.outputs": (lambda a: _core.Graph("float64", (3,)).outputs(a), 1), "Graph.shape": (lambda a: graph().shape(a), 1),
    "Plan.forward": (lambda a: plan().forward(a), 1),
    "Plan.backward": (lambda a: plan().backward(a), 1), "trained backward": (lambda a: used().backward(a), 1),
}  # fmt: skip


def graph() -> Any:
    g = _core.Graph("float64", (3,))
    g.add("linear", "here", {"in_features": 3, "out_features": 2, "bias": False}, ((np.ones((2, 3)), np.zeros((2, 3))),))
    return g


def plan() -> Any:
    return _core.Plan(graph(), 4, "backward")


def fit() -> Any:
    return _core.Fit(graph(), None, None, ((pynn.MSELoss()._criterion, 1.0, (0,)),), 4, False, 0, [])


def predictor() -> Any:
    return _core.Predictor(graph(), 3)


def used() -> Any:
    p = plan()
    p.forward(np.ones((4, 3)))
    return p


def segment(*arrays: Any) -> list[Any]:
    """One group of SGD with one parameter."""
    return [(0, SETTINGS, np.zeros((0, 14)), [arrays])]


ONE, TWO, ROWS, SETTINGS = np.zeros(()), np.ones(2), np.ones((4, 3)), np.zeros(15)
ODD = [
    None, True, -1, 0, 1, 2, 3, 2**31, 2**63, -(2**63) - 1, 1.5, float("nan"), 1j, "", "float32", "train",
    "linear", "backward", {"in_features": 3, "out_features": 2, "bias": 0}, {"in_features": "x"}, {1: 2}, "\ud800", b"x", object(), {},
    (), (3,), (-1,), (2**62, 8), ("x",), (1.0,) * 9, [], [()],
    [(0, SETTINGS, np.zeros((0, 14)), [])], [(99, SETTINGS, np.zeros((0, 14)), [])], [(0, np.zeros(9), np.zeros(0), [])],
    [(0, SETTINGS, np.full((1, 14), 99.0), [])], [(0, SETTINGS, np.full((1, 14), np.nan), [3])], np.zeros((2, 14)), SETTINGS,
    segment(TWO, TWO, (TWO,), (ONE,), None), segment(TWO, np.ones(3), (TWO,), (ONE,), None), segment(TWO, TWO, (), (), None),
    segment(TWO, TWO, TWO, TWO, TWO), segment(), segment(TWO, TWO, (None,), (ONE,), TWO), segment(TWO, TWO, (None,), (TWO,), 3),
    ((pynn.MSELoss()._criterion, 1.0, (0,)),),
    ((1, 0, "x"), 3),
    ROWS, ROWS[:, :2], ROWS[0], ROWS.astype("f4"), ROWS[:0], ROWS * 1j, np.ones((4, 6))[:, ::2], np.ones((1,) * 9), np.array(1.0),
    np.zeros(4, int), np.full(4, 9), np.array(["a"]), np.array([None]), np.broadcast_to(1.0, (2**40, 3)), graph(),
]  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=300, deadline=None, database=None)
@given(data=st.data())
def test_core_rejects_random_arguments(name: str, data: st.DataObject) -> None:
    call, arity = CALLS[name]
    arguments = data.draw(st.lists(st.sampled_from(range(len(ODD))), min_size=arity, max_size=arity))
    before, threads = _core.isa(), _core.get_threads()
    try:
        result = call(*(ODD[i] for i in arguments))
        if name == "Plan":
            result.forward(np.ones((*result.output_shapes[0][:1], 3)))
        if name == "Fit":
            result.epoch(0)
        if name == "Update":
            result.step(1, 0)
        if name == "Predictor":
            result.predict(np.ones((7, 3)))
    except (TypeError, ValueError, RuntimeError, OverflowError, MemoryError, UnicodeEncodeError, AttributeError):
        pass
    finally:
        _core.set_isa(before)
        _core.set_threads(threads)


@pytest.mark.parametrize("kind", ["linear", "activation", "rowwise", "reshape", "conv", ""])
@settings(max_examples=100, deadline=None, database=None)
@given(data=st.data(), shape=st.lists(st.integers(0, 2**63), max_size=9))
def test_core_rejects_random_configurations(kind: str, data: st.DataObject, shape: list[int]) -> None:
    number = st.floats() | st.integers(-2, 9)
    value = number | st.lists(number, max_size=9).map(tuple) | st.sampled_from(["gelu", "softmax", "zeros", "", None, 2**64, 10**400])
    fields = [field["name"] for row in _core.layer_kinds() if row["name"] == kind for field in row["fields"]]
    config = data.draw(st.fixed_dictionaries(dict.fromkeys(fields, value), optional={"more": value}))
    try:
        g = _core.Graph("float32", tuple(shape))
        g.add(kind, "here", config, ())
    except (TypeError, ValueError, OverflowError):
        return
    assert all(isinstance(n, int) and n >= 0 for n in g.output_shape)


def test_graph_without_weights_is_rejected() -> None:
    g = _core.Graph("float64", (3,))
    g.add("linear", "here", {"in_features": 3, "out_features": 2, "bias": True}, ())
    with pytest.raises((ValueError, RuntimeError), match="here"):
        _core.Plan(g, 4, "backward")


OWN = sorted(name for name, cls in pynn.Layer.classes.items() if cls.__module__.startswith("pynn."))


@settings(max_examples=50, deadline=None, database=None)
@given(shape=st.lists(st.integers(0, 5), max_size=5), name=st.sampled_from(OWN))
def test_every_input_shape_works_or_is_rejected(shape: list[int], name: str) -> None:
    cls = pynn.Layer.classes[name]
    arguments: dict[str, tuple[Any, ...]] = {"Linear": (3, 2), "Threshold": (0.5, 1.0), "Parallel": ("relu",), "Upsample": (2,)}
    arguments["Activation"] = ("x**2",)
    make: Any = functools.partial(cls, *arguments[name]) if name in arguments else cls
    if any(p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in inspect.signature(make).parameters.values()):
        return  # its arguments cannot be generated
    layer, x = make(), np.ones(shape)
    try:
        gx = layer.backward(np.ones_like(layer(x)))
    except ValueError:
        assert "layers.activation" not in cls.__module__ or hasattr(layer, "dim")
    else:
        assert gx.shape == x.shape


@pytest.mark.parametrize("bad", [-0.1, 1.5, np.inf])
def test_probability_out_of_range_raises(bad: float) -> None:
    with pytest.raises(ValueError, match=r"input: .* is not a probability in \[0, 1\], as BCELoss needs"):
        pynn.BCELoss()([0.5, bad], [1.0, 0.0])
    assert np.isnan(pynn.BCELoss()([0.5, np.nan], [1.0, 0.0]))


def test_nan_in_samples_warns_once_and_is_never_correct() -> None:
    X, y = np.full((6, 4), np.nan), np.zeros(6, int)
    model = pynn.Sequential(pynn.Linear(4, 3, seed=0))
    with pytest.warns(RuntimeWarning, match="the loss is NaN in epoch 1") as caught:
        history = model.fit(X, y, loss="cross_entropy", epochs=3, on_nan="ignore").history
    assert len(caught) == 1
    assert history["accuracy"] == [0, 0, 0]
    single = pynn.Sequential(pynn.Linear(4, 1, seed=0))
    with pytest.warns(RuntimeWarning, match="NaN"):
        assert single.fit(X, np.zeros(6), loss="bce_with_logits", on_nan="ignore").history["accuracy"] == [0]


# ---- values beyond the range of float32 ----------------------------------------------------------------------------------
def _linear(dtype: str = "float32") -> pynn.Sequential:
    return pynn.Sequential(pynn.Linear(3, 1, dtype=dtype, seed=0))


def _with(value: float, *shape: int) -> np.ndarray:
    a = np.zeros(shape)
    a[5, ...] = 0
    a[(5, *[1] * (len(shape) - 1))] = value
    return a


BIG = {
    "predict": lambda v: _linear().predict(_with(v, 8, 3)),
    "predict a view": lambda v: _linear().predict(np.asfortranarray(_with(v, 8, 3))),
    "predict a list": lambda v: _linear().predict(_with(v, 8, 3).tolist()),
    "call": lambda v: _linear()(_with(v, 8, 3)),
    "layer": lambda v: _linear()[0](_with(v, 8, 3)),
    "fit": lambda v: _linear().fit(_with(v, 8, 3), np.ones(8), loss="mse", batch_size=2, seed=0),
    "fit batches": lambda v: _linear().fit([(_with(v, 8, 3), np.ones(8))], loss="mse"),
    "fit a split": lambda v: _linear().fit(_with(v, 8, 3), np.ones(8), loss="mse", shuffle=False, validation_split=0.2),
    "train_on_batch": lambda v: _linear().train_on_batch(_with(v, 8, 3), np.ones(8), loss="mse"),
    "y": lambda v: _linear().fit(np.ones((8, 3)), _with(v, 8), loss="mse"),
    "y of huber": lambda v: _linear().fit(np.ones((8, 3)), _with(v, 8)[:, None], loss="huber"),
    "y to score": lambda v: _linear().evaluate(np.ones((8, 3)), _with(v, 8), loss="mse"),
    "loss": lambda v: pynn.MSELoss()(np.zeros((8, 3), "f4"), _with(v, 8, 3)),
}


@pytest.mark.parametrize("what", BIG)
@pytest.mark.parametrize("value", [1e39, 1.5e300])
def test_values_beyond_float32_are_not_reported_as_infinite(what: str, value: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises((ValueError, ArithmeticError)) as caught:
            BIG[what](value)
    text = str(caught.value)
    assert re.search(rf"{re.escape(f'{value:.6g}')} in row 5\b.* is too large for float32", text), text
    assert ("column 1" in text) == (what not in ("y", "y of huber", "y to score")) or "column 0" in text
    assert "NaN or infinity" not in text
    assert "float64" in text


@pytest.mark.parametrize("score", ["evaluate", "validation"])
def test_scoring_values_beyond_float32_raises(score: str) -> None:
    held = _with(1e39, 8, 3), np.ones(8)
    call = {
        "evaluate": lambda: _linear().evaluate(*held, loss="mse"),
        "validation": lambda: _linear().fit(np.ones((8, 3)), np.ones(8), loss="mse", validation_data=held),
    }[score]
    with pytest.warns(RuntimeWarning, match=r"X: 1e\+39 in row 5, column 1 is too large for float32"):
        call()


def test_infinity_is_reported_and_float64_accepts_large_values() -> None:
    with pytest.raises(pynn.DivergenceError, match="X holds NaN or infinity in row 5"):
        _linear().fit(_with(np.inf, 8, 3), np.ones(8), loss="mse")
    with pytest.raises(ValueError, match=r"y: inf in row 5"):
        _linear().fit(np.ones((8, 3)), _with(np.inf, 8), loss="mse")
    assert np.isfinite(_linear("float64").predict(_with(1e39, 8, 3))).all()
    assert np.isfinite(_linear("float64")(_with(1e39, 8, 3))).all()
    most = float(np.finfo(np.float32).max)
    assert np.isfinite(pynn.Sequential(pynn.ReLU(), pynn.Linear(3, 1, seed=0)).predict(_with(-most, 8, 3))).all()


def test_divergence_on_unscaled_data_recommends_scaling() -> None:
    X = np.random.default_rng(0).normal(size=(64, 3)) * 1e6
    for data in (X, X.astype("f4"), (X * 10).astype(int)):
        with pytest.raises(pynn.DivergenceError, match=r"X holds numbers as large as .*scale its columns"):
            _linear().fit(data, X[:, 0], loss="mse", optimizer=pynn.optim.SGD(lr=1.0), epochs=200, seed=0)
    scaled = X / 1e6
    with pytest.raises(pynn.DivergenceError) as caught:
        _linear().fit(scaled, scaled[:, 0], loss="mse", optimizer=pynn.optim.SGD(lr=50.0), epochs=200, seed=0)
    assert "scale its columns" not in str(caught.value)
