"""Properties of every loss in the table: values, gradients, sample weights and reductions.

A new row needs no edit here unless it takes a new kind of input or target.
"""

import copy
import itertools
import json
import pickle
import re
import warnings
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import _core, reference
from pynn._tables import parse_docs, parse_parameters

ROWS = {row["name"]: row for row in _core.LOSSES if row["kind"] != "s"}  # sequence losses are tested at the end
rng = np.random.default_rng(1)
reductions = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
each_row = pytest.mark.parametrize("name", ROWS)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "smooth_l1": [{"beta": 0.3}, {"beta": 0.0}], "huber": [{"delta": 0.4}], "quantile": [{"q": 0.9}], "kl_div": [{"log_target": True}],
    "sigmoid_focal": [{"alpha": -1.0, "gamma": 0.5}, {"gamma": 0.0}],
    "focal": [{"gamma": 0.0, "weight": [1.0, 2.0, 0.5, 1.0, 3.0]}, {"gamma": 0.5}],
    "poisson_nll": [{"full": True}, {"log_input": False}], "gaussian_nll": [{"full": True, "eps": 0.01}],
    "hinge_embedding": [{"margin": 2.0}],
    "margin_ranking": [{"margin": 0.7}], "multi_margin": [{"p": 2, "margin": 0.5}, {"weight": [1.0, 2.0, 0.5, 1.0, 3.0]}],
    "cosine_embedding": [{"margin": 0.3}], "triplet_margin": [{"p": 1.0}, {"p": 3.0, "margin": 2.0}],
    "mape": [{"eps": 0.5}], "msle": [{"eps": 0.2}], "tversky": [{"alpha": 0.3, "beta": 1.2, "smooth": 0.1}],
    "generalized_cross_entropy": [{"q": 1.0, "ignore_index": 2}, {"q": 0.01, "weight": [1.0, 2.0, 0.5, 1.0, 3.0]}],
    "dice": [{"smooth": 0.1}], "iou": [{"eps": 0.1}],
    "cross_entropy": [{"label_smoothing": 0.1}, {"weight": [1.0, 2.0, 0.5, 1.0, 3.0], "label_smoothing": 0.3, "ignore_index": 2}],
    "nll": [{"weight": [1.0, 2.0, 0.5, 1.0, 3.0], "ignore_index": 2}], "multilabel_soft_margin": [{"weight": [1.0, 2.0, 0.5, 1.0, 3.0]}],
    "bce": [{"weight": [1.0, 2.0, 0.5]}], "bce_with_logits": [{"weight": [1.0, 2.0, 0.5], "pos_weight": [3.0, 1.0, 0.1]}],
}  # fmt: skip


def boxes(rows: int) -> np.ndarray:
    corner = rng.normal(size=(rows, 2))
    return np.concatenate([corner, corner + 0.2 + 2 * rng.random((rows, 2))], axis=1)


def inputs(row: Any, settings: dict[str, Any], rows: int = 7) -> tuple[np.ndarray, ...]:
    """Return predictions within the loss's domain, of shape (rows, 5), or (rows, 2, 3) if any shape is allowed."""
    count = len([n for n in row["inputs"].split() if n != "target"])
    if row["kind"] == "b":
        return (boxes(rows),)
    found = [rng.normal(size=(rows, 2, 3) if row["kind"] in "ew" else (rows, 5)) * 3 for _ in range(count)]
    if row["takes"] == "probabilities" or settings.get("log_input") is False:
        found[0] = 1 / (1 + np.exp(-found[0]))
    if row["name"] == "nll":
        found[0] = reference.log_softmax(found[0])
    if row["inputs"].endswith("var"):
        found[1] = np.abs(found[1]) + 0.1
    return tuple(found)


def targets(row: Any, x: np.ndarray) -> dict[str, np.ndarray | None]:
    kind, rows, columns = row["target"], len(x), x.shape[-1]
    if row["kind"] == "b":
        return {"boxes": boxes(rows)}
    if kind in "cip":
        labels = {"labels": rng.integers(columns, size=rows)}
        p = reference.softmax(rng.normal(size=x.shape))
        return {**labels, "probabilities": p, "any mass": p / 2} if kind == "p" else labels
    lists = np.array([[*rng.permutation(columns)[: 1 + i % 3], *[-1] * columns][:columns] for i in range(rows)])
    hard, soft = rng.integers(2, size=x.shape), rng.random(x.shape)
    return {
        "r": {"real": rng.normal(size=x.shape)}, "a": {"positive": soft + 0.1},
        "u": {"soft": soft, "hard": hard},
        "s": {"signs": 2 * (hard if row["kind"] == "e" else hard[:, 0]) - 1}, "m": {"lists": lists}, "n": {"none": None},
    }[kind]  # fmt: skip


def make_cases() -> dict[str, tuple[str, dict[str, Any], tuple[np.ndarray, ...], Any]]:
    found = {}
    for name, row in ROWS.items():
        for settings in [{}, *SETTINGS.get(name, [])]:
            x = inputs(row, settings)
            for kind, t in targets(row, x[0]).items():
                found[f"{name} {settings or ''} {kind}"] = name, settings, x, t
    return found


CASES = make_cases()
each_case = pytest.mark.parametrize("case", CASES)
plain = {case: arguments for case, arguments in CASES.items() if not arguments[1]}
first = {name: next(arguments for arguments in plain.values() if arguments[0] == name) for name in ROWS}


def make(name: str, reduction: str = "mean", **settings: Any) -> Any:
    return getattr(pynn, ROWS[name]["cls"])(reduction=reduction, **settings)


def call(loss: Any, x: tuple[np.ndarray, ...], t: Any, **more: Any) -> Any:
    """Call the loss with the target in the position that the row gives."""
    arguments = [*x] if t is None else [*x, t] if loss._row["inputs"].endswith("target") else [x[0], t, *x[1:]]
    return loss(*arguments, **more)


def back(loss: Any, *g: Any) -> tuple[np.ndarray, ...]:
    found = loss.backward(*g)
    return found if isinstance(found, tuple) else (found,)


def divisor(name: str, settings: dict[str, Any], t: Any, values: np.ndarray) -> float:
    """Return the divisor of the mean."""
    if ROWS[name]["target"] not in "cp" or np.ndim(t) != 1:
        return values.size
    counted = t[t != settings.get("ignore_index", -100)]
    return float(np.asarray(settings.get("weight", np.ones(5)))[counted].sum())


@each_case
@reductions
@each_dtype
def test_values_match_the_formula(case: str, reduction: str, dtype: str, isa: str) -> None:
    name, settings, x, t = CASES[case]
    x = tuple(a.astype(dtype) for a in x)
    t = t.astype(dtype) if t is not None and t.dtype.kind == "f" else t
    loss = make(name, reduction, **settings)
    got = call(loss, x, t)
    values = reference.loss(name, tuple(a.astype("f8") for a in x), t if t is None or t.dtype.kind == "i" else t.astype("f8"), **settings)
    expected = {"mean": values.sum() / divisor(name, settings, t, values), "sum": values.sum(), "none": values}[reduction]
    assert got.dtype == dtype
    assert np.shape(got) == np.shape(expected)
    np.testing.assert_allclose(got, expected, **({"rtol": 2e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-11, "atol": 1e-12}))
    unreduced = make(name, "none", **settings)
    call(unreduced, x, t)
    share = 1 / divisor(name, settings, t, values) if reduction == "mean" else 1
    g = np.full(values.shape, share) if reduction != "none" else rng.normal(size=values.shape)
    close = {"rtol": 2e-6, "atol": 1e-7} if dtype == "float32" else {"rtol": 1e-14, "atol": 1e-15}
    for gradient, other in zip(back(loss, g) if reduction == "none" else back(loss), back(unreduced, g), strict=True):
        assert gradient.dtype == dtype
        np.testing.assert_allclose(gradient, other, **close)


@each_case
def test_gradients_match_finite_differences(case: str) -> None:
    name, settings, x, t = CASES[case]
    loss, h = make(name, "sum", **settings), 1e-6
    call(loss, x, t)
    frozen = {"alpha": None} if name == "ciou" else {}
    for k, got in enumerate(back(loss)):
        slope = np.empty_like(x[k])
        for i in np.ndindex(x[k].shape):
            moved = [[a.copy() for a in x] for _ in range(2)]
            for a, step in zip(moved, (h, -h), strict=True):
                a[k][i] += step
            if frozen:  # alpha is a constant in the gradient
                alpha = reference.boxes(x[0][i[0]], t[i[0]], 1e-7)["alpha"]
                high, low = (reference.loss(name, a[0][i[0]][None], t[i[0]][None], alpha=alpha)[0] for a in moved)
            else:
                high, low = (float(call(make(name, "sum", **settings), tuple(a), t)) for a in moved)
            slope[i] = (high - low) / (2 * h)
        np.testing.assert_allclose(got, slope, rtol=1e-5, atol=2e-7)


@pytest.mark.parametrize("case", [c for c, (name, *_) in CASES.items() if ROWS[name]["kind"] != "w"])
def test_a_single_row_gives_the_same_bits_as_in_a_batch(case: str) -> None:
    name, settings, x, t = CASES[case]
    batch = call(make(name, "none", **settings), x, t)
    for i in (0, len(x[0]) - 1):
        one = call(make(name, "none", **settings), tuple(a[i : i + 1] for a in x), None if t is None else t[i : i + 1])
        np.testing.assert_array_equal(one[0], batch[i])


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row["kind"] in "rb"])
def test_a_single_row_needs_no_batch_axis(name: str) -> None:
    _, _, x, t = first[name]
    row, reduction = (tuple(a[2] for a in x), None if t is None else t[2]), "none"
    batch, alone = make(name, reduction), make(name, reduction)
    expected = call(batch, x, t)[2]
    got = call(alone, *row)
    assert np.shape(got) == ()
    assert got == expected
    for gradient, other in zip(back(alone, 2.0), back(batch, np.full(7, 2.0)), strict=True):
        np.testing.assert_array_equal(gradient, other[2])


@pytest.mark.parametrize("case", plain)
@each_dtype
def test_integer_weights_equal_repeated_rows(case: str, dtype: str, isa: str) -> None:
    """A row of weight 2 counts twice, and one of weight 0 not at all, in sums, means and gradients."""
    name, _, x, t = plain[case]
    x, w = tuple(a.astype(dtype) for a in x), np.array([2, 0, 1, 3, 1, 0, 1])
    repeated = tuple(np.repeat(a, w, axis=0) for a in x), None if t is None else np.repeat(t, w, axis=0)
    close = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-14}
    for reduction in ("mean", "sum"):
        weighted, plainly = make(name, reduction), make(name, reduction)
        np.testing.assert_allclose(call(weighted, x, t, sample_weight=w), call(plainly, *repeated), **close)
        for gradient, other in zip(back(weighted), back(plainly), strict=True):
            added = np.zeros_like(gradient)
            np.add.at(added, np.repeat(np.arange(7), w), other)
            np.testing.assert_allclose(gradient, added, **close)
    each = make(name, "none")
    values = call(make(name, "none"), x, t)
    np.testing.assert_allclose(call(each, x, t, sample_weight=w), values * w.reshape(w.shape + (1,) * (values.ndim - 1)), **close)


@each_case
def test_threads_and_blocks_do_not_matter(case: str) -> None:
    """Results are bit-identical for any thread count and, with enough rows for many blocks, equal those of the first rows alone."""
    name, settings, x, t = CASES[case]
    many = 3000
    x, t = tuple(np.resize(a, (many, *a.shape[1:])) for a in x), None if t is None else np.resize(t, (many, *t.shape[1:]))
    w, found = np.resize([1.0, 0.5, 2.0], many), []
    for threads in (1, 2, 7):
        with pynn.num_threads(threads):
            loss = make(name, "sum", **settings)
            found.append((call(loss, x, t, sample_weight=w), *back(loss)))
    few, small = make(name, "sum", **settings), slice(0, 21)
    call(few, tuple(a[small] for a in x), None if t is None else t[small], sample_weight=w[small])
    alone = back(few)
    for value, *grads in found:
        assert value == found[0][0]
        for a, b, c in zip(grads, found[0][1:], alone, strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(a[small], c)


@each_row
def test_an_empty_batch_sums_to_zero(name: str) -> None:
    _, _, x, t = first[name]
    none = tuple(a[:0] for a in x), None if t is None else t[:0]
    loss = make(name, "sum")
    assert call(loss, *none) == 0
    assert [g.shape for g in back(loss)] == [a.shape for a in none[0]]
    assert np.isnan(call(make(name), *none))


@each_row
def test_layout_and_dtype_do_not_matter(name: str) -> None:
    _, _, x, t = first[name]
    expected, twice = call(make(name), x, t), None if t is None else np.repeat(t, 2, axis=0)[::2]
    assert call(make(name), tuple(map(np.asfortranarray, x)), twice) == expected
    assert call(make(name), tuple(a.tolist() for a in x), None if t is None else t.tolist()) == expected
    half = tuple(a.astype("f2") for a in x)
    assert call(make(name), half, t) == call(make(name), tuple(a.astype("f8") for a in half), t)


@pytest.mark.parametrize(("name", "x", "target", "expected"), [
    ("cross_entropy", [[1e4, 0.0]], [1], 1e4), ("cross_entropy", [[-1e4, 0.0]], [1], 0), ("cross_entropy", [[3.0]], [0], 0),
    ("bce_with_logits", [1e4], [0.0], 1e4), ("bce_with_logits", [-1e4], [0.0], 0), ("bce", [1.0], [0.0], 100), ("bce", [0.0], [0.0], 0),
    ("focal", [[1e4, 0.0]], [1], 1e4), ("focal", [[-1e4, 0.0]], [1], 0),
    ("sigmoid_focal", [1e4], [0.0], 0.75e4), ("sigmoid_focal", [-1e4], [0.0], 0),
    ("soft_margin", [1e4], [-1.0], 1e4), ("soft_margin", [1e4], [1.0], 0), ("log_cosh", [1e4], [0.0], 1e4 - np.log(2)),
    ("multilabel_soft_margin", [[1e4, -1e4]], [[0.0, 0.0]], 5e3),
    ("poisson_nll", [-1e4], [0.0], 0), ("iou", [[0, 0, 1, 1]], [[5, 5, 6, 6]], 1),
    ("giou", [[0, 0, 0, 0]], [[1, 1, 2, 2]], 1.75), ("cosine_embedding", [[0.0, 0.0]], [1.0], 1), ("dice", [[0.0, 0.0]], [[0.0, 0.0]], 0),
])  # fmt: skip
@each_dtype
def test_extreme_predictions_stay_finite(name: str, x: list, target: list, expected: float, dtype: str, isa: str) -> None:
    loss = make(name)
    given = (np.array(x, dtype),) * (2 if name == "cosine_embedding" else 1)
    np.testing.assert_allclose(call(loss, given, np.array(target)), expected, rtol=1e-6)
    for g in back(loss):
        assert np.isfinite(g).all()


INF, NAN = np.inf, np.nan
# (name, settings, input, target, value, gradient): limits derived by hand; 0 log 0 = 0, and terms of weight 0 add nothing
LIMITS: list[tuple[str, dict[str, Any], Any, Any, float, Any]] = [
    *(
        (name, settings, [x], [t], value, [slope])
        for name, settings in (
            ("bce_with_logits", {}), ("sigmoid_focal", {"alpha": -1.0}),
            ("sigmoid_focal", {"alpha": -1.0, "gamma": 0.5}), ("sigmoid_focal", {"alpha": -1.0, "gamma": 0.0}),
        )
        for x, t, value, slope in ((-INF, 0.0, 0.0, 0), (INF, 1.0, 0.0, 0), (INF, 0.0, INF, 1), (-INF, 1.0, INF, -1))
    ),
    ("bce_with_logits", {}, [INF], [0.5], INF, [0.5]), ("bce_with_logits", {}, [-INF], [0.5], INF, [-0.5]),
    ("bce_with_logits", {"pos_weight": 0.0}, [-INF], [1.0], 0, [0]), ("bce_with_logits", {"weight": 0.0}, [INF], [0.0], 0, [0]),
    ("sigmoid_focal", {"alpha": 0.0}, [-INF], [1.0], 0, [0]), ("sigmoid_focal", {"alpha": 1.0}, [INF], [0.0], 0, [0]),
    ("bce", {"weight": 0.0}, [1.0], [0.0], 0, [0]),
    ("soft_margin", {}, [INF], [1.0], 0, [0]), ("soft_margin", {}, [-INF], [1.0], INF, [-1]),
    ("multilabel_soft_margin", {}, [[INF, -INF]], [[1.0, 0.0]], 0, [[0, 0]]),
    ("multilabel_soft_margin", {}, [[-INF, INF]], [[1.0, 0.0]], INF, [[-0.5, 0.5]]),
    ("multilabel_soft_margin", {"weight": [0.0, 1.0]}, [[-INF, 0.0]], [[1.0, 0.0]], np.log(2) / 2, [[0, 0.25]]),
    ("kl_div", {}, [-INF, 0.0], [0.0, 1.0], 0, [0, -1]), ("kl_div", {}, [-INF], [1.0], INF, [-1]),
    ("kl_div", {"log_target": True}, [-1.0, 0.0], [-INF, 0.0], 0, [0, -1]), ("kl_div", {"log_target": True}, [-INF], [-INF], 0, [0]),
    ("kl_div", {"log_target": True}, [-INF], [0.0], INF, [-1]),
    ("poisson_nll", {}, [-INF], [0.0], 0, [0]), ("poisson_nll", {}, [-INF], [2.0], INF, [-2]),
    ("poisson_nll", {}, [INF], [2.0], INF, [INF]),
    ("poisson_nll", {"log_input": False}, [INF], [2.0], INF, [1]), ("poisson_nll", {"log_input": False}, [0.0], [0.0], 0, [1]),
    ("hinge_embedding", {}, [INF], [-1.0], 0, [0]), ("hinge_embedding", {}, [-INF], [-1.0], INF, [-1]),
    ("cross_entropy", {}, [[-INF, 0.0]], [0], INF, [[-1, 1]]), ("cross_entropy", {}, [[-INF, 0.0]], [1], 0, [[0, 0]]),
    ("cross_entropy", {"weight": [0.0, 1.0]}, [[-INF, 0.0]], [0], 0, [[0, 0]]),
    ("cross_entropy", {}, [[-INF, 0.0]], [[0.0, 1.0]], 0, [[0, 0]]),
    ("nll", {"weight": [0.0, 1.0]}, [[-INF, 0.0]], [0], 0, [[0, 0]]), ("nll", {}, [[-INF, 0.0]], [0], INF, [[-1, 0]]),
    *(("focal", {"gamma": gamma}, [[-INF, 0.0]], [0], INF, [[-1, 1]]) for gamma in (0.0, 0.5, 2.0)),
    *(("focal", {"gamma": gamma}, [[-INF, 0.0]], [1], 0, [[0, 0]]) for gamma in (0.0, 0.5, 2.0)),
    ("focal", {"weight": [0.0, 1.0]}, [[-INF, 0.0]], [0], 0, [[0, 0]]),
    ("multi_margin", {}, [[INF, 0.0]], [0], 0, [[0, 0]]), ("multi_margin", {}, [[-INF, 0.0]], [0], INF, [[-0.5, 0.5]]),
    ("multi_margin", {"weight": [0.0, 1.0]}, [[-INF, 0.0]], [0], 0, [[0, 0]]),
    ("multilabel_margin", {}, [[INF, -INF]], [[0, -1]], 0, [[0, 0]]),
    ("multilabel_margin", {}, [[-INF, 0.0]], [[0, -1]], INF, [[-0.5, 0.5]]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings", "x", "target", "value", "slope"), LIMITS)
@each_dtype
def test_limits(name: str, settings: dict[str, Any], x: Any, target: Any, value: float, slope: Any, dtype: str, isa: str) -> None:
    x, t = np.array(x, dtype), np.array(target) if np.array(target).dtype.kind == "i" else np.array(target, dtype)
    for many in (1, 21):  # a partial vector, and full vectors
        loss = make(name, "sum", **settings)
        got = loss(np.repeat(x, many, 0), np.repeat(t, many, 0))
        np.testing.assert_allclose(got, many * value, rtol=1e-6)
        np.testing.assert_allclose(loss.backward(), np.repeat(np.array(slope, dtype), many, 0), atol=1e-7)
    model = pynn.Sequential(pynn.Identity())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about infinite losses
        scores = model.evaluate(x, t, loss=make(name, "sum", **settings))
    np.testing.assert_allclose(scores["loss"], value, rtol=1e-6)


@each_dtype
def test_nll_of_log_softmax_is_cross_entropy(dtype: str, isa: str) -> None:
    """Including infinite, NaN, large and equal logits, and any class weights."""
    numbers = np.array([-INF, -1e4, -1.0, 0.0, 2.0, 1e4, INF, NAN], dtype)
    x = np.array(list(itertools.product(numbers, repeat=3)))
    x[:, 1:] = np.where(x[:, 1:] == 1e4, 3.0, x[:, 1:])
    for label, weight in itertools.product(range(3), (None, [0.0, 1.0, 3.0])):
        t = np.full(len(x), label)
        nll, ce = (cls(weight, reduction="none") for cls in (pynn.NLLLoss, pynn.CrossEntropyLoss))
        logs = pynn.log_softmax(x)
        np.testing.assert_allclose(nll(logs, t), ce(x, t), rtol=1e-5, atol=1e-6)
        g, finite = np.ones(len(x)), np.isfinite(x).all(1)
        through = reference.log_softmax_backward(logs[finite].astype("f8"), nll.backward(g)[finite].astype("f8"))
        np.testing.assert_allclose(ce.backward(g)[finite], through, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
@each_dtype
def test_nan_propagates_from_every_position(case: str, dtype: str, isa: str) -> None:
    """NaN in any input and column makes the value NaN, even with weight 0."""
    name, settings, x, t = CASES[case]
    x = tuple(a.astype(dtype) for a in x)
    counts = np.ones(7, bool) if np.ndim(t) != 1 or ROWS[name]["target"] not in "cp" else t != settings.get("ignore_index", -100)
    for k, at in itertools.product(range(len(x)), np.ndindex(x[0].shape[1:])):
        bad = [a.copy() for a in x]
        bad[k][(slice(None), *at)] = np.nan
        if name == "nll":  # reads one column only
            bad[k][:] = np.nan
        for w in (None, np.zeros(7)):
            values = call(make(name, "none", **settings), tuple(bad), t, sample_weight=w)
            seen = values if values.ndim == 1 else values[(slice(None), *at)]
            np.testing.assert_array_equal(np.isnan(seen), counts, err_msg=f"{k} {at}")


@pytest.mark.parametrize("settings", [{"p": INF}, {"p": INF, "swap": True}, {"p": 1.0, "swap": True}, {"p": 3.5, "swap": True}, {"p": 2.0}])
@pytest.mark.parametrize("at", range(3))
def test_triplet_losses_propagate_nan(settings: dict[str, Any], at: int) -> None:
    for k in range(3):
        x = [np.zeros((2, 3)) for _ in range(3)]
        x[k][:, at] = np.nan
        assert np.isnan(pynn.TripletMarginLoss(**settings)(*x)), k


@pytest.mark.parametrize("p", [3.0, 50.0, 1000.0, 0.5])
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_distances_of_any_power_neither_overflow_nor_vanish(p: float, size: float) -> None:
    x, y, z = np.zeros((1, 4)), size * np.array([[3.0, -2.0, 1.0, 1.0]]), np.zeros((1, 4))
    loss = pynn.TripletMarginLoss(p=p, eps=0.0, margin=1e-60)
    expected = size * 3 * np.sum((np.array([3.0, 2.0, 1.0, 1.0]) / 3) ** p) ** (1 / p)
    np.testing.assert_allclose(loss(x, y, z), expected, rtol=1e-12)
    assert np.isfinite(loss.backward()[1]).all()


@pytest.mark.parametrize("name", ["cross_entropy", "nll", "focal"])
@each_dtype
def test_a_batch_of_ignored_rows_has_no_gradient(name: str, dtype: str) -> None:
    """As in PyTorch, the mean is NaN, and the sum and gradients are 0, even if an ignored row contains NaN."""
    x = reference.log_softmax(rng.normal(size=(4, 3))).astype(dtype)
    for bad in (x, np.full_like(x, np.nan)):
        loss, total = make(name), make(name, "sum")
        assert np.isnan(loss(bad, np.full(4, -100)))
        assert total(bad, np.full(4, -100)) == 0
        assert not loss.backward().any()
        assert not total.backward().any()


@pytest.mark.filterwarnings("ignore:NLLLoss takes log-probabilities")
def test_an_ignored_class_is_compared_exactly() -> None:
    """2**53 + 1 is not representable in float64, and uint64 labels must not wrap around into class indices."""
    loss = pynn.CrossEntropyLoss(ignore_index=2**53)
    assert np.isfinite(loss(np.zeros((2, 3)), [0, 2**53]))
    with pytest.raises(ValueError, match="target: class 9007199254740993 in row 1"):
        loss(np.zeros((2, 3)), [0, 2**53 + 1])
    for name in ("cross_entropy", "nll", "focal", "multi_margin"):
        for label in (2**64 - 100, 2**64 - 1, 2**63):
            with pytest.raises(ValueError, match=f"target: {label} in row 1 is not a class index"):
                make(name)(np.zeros((2, 3)), np.array([0, label], np.uint64))
            with pytest.raises(ValueError, match=f"{label} in row 1 is not a class index"):
                pynn.Sequential(pynn.Linear(3, 3)).fit(np.zeros((2, 3)), np.array([0, label], np.uint64), loss=make(name))
    with pytest.raises(ValueError, match="18446744073709551615 in row 1 is not a class index"):
        pynn.MultiLabelMarginLoss()(np.zeros((2, 2)), np.array([[0, 1], [0, 2**64 - 1]], np.uint64))
    assert np.isfinite(pynn.CrossEntropyLoss()(np.zeros((2, 3)), np.array([0, 2], np.uint64)))
    for n in (2**63, -(2**63) - 1):
        with pytest.raises(ValueError, match=f"ignore_index must fit 64 bits, got {n}"):
            pynn.CrossEntropyLoss(ignore_index=n)


# ---- boxes ----------------------------------------------------------------------------------------------------------
BOXES = ["iou", "giou", "ciou"]


@pytest.mark.parametrize("name", BOXES)
@each_dtype
def test_corners_of_a_predicted_box_may_come_in_any_order(name: str, dtype: str, isa: str) -> None:
    """Swapping x1 and x2 swaps their gradients (Rezatofighi et al., 2019, algorithm 2)."""
    x, t = boxes(50).astype(dtype), boxes(50).astype(dtype)
    plain = make(name, "none")
    expected, slope = plain(x, t), plain.backward(np.ones(50))
    for order in ([2, 1, 0, 3], [0, 3, 2, 1], [2, 3, 0, 1]):
        turned = make(name, "none")
        np.testing.assert_array_equal(turned(x[:, order], t), expected)
        np.testing.assert_array_equal(turned.backward(np.ones(50))[:, order], slope)


@pytest.mark.parametrize("name", BOXES)
@each_dtype
def test_box_losses_are_bounded(name: str, dtype: str) -> None:
    """The IoU loss is in [0, 1], GIoU in [0, 2] (section 3 of its paper) and CIoU in [0, 3]; all are 0 at the target."""
    top = {"iou": 1, "giou": 2, "ciou": 3}[name]
    for size in (1e-3, 1.0, 10.0, 1e6, 1e18, 1e30, *([1e200] if dtype == "float64" else [])):
        x, t = (size * rng.normal(size=(500, 4))).astype(dtype), (size * boxes(500)).astype(dtype)
        loss = make(name, "none")
        values = loss(x, t)
        assert (values >= -1e-6).all()
        assert (values <= top + 1e-6).all()
        assert np.isfinite(loss.backward(np.ones(500))).all()
        if size >= 1:
            np.testing.assert_allclose(loss(t, t), 0, atol=1e-5)
    for far in (1.0, 10.0, 1000.0):
        assert 0 <= pynn.GIoULoss()(np.array([[far, far, -far, -far]]), np.array([[0.0, 0, 1, 1]])) <= 2


FLAT = [[0.0, 0, 1, 0], [0, 0, 0, 1], [0.5, 0.5, 0.5, 0.5], [0, 0, 0, 0], [3, 3, 3, 3], [1, 0, 0, 0], [0, 0, 1e-30, 0]]
FLAT += [[0, 0, 1e-200, 1e-200]]


@pytest.mark.parametrize("name", BOXES)
@pytest.mark.parametrize("eps", [1e-7, 0.0])
@each_dtype
def test_flat_boxes_give_finite_results(name: str, eps: float, dtype: str, isa: str) -> None:
    """Value and gradient are finite if either box has no width or height."""
    for x, t in itertools.product([*FLAT, [0, 0, 1, 1]], [*FLAT[:5], [0, 0, 1, 1]]):
        loss = make(name, eps=eps)
        assert np.isfinite(loss(np.array([x], dtype), np.array([t], dtype))), (x, t)
        assert np.isfinite(loss.backward()).all() or (eps == 0 and max(np.ptp(x[::2]), np.ptp(x[1::2])) < 1e-20), (x, t)


def test_the_gradient_of_a_flat_box_matches_finite_differences() -> None:
    """d atan(w / h) / dh = -w / (w^2 + h^2), which is -1 / w at h = 0. The difference is one-sided."""
    loss, t, h = make("ciou"), np.array([[2.0, 2, 3, 4]]), 1e-7
    alpha = reference.boxes(np.array([0.0, 0, 1, 0]), t[0], 1e-7)["alpha"]
    loss(np.array([[0.0, 0, 1, 0]]), t)
    low, high = (reference.loss("ciou", np.array([[0.0, 0, 1, y]]), t, alpha=alpha)[0] for y in (0, h))
    np.testing.assert_allclose(loss.backward()[0, 3], (high - low) / h, rtol=1e-5)


@pytest.mark.parametrize("name", BOXES)
@pytest.mark.parametrize(("box", "problem"), [([1.0, 0, 0, 1], "x2 0 < x1 1"), ([0.0, 3, 1, 2], "y2 2 < y1 3")])
def test_target_boxes_must_have_ordered_corners(name: str, box: list[float], problem: str) -> None:
    good, bad = np.tile([0.0, 0, 1, 1], (4, 1)), np.tile([0.0, 0, 1, 1], (4, 1))
    bad[2] = box
    with pytest.raises(ValueError, match=f"target: the box in row 2 has {problem}"):
        make(name)(good, bad)
    model = pynn.Sequential(pynn.Linear(4, 4))
    for train in (model.fit, model.train_on_batch, model.evaluate):
        with pytest.raises(ValueError, match=f"y: the box in row 2 has {problem}"):
            train(good, bad, loss=name)
    with pytest.raises(ValueError, match=f"the box in row 2 has {problem}"):
        model.fit(good, good, loss=name, validation_data=(good, bad))


@pytest.mark.parametrize("name", BOXES)
@pytest.mark.parametrize("seed", range(8))
def test_a_net_learns_to_locate_rectangles(name: str, seed: int) -> None:
    """The net's raw outputs are the boxes; at first, half of them have swapped corners."""
    draw = np.random.default_rng(0)
    X, y = np.zeros((300, 16, 16), "f4"), np.zeros((300, 4), "f4")
    for i in range(300):
        a, b = draw.integers(0, 10, 2)
        c, d = np.minimum(np.array([a, b]) + draw.integers(3, 7, 2), 16)
        X[i, b:d, a:c] = 1
        y[i] = np.array([a, b, c, d]) / 16
    model = pynn.Sequential(pynn.Linear(256, 64, seed=seed), "relu", pynn.Linear(64, 4, seed=seed + 100))
    losses = model.fit(X.reshape(300, -1), y, loss=name, epochs=40, seed=seed).history["loss"]
    assert min(losses) >= 0
    assert losses[-1] < 0.55, losses[-1]


# ---- weights of samples ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("unit", [1e-300, 1e-45, 1e-30, 2.0**-140, 1e30, 3e38, 1e300])
@each_dtype
def test_scaling_all_weights_keeps_the_mean(case: str, unit: float, dtype: str, isa: str) -> None:
    name, settings, x, t = CASES[case]
    x, w = tuple(a.astype(dtype) for a in x), np.array([1.0, 0.5, 2.0, 0.0, 1.0, 3.0, 1.0])
    plain, scaled = make(name, **settings), make(name, **settings)
    close = {"rtol": 1e-5, "atol": 1e-7} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-15}
    np.testing.assert_allclose(call(scaled, x, t, sample_weight=w * unit), call(plain, x, t, sample_weight=w), **close)
    for a, b in zip(back(scaled), back(plain), strict=True):
        np.testing.assert_allclose(a, b, **close)


@pytest.mark.parametrize("case", CASES)
@reductions
@each_dtype
def test_negative_weights_flip_the_gradient(case: str, reduction: str, dtype: str, isa: str) -> None:
    """Each value is multiplied by its weight; a mean divides by the sum of the magnitudes."""
    name, settings, x, t = CASES[case]
    x, w = tuple(a.astype(dtype) for a in x), np.array([1.0, -0.5, 2.0, 0.0, -1.0, 3.0, -1.0])
    plain, weighted, each = make(name, reduction, **settings), make(name, reduction, **settings), make(name, "none", **settings)
    expected, got = call(plain, x, t, sample_weight=np.abs(w)), call(weighted, x, t, sample_weight=w)
    g = (np.ones(np.shape(expected)),) if reduction == "none" else ()
    close = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-14}
    for a, b in zip(back(weighted, *g), back(plain, *g), strict=True):
        np.testing.assert_allclose(a, b * np.sign(w).reshape(w.shape + (1,) * (a.ndim - 1)), **close)
    if reduction != "none":
        total, positive = (call(each, x, t, sample_weight=v).sum(dtype="f8") for v in (w, np.abs(w)))
        np.testing.assert_allclose(got, total * (expected / positive), **close)


@pytest.mark.parametrize("case", [case for case, (name, *_) in CASES.items() if ROWS[name]["kind"] == "e"])
@reductions
@each_dtype
def test_weights_per_element(case: str, reduction: str, dtype: str, isa: str) -> None:
    name, settings, x, t = CASES[case]
    x = tuple(a.astype(dtype) for a in x)
    w = np.random.default_rng(5).choice([0.0, 0.5, 1.0, -2.0], x[0].shape)
    one, each = make(name, reduction, **settings), make(name, "none", **settings)
    values = call(each, x, t).astype("f8") * w
    expected = {"none": values, "sum": values.sum(), "mean": values.sum() / np.abs(w).sum()}[reduction]
    close = {"rtol": 2e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-14}
    np.testing.assert_allclose(call(one, x, t, sample_weight=w), expected, **close)
    g = np.ones(x[0].shape)
    by = w / np.abs(w).sum() if reduction == "mean" else w
    for a, b in zip(back(one, *((g,) if reduction == "none" else ())), back(each, g), strict=True):
        np.testing.assert_allclose(a, b * by, **close)


def test_weights_per_box_and_per_position() -> None:
    x, t, w = boxes(12).reshape(4, 3, 4), boxes(12).reshape(4, 3, 4), rng.random((4, 3))
    flat = pynn.GIoULoss()
    assert pynn.GIoULoss()(x, t, sample_weight=w) == flat(x.reshape(12, 4), t.reshape(12, 4), sample_weight=w.ravel())
    assert pynn.GIoULoss()(x, t, sample_weight=w[:, 0]) == flat(x.reshape(12, 4), t.reshape(12, 4), sample_weight=np.repeat(w[:, 0], 3))
    with pytest.raises(ValueError, match=r"sample_weight: shape \(3,\) does not fit; expected \(4,\) or \(4, 3\)"):
        flat(x, t, sample_weight=np.ones(3))


def test_weights_too_large_for_float32_raise() -> None:
    with pytest.raises(ValueError, match="sample_weight: 1e\\+50 is too large for float32"):
        pynn.MSELoss(reduction="sum")(np.ones(2, "f4"), np.zeros(2, "f4"), sample_weight=[1.0, 1e50])


# ---- one backward per call ------------------------------------------------------------------------------------------
@each_row
@reductions
def test_backward_returns_a_gradient_once(name: str, reduction: str) -> None:
    _, _, x, t = first[name]
    loss = make(name, reduction)
    value = call(loss, x, t)
    g = (np.ones(np.shape(value)),) if reduction == "none" else ()
    with pytest.raises(TypeError, match="g: "):
        loss.backward(*(() if g else (1.0,)))  # a rejected argument leaves the gradient available
    back(loss, *g)
    with pytest.raises(RuntimeError, match=rf"{ROWS[name]['cls']}.backward: .* call the loss before each backward"):
        loss.backward(*g)
    call(loss, x, t)
    assert len(back(loss, *g)) == len(x)


@each_row
def test_a_failed_call_leaves_no_gradient(name: str) -> None:
    _, _, x, t = first[name]
    loss = make(name)
    call(loss, x, t)
    with pytest.raises(ValueError, match="sample_weight"):
        call(loss, x, t, sample_weight=np.ones(99))
    with pytest.raises(RuntimeError, match="backward"):
        loss.backward()


def test_ctc_and_function_losses_return_a_gradient_once() -> None:
    ctc, custom = pynn.CTCLoss(), pynn.FunctionLoss(lambda x, t: (x - t, np.ones_like(x)))
    for loss, arguments in ((ctc, (np.zeros((2, 1, 3)), [[1]], [2], [1])), (custom, (np.ones(3), np.zeros(3)))):
        loss(*arguments)
        loss.backward()
        with pytest.raises(RuntimeError, match="call the loss before each backward"):
            loss.backward()
        loss(*arguments)
        with pytest.raises(TypeError):
            loss(np.zeros(3, "U1"), *arguments[1:])
        with pytest.raises(RuntimeError, match="backward"):
            loss.backward()


def test_small_errors_keep_their_accuracy() -> None:
    d = np.array([1e-9, 1e-5, 1e-3])
    np.testing.assert_allclose(make("log_cosh", "none")(d, 0 * d), d**2 / 2 - d**4 / 12, rtol=1e-13)
    np.testing.assert_allclose(make("bce_with_logits", "none")([50.0, -50.0], [1.0, 0.0]), np.exp([-50.0, -50.0]), rtol=1e-13)


@each_row
def test_nan_predictions_give_nan(name: str) -> None:
    _, _, x, t = first[name]
    for k in range(len(x)):
        bad = [a.copy() for a in x]
        bad[k][0] = np.nan
        assert np.isnan(call(make(name), tuple(bad), t))


@pytest.mark.parametrize("case", CASES)
@reductions
def test_copies_give_the_same_values(case: str, reduction: str) -> None:
    name, settings, x, t = CASES[case]
    loss = make(name, reduction, **settings)
    from_config = type(loss)(**json.loads(json.dumps(loss.get_config())))
    for clone in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss), eval(repr(loss), {**vars(pynn)}), from_config):
        assert repr(clone) == repr(loss)
        np.testing.assert_array_equal(call(clone, x, t), call(loss, x, t))


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda loss: pickle.loads(pickle.dumps(loss))])
def test_a_copy_has_no_pending_gradient(how: Any) -> None:
    loss = pynn.MSELoss()
    loss(np.ones(3), np.zeros(3))
    clone = how(loss)
    with pytest.raises(RuntimeError, match="needs a preceding call: L = loss"):
        clone.backward()
    clone(np.zeros(3), np.zeros(3))
    np.testing.assert_allclose(loss.backward(), 2 / 3)


def test_callers_may_modify_the_gradient() -> None:
    loss = pynn.MSELoss()
    loss(np.ones(3), np.zeros(3))
    loss.backward()[...] = 7
    loss(np.ones(3), np.zeros(3))
    np.testing.assert_allclose(loss.backward(), 2 / 3)


def test_batchmean_divides_the_sum_by_rows() -> None:
    _, _, x, t = first["kl_div"]
    loss = pynn.KLDivLoss(reduction="batchmean")
    np.testing.assert_allclose(call(loss, x, t), call(pynn.KLDivLoss(reduction="sum"), x, t) / 7)
    with pytest.raises(ValueError, match="reduction: expected 'mean', 'sum' or 'none', got 'batchmean'"):
        pynn.MSELoss(reduction="batchmean")


@pytest.mark.parametrize("shape", [(4, 5, 3), (2, 5, 3, 2)])
@pytest.mark.parametrize("kind", ["labels", "probabilities"])
@reductions
def test_classes_on_the_second_axis(shape: tuple[int, ...], kind: str, reduction: str) -> None:
    """Positions on further axes count as rows."""
    x, flat = rng.normal(size=shape), lambda a: np.moveaxis(a, 1, -1).reshape(-1, 5)
    labels = rng.integers(5, size=(shape[0], *shape[2:]))
    t = labels if kind == "labels" else reference.softmax(rng.normal(size=shape), 1)
    nested, rows = pynn.CrossEntropyLoss(reduction=reduction), pynn.CrossEntropyLoss(reduction=reduction)
    got, expected = nested(x, t), rows(flat(x), labels.ravel() if kind == "labels" else flat(t))
    np.testing.assert_array_equal(np.ravel(got), np.ravel(expected))
    g = rng.normal(size=labels.shape)
    a, b = (nested.backward(g), rows.backward(g.ravel())) if reduction == "none" else (nested.backward(), rows.backward())
    assert a.shape == shape
    np.testing.assert_array_equal(flat(a), b)
    w = np.arange(1.0, shape[0] + 1)
    spread = np.broadcast_to(w.reshape(-1, *[1] * (len(shape) - 2)), labels.shape)
    assert np.array_equal(nested(x, t, sample_weight=w), nested(x, t, sample_weight=spread))


@pytest.mark.parametrize("shape", [(7, 2, 3), (7, 2, 1), (7, 2), (1, 2, 3), (1, 1, 1), ()])
def test_variances_broadcast_and_their_gradients_are_summed(shape: tuple[int, ...]) -> None:
    x, t, var = rng.normal(size=(7, 2, 3)), rng.normal(size=(7, 2, 3)), np.abs(rng.normal(size=shape)) + 0.5
    full = np.broadcast_to(var[..., None] if shape == (7, 2) else var, x.shape)
    for g in ((), (rng.normal(size=x.shape),)):
        spread, expanded = (pynn.GaussianNLLLoss(reduction="none" if g else "mean") for _ in range(2))
        np.testing.assert_array_equal(spread(x, t, var), expanded(x, t, full))
        (gx, gv), (hx, hv) = spread.backward(*g), expanded.backward(*g)
        np.testing.assert_array_equal(gx, hx)
        assert gv.shape == shape
        np.testing.assert_allclose(gv.sum(), hv.sum())


# ---- errors ---------------------------------------------------------------------------------------------------------
@each_row
def test_mismatched_shapes_raise(name: str) -> None:
    _, _, x, t = first[name]
    names = [n for n in ROWS[name]["inputs"].split() if n != "target"]
    loss = make(name)
    if t is not None:
        with pytest.raises(ValueError, match=rf"target: shape .*{t[:3].shape[0]}.*{names[0]} of shape \({len(x[0])}, "):
            call(loss, x, t[:3])
    for k in range(1, len(x)):
        with pytest.raises(ValueError, match=rf"{names[k]}: shape \(3, .* differs from that of {names[0]}, \(7, "):
            call(loss, (*x[:k], x[k][:3], *x[k + 1 :]), t)
    with pytest.raises(ValueError, match=r"sample_weight: shape \(3,\) does not fit; expected \(7,\)"):
        call(loss, x, t, sample_weight=np.ones(3))
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match=r"sample_weight: .* in row 2"):
            call(loss, x, t, sample_weight=[1, 1, bad, 1, 1, 1, 1])
    with pytest.raises(RuntimeError, match="needs a preceding call"):
        make(name).backward()


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row["check"]])
def test_invalid_settings_raise(name: str) -> None:
    row = ROWS[name]
    numbers = [n for n, default in parse_parameters(row["params"]).defaults.items() if n in row["check"] and not isinstance(default, bool)]
    for n in numbers:
        wrong = {"q": 77.0, "margin": -np.inf}.get(n, -77.0 if n not in ("p", "blank") else -77)
        with pytest.raises(ValueError, match=f"{row['cls']}: got .*{n}={wrong}"):
            make(name, **{n: wrong})
        if n not in ("p", "blank"):
            with pytest.raises(ValueError, match=f"{row['cls']}: got .*{n}=nan"):
                make(name, **{n: np.nan})
        with pytest.raises(TypeError, match=f"{row['cls']}: {n} must be"):
            make(name, **{n: "x"})


ERRORS = {
    "class weights": (
        lambda: pynn.NLLLoss([1.0, 2.0])(np.ones((2, 3)), [0, 1]),
        r"weight: shape \(2,\) does not fit input of shape \(2, 3\); expected \(3,\)",
    ),
    "elements' weights": (
        lambda: pynn.BCELoss([1.0, 2.0])(np.ones((2, 3)), np.ones((2, 3))),
        r"weight: shape \(2,\) does not broadcast .* \(2, 3\)",
    ),
    "infinite weight": (
        lambda: pynn.BCELoss([1.0, np.inf]),
        "weight: inf is not a finite number",
    ),
    "sign": (
        lambda: pynn.SoftMarginLoss()([1.0, 2.0], [1.0, 0.0]),
        "target: 0 in row 1 is not 1 or -1, as SoftMarginLoss needs",
    ),
    "class": (
        lambda: pynn.MultiMarginLoss()(np.ones((2, 3)), [0, 3]),
        r"target: class 3 in row 1 is not in 0\.\.2",
    ),
    "class list": (
        lambda: pynn.MultiLabelMarginLoss()(np.ones((2, 3)), [[0, -1, -1], [-2, 1, 1]]),
        "target: class -2 in row 1",
    ),
    "variance": (
        lambda: pynn.GaussianNLLLoss()([1.0], [1.0], [-0.5]),
        "var: -0.5 is negative",
    ),
    "probability": (
        lambda: pynn.DiceLoss()([[1.5]], [[1.0]]),
        r"input: 1.5 is not a probability in \[0, 1\], as DiceLoss needs$",
    ),
    "boxes": (
        lambda: pynn.IoULoss()(np.ones((2, 3)), np.ones((2, 3))),
        r"input: expected boxes of shape \(\.\.\., 4\), got \(2, 3\)",
    ),
    "fit, several inputs": (
        lambda: fit(pynn.TripletMarginLoss()),
        "TripletMarginLoss takes 3 outputs, and this net has 1",
    ),
    "fit, lists": (
        lambda: fit(pynn.MultiLabelMarginLoss(), np.full((4, 2), 2)),
        r"y: class 2 in row 0 is not in 0\.\.1",
    ),
    "fit, sequences": (
        lambda: fit("ctc", np.zeros((4, 2), int)),
        r"CTCLoss takes \(log_probs targets input_lengths target_lengths\), but fit does not support sequence lengths",
    ),
    "fit, weights": (
        lambda: fit(pynn.CrossEntropyLoss([1.0, 2.0, 3.0]), np.zeros(4, int)),
        "weight: 3 values do not fit predictions of 2 columns",
    ),
}


def fit(loss: Any, y: Any = None) -> None:
    pynn.Sequential(pynn.Linear(3, 2)).fit(np.ones((4, 3)), np.ones((4, 2)) if y is None else y, loss=loss)


@pytest.mark.parametrize("case", ERRORS)
def test_errors_describe_the_problem(case: str) -> None:
    with pytest.raises(ValueError, match=ERRORS[case][1]):
        ERRORS[case][0]()


@pytest.mark.parametrize("row", _core.LOSSES, ids=lambda row: row["name"])
def test_each_parameter_is_documented_by_its_row(row: Any) -> None:
    texts, parameters = parse_docs(row["docs"]), parse_parameters(row["params"]).defaults
    assert parameters.keys() <= texts.keys() <= parameters.keys() | set(row["inputs"].split())
    cls = getattr(pynn, row["cls"])
    for name, text in texts.items():
        owner = cls if name in parameters else cls.__call__
        assert re.search(rf"^{name} : .+\n    {re.escape(text)}$", owner.__doc__, re.M)
    assert row["source"] in cls.__doc__


def test_from_logits_names_a_loss_of_logits() -> None:
    rows = {row["name"]: row for row in _core.LOSSES}
    linked = [row["from_logits"] for row in _core.LOSSES if row["from_logits"]]
    assert linked
    assert {rows[name]["takes"] for name in linked} == {"logits"}


def test_settings_are_read_only() -> None:
    loss = pynn.HuberLoss(delta=0.5)
    assert loss.delta == 0.5
    with pytest.raises(AttributeError, match="delta cannot be changed after a HuberLoss is created"):
        loss.delta = 1.0
    with pytest.raises(AttributeError, match="'HuberLoss' object has no attribute 'beta'"):
        loss.beta  # noqa: B018


# ---- fit ------------------------------------------------------------------------------------------------------------
def out_of_domain(name: str) -> tuple[np.ndarray, ...]:
    """Return 9 rows of inputs, of which the last is outside the loss's domain."""
    row = ROWS[name]
    x = [np.full((9, 2), 0.5) for part in row["inputs"].split() if part != "target"]
    x[int(row["has_variance"])][-1, 1] = -0.25
    return tuple(x)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row["takes"] == "probabilities" or row["has_variance"]])
@pytest.mark.parametrize("way", ["fit", "train_on_batch", "evaluate", "validation"])
@pytest.mark.filterwarnings("ignore:.*the last layer is Linear")
def test_training_checks_outputs_as_a_call_checks_inputs(name: str, way: str) -> None:
    x, t = out_of_domain(name), np.ones((9, 2))
    with pytest.raises(ValueError, match=r"-0\.25 is (not a probability|negative)") as problem:
        call(make(name), x, t)
    inputs = [pynn.Input(2) for _ in x]
    ends = [pynn.Linear(2, 2, dtype="float64", seed=0)(one) for one in inputs]
    model = pynn.Model(inputs, ends)
    for layer in model.layers:
        layer.weight[...], layer.bias[...] = np.eye(2), 0
    loss: Any = make(name)
    expected = "the model's (output|variance): -0.25" + str(problem.value).partition("-0.25")[2].replace("[", r"\[")
    inside: Any = tuple(np.full((9, 2), 0.5) for _ in x)
    given: Any = x if len(x) > 1 else x[0]
    settings: dict[str, Any] = {"loss": loss, "optimizer": pynn.optim.SGD(lr=0.0)}
    if way == "evaluate":
        model.fit(inside if len(x) > 1 else inside[0], t, **settings, epochs=1)
    before = [p.data.copy() for p in model.parameters()]
    run = {
        "fit": lambda: model.fit(given, t, **settings, epochs=1, batch_size=4, shuffle=False),
        "validation": lambda: model.fit(inside if len(x) > 1 else inside[0], t, **settings, epochs=1, validation_data=(given, t)),
        "train_on_batch": lambda: model.train_on_batch(given, t, **settings),
        "evaluate": lambda: model.evaluate(given, t),
    }
    with pytest.raises(ValueError, match=expected):
        run[way]()
    for p, old in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.data, old)


@pytest.mark.parametrize("loss", [
    pynn.HuberLoss(delta=0.3), pynn.BCEWithLogitsLoss(pos_weight=[3.0, 0.5]), pynn.KLDivLoss(reduction="batchmean", log_target=True),
    pynn.CrossEntropyLoss([1.0, 4.0], ignore_index=-1, label_smoothing=0.1), pynn.FocalLoss(gamma=1.0),
])  # fmt: skip
def test_fit_uses_the_settings(loss: Any) -> None:
    """With one batch, fit reports the loss of a call and takes a step along its gradient."""
    X, y = rng.normal(size=(9, 3)), rng.random((9, 2))
    if loss._row["target"] in "cp":
        y = np.array([0, 1, 1, 0, 1, 1, 0, 1, 0]) - (loss._row["target"] == "p") * np.array([0, 0, 0, 1, 0, 0, 0, 0, 0])
    last = ["log_softmax"] if loss._row["takes"] == "log-probabilities" else []
    model, clone = (pynn.Sequential(pynn.Linear(3, 2, dtype="float64", seed=0), *last) for _ in range(2))
    history = model.fit(X, y, loss=loss, optimizer=pynn.optim.SGD(lr=0.1), epochs=1, batch_size=9, shuffle=False).history
    np.testing.assert_allclose(history["loss"], [float(loss(clone(X), y))], rtol=1e-12)
    clone.backward(loss.backward())
    np.testing.assert_allclose(model[0].weight, clone[0].weight - 0.1 * clone[0].grads["weight"], rtol=1e-12)


# ---- custom functions -----------------------------------------------------------------------------------------------
def squares(x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (x - t) ** 2, 2 * (x - t)


@reductions
@each_dtype
def test_a_function_matches_the_table_loss(reduction: str, dtype: str) -> None:
    x, t, w = rng.normal(size=(5, 3)).astype(dtype), rng.normal(size=(5, 3)).astype(dtype), np.array([1.0, 0.0, 2.0, 0.5, 1.0])
    custom, table = pynn.FunctionLoss(squares, reduction=reduction), pynn.MSELoss(reduction=reduction)
    by_row = pynn.FunctionLoss(lambda a, b: (squares(a, b)[0].sum(1), squares(a, b)[1]), reduction=reduction)
    for weight in (None, w):
        got, expected = custom(x, t, sample_weight=weight), table(x, t, sample_weight=weight)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, rtol=1e-6)
        g = (rng.normal(size=(5, 3)),) if reduction == "none" else ()
        np.testing.assert_allclose(custom.backward(*g), table.backward(*g), rtol=1e-6)
        rows = {"mean": 3 * expected, "sum": expected, "none": expected.sum(-1)}[reduction]
        np.testing.assert_allclose(by_row(x, t, sample_weight=weight), rows, rtol=1e-5)
    if reduction != "none":
        number = pynn.FunctionLoss(lambda a, b: (squares(a, b)[0].sum(), squares(a, b)[1]), reduction=reduction)
        np.testing.assert_allclose(number(x, t), pynn.MSELoss(reduction="sum")(x, t), rtol=1e-6)
        np.testing.assert_allclose(number.backward(), 2 * (x - t), rtol=1e-6)


@pytest.mark.parametrize(("function", "error", "message"), [
    (3, TypeError, "function: expected a callable"), (lambda x, t: (x[:2], x), ValueError, r"its value has shape \(2, 3\)"),
    (lambda x, t: (x.sum(), x[0]), ValueError, r"its gradient has shape \(3,\), expected \(5, 3\)"),
])  # fmt: skip
def test_invalid_functions_raise(function: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pynn.FunctionLoss(function)(np.ones((5, 3)), np.ones((5, 3)))


# ---- sequences ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("labels", [[1], [1, 2], [2, 2], [1, 2, 1], [], [1, 1, 1], [2, 1, 2, 1, 2]])
def test_ctc_is_the_sum_over_all_paths(labels: list[int]) -> None:
    logits = rng.normal(size=(5, 3))
    x = reference.log_softmax(logits)
    loss, h = pynn.CTCLoss(reduction="sum"), 1e-6
    expected = reference.ctc(x, np.array(labels))
    np.testing.assert_allclose(loss(x, np.array(labels, int), 5, len(labels)), expected, rtol=1e-12)
    if np.isinf(expected):
        return
    got, slope = reference.log_softmax_backward(x, loss.backward()), np.empty_like(logits)
    for i in np.ndindex(logits.shape):
        high, low = logits.copy(), logits.copy()
        high[i] += h
        low[i] -= h
        above, below = (reference.ctc(reference.log_softmax(a), np.array(labels)) for a in (high, low))
        slope[i] = (above - below) / (2 * h)
    np.testing.assert_allclose(got, slope, rtol=1e-5, atol=1e-8)


@each_dtype
def test_ctc_of_a_batch_matches_single_sequences(dtype: str, isa: str) -> None:
    x = reference.log_softmax(rng.normal(size=(6, 3, 4))).astype(dtype)
    padded, flat, steps, lengths = [[1, 2, 0], [3, 3, 1], [2, 0, 0]], [1, 2, 3, 3, 1, 2], [6, 5, 0], [2, 3, 1]
    each = pynn.CTCLoss(reduction="none")
    values = each(x, padded, steps, lengths)
    assert values.dtype == dtype
    assert np.isinf(values[2])
    np.testing.assert_array_equal(values, each(x, flat, steps, lengths))
    single = pynn.CTCLoss(reduction="none")
    assert single(x[:, 0], [1, 2], 6, 2) == values[0]
    g = single.backward(2.0)
    np.testing.assert_array_equal(g, (each(x, padded, steps, lengths), each.backward([2.0, 1.0, 1.0]))[1][:, 0])
    finite = pynn.CTCLoss(zero_infinity=True)
    np.testing.assert_allclose(finite(x, padded, steps, lengths), (values[0] / 2 + values[1] / 3) / 3, rtol=1e-6)
    back = finite.backward()
    assert np.isfinite(back).all()
    assert not back[5:, 1].any()
    assert not back[:, 2].any()
    bad = x.copy()
    bad[0, 0] = np.nan
    assert np.isnan(each(bad, padded, steps, lengths)[0])


@pytest.mark.parametrize(("arguments", "message"), [
    (([[1]], [3], [1]), "input_lengths: 3 of sequence 0 is not in 0..2"), (([[1]], [2], [2]), "target_lengths: 2 "),
    (([[0]], [2], [1]), "targets: class 0 of sequence 0 is the blank"), (([[4]], [2], [1]), "targets: class 4 of sequence 0"),
    (([[1], [1]], [2], [1]), r"targets: shape \(2, 1\)"), (([[1]], [2, 2], [1]), r"input_lengths: shape \(2,\)"),
])  # fmt: skip
def test_ctc_rejects_invalid_arguments(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pynn.CTCLoss()(np.zeros((2, 1, 3)), *arguments)
    with pytest.raises(ValueError, match=r"blank: class 7 is not in 0\.\.2"):
        pynn.CTCLoss(blank=7)(np.zeros((2, 1, 3)), [[1]], [2], [1])


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("name", ["mse", "huber", "cross_entropy"])
def test_the_byte_order_of_predictions_does_not_matter(name: str, kind: str) -> None:
    target = np.zeros(2, int) if name == "cross_entropy" else np.zeros((2, 3))
    found = []
    for order in "<>":
        loss = pynn.losses.get(name)
        found.append((loss(np.ones((2, 3), order + kind), target).dtype, loss.backward().dtype))
    assert found[0] == found[1] == (np.dtype(kind), np.dtype(kind))
