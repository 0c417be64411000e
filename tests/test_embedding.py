"""Embedding, EmbeddingBag and Bilinear: values against NumPy, gradients against central differences, invalid indices."""

import json
import pickle
from typing import Any

import numpy as np
import pytest

import pynn

rng = np.random.default_rng(0)
F64: dict[str, Any] = {"dtype": "float64", "seed": 0}


@pytest.mark.parametrize("shape", [(), (4,), (3, 4), (2, 3, 4), (0, 4)])
@pytest.mark.parametrize("padding", [None, 2, -1])
@pytest.mark.parametrize("by_freq", [False, True])
def test_embedding(shape: tuple[int, ...], padding: int | None, by_freq: bool) -> None:
    layer = pynn.Embedding(6, 5, padding, scale_grad_by_freq=by_freq, **F64)
    x, gy = rng.integers(6, size=shape), rng.normal(size=(*shape, 5))
    np.testing.assert_array_equal(layer(x), layer.weight[x])
    assert (layer.backward(gy) == np.zeros(shape)).all()
    expected = np.zeros((6, 5))
    np.add.at(expected, x.reshape(-1), gy.reshape(-1, 5))
    if by_freq:
        expected /= np.maximum(np.bincount(x.reshape(-1), minlength=6), 1)[:, None]
    if padding is not None:
        expected[padding] = 0
        assert (layer.weight[padding] == 0).all()
    np.testing.assert_allclose(layer.grads["weight"], expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, np.inf])
def test_max_norm_rescales_rows(p: float) -> None:
    layer = pynn.Embedding(6, 5, max_norm=0.7, norm_type=p, **F64)
    before, x = layer.weight.copy(), np.array([0, 3, 3, 0])
    norms = np.linalg.norm(before, p, axis=1)
    expected = before * np.where(norms > 0.7, 0.7 / (norms + 1e-7), 1)[:, None]
    np.testing.assert_allclose(pynn.Sequential(layer).predict(x[:, None])[:, 0], expected[x], rtol=1e-12)
    np.testing.assert_array_equal(layer.weight, before)
    np.testing.assert_allclose(layer(x), expected[x], rtol=1e-12)
    np.testing.assert_allclose(layer.weight[[0, 3]], expected[[0, 3]], rtol=1e-12)
    np.testing.assert_array_equal(layer.weight[[1, 2, 4, 5]], before[[1, 2, 4, 5]])


def bags(layer: Any, x: np.ndarray, starts: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Return the reduced bags, computed one by one in NumPy."""
    out = np.zeros((len(starts), layer.embedding_dim))
    for k, (a, b) in enumerate(zip(starts, [*starts[1:], len(x)], strict=True)):
        counted = [i for i in range(a, b) if x[i] != layer.padding_idx]
        rows = layer.weight[x[counted]] * (1 if weights is None else weights[counted, None])
        if counted:
            out[k] = getattr(np, layer.mode)(rows, 0)
    return out


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("form", ["rows", "offsets", "last offset"])
@pytest.mark.parametrize("padding", [None, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_embedding_bag_matches_numpy(mode: str, form: str, padding: int | None, weighted: bool) -> None:
    if weighted and mode != "sum":
        pytest.skip("weights go with sums")
    last = form == "last offset"
    layer = pynn.EmbeddingBag(7, 4, mode=mode, padding_idx=padding, include_last_offset=last, **F64)
    x = rng.integers(7, size=15)
    starts = np.arange(0, 15, 5) if form == "rows" else np.array([0, 4, 4, 9])
    w = rng.normal(size=15) if weighted else None
    given = (x.reshape(3, 5), None) if form == "rows" else (x, np.append(starts, 15) if last else starts)
    weights = None if w is None else w.reshape(given[0].shape)
    expected = bags(layer, x, starts, w)
    np.testing.assert_allclose(layer(*given, weights), expected, rtol=1e-13, atol=1e-15)
    gy = rng.normal(size=expected.shape)
    grads = layer.backward(gy)
    targets = [(layer.weight, layer.grads["weight"].copy())]
    if w is not None:
        targets.append((w, grads[-1].reshape(-1)))
    for a, g in targets:
        for i in np.ndindex(a.shape):
            was, found = a[i], []
            for h in (1e-6, -1e-6):
                a[i] = was + h
                found.append((bags(layer, x, starts, w) * gy).sum())
            a[i] = was
            slope = (found[0] - found[1]) / 2e-6
            assert g[i] == pytest.approx(0 if a.ndim == 2 and i[0] == padding else slope, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("mode", ["sum", "mean"])
@pytest.mark.parametrize("padding", [None, 3])
def test_embedding_bag_gradients_scaled_by_frequency(mode: str, padding: int | None) -> None:
    plain, layer = (pynn.EmbeddingBag(7, 4, mode=mode, padding_idx=padding, scale_grad_by_freq=by, **F64) for by in (False, True))
    x, gy = rng.integers(6, size=(5, 6)), rng.normal(size=(5, 4))
    for each in (plain, layer):
        each(x)
        each.backward(gy)
    uses = np.bincount(x.reshape(-1), minlength=7)
    assert uses.max() > 1
    np.testing.assert_allclose(layer.grads["weight"], plain.grads["weight"] / np.maximum(uses, 1)[:, None], rtol=1e-13)
    with pytest.raises(ValueError, match="scale_grad_by_freq"):
        pynn.EmbeddingBag(7, 4, mode="max", scale_grad_by_freq=True)


@pytest.mark.parametrize("lead", [(6,), (2, 3), (0,)])
@pytest.mark.parametrize("bias", [True, False])
def test_bilinear(lead: tuple[int, ...], bias: bool) -> None:
    layer = pynn.Bilinear(3, 4, 5, bias, **F64)
    a, b, gy = rng.normal(size=(*lead, 3)), rng.normal(size=(*lead, 4)), rng.normal(size=(*lead, 5))
    y = np.einsum("...i,kij,...j->...k", a, layer.weight, b) + (layer.bias if bias else 0)
    np.testing.assert_allclose(layer(a, b), y, rtol=1e-12, atol=1e-14)
    layer.backward(gy)
    layer(a, b)
    ga, gb = layer.backward(gy)  # adds to the gradients of the first call
    np.testing.assert_allclose(ga, np.einsum("...k,kij,...j->...i", gy, layer.weight, b), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(gb, np.einsum("...k,kij,...i->...j", gy, layer.weight, a), rtol=1e-12, atol=1e-14)
    expected = 2 * np.einsum("rk,ri,rj->kij", *(m.reshape(-1, m.shape[-1]) for m in (gy, a, b)))
    np.testing.assert_allclose(layer.grads["weight"], expected, rtol=1e-12, atol=1e-14)
    if bias:
        np.testing.assert_allclose(layer.grads["bias"], 2 * gy.reshape(-1, 5).sum(0), rtol=1e-12, atol=1e-14)


def test_net_with_embedding_trains() -> None:
    X = rng.integers(20, size=(200, 3))
    y = (X.sum(1) > 30).astype(int)
    model = pynn.Sequential(pynn.Embedding(20, 8, seed=0), pynn.Flatten(), pynn.Linear(24, 2, seed=1))
    model.fit(X, y, loss="cross_entropy", optimizer=pynn.optim.Adam(lr=0.05), epochs=40, seed=0)
    assert (model.predict_class(X) == y).mean() > 0.95


@pytest.mark.parametrize("wrong", [7, -1, 1.5])
def test_index_out_of_range_is_reported(wrong: float) -> None:
    layer = pynn.Embedding(7, 2, seed=0)
    x = np.zeros((5, 3))
    x[2, 1] = wrong
    message = f"index 1 of row 2 is {wrong:g}; expected an integer from 0 to 6"
    model = pynn.Sequential(layer, pynn.Flatten(), pynn.Linear(6, 2))
    with pytest.raises(ValueError, match=message):
        layer(x)
    with pytest.raises(ValueError, match=message):
        model.predict(x)
    with pytest.raises(ValueError, match=message):
        model.fit(x, np.zeros(5, int), loss="cross_entropy", shuffle=False)
    assert np.isfinite(model.predict(np.zeros((5, 3)))).all()


def test_invalid_arguments_and_inputs_are_rejected() -> None:
    with pytest.raises(ValueError, match="float64"):
        pynn.Embedding(2**24 + 1, 1)
    with pytest.raises(ValueError, match="padding_idx"):
        pynn.Embedding(3, 1, 3)
    with pytest.raises(ValueError, match="mode"):
        pynn.EmbeddingBag(3, 1, mode="min")
    bag = pynn.EmbeddingBag(3, 1, seed=0)
    with pytest.raises(ValueError, match="offset"):
        bag(np.zeros(4, int), np.array([1, 2]))
    with pytest.raises(ValueError, match="offset"):
        bag(np.zeros(4, int), np.array([0, 3, 2]))
    with pytest.raises(ValueError, match="mode 'sum'"):
        bag(np.zeros((2, 2), int), None, np.ones((2, 2)))
    with pytest.raises(ValueError, match="dimensions"):
        bag(np.zeros(4, int))
    with pytest.raises(ValueError, match="last axis"):
        pynn.Bilinear(2, 3, 4)(np.ones((5, 2)), np.ones((4, 3)).reshape(2, 2, 3)[:, :1].repeat(5, 0)[:5])


def test_from_pretrained_and_copies() -> None:
    table = rng.normal(size=(4, 3))
    layer = pynn.Embedding.from_pretrained(table)
    np.testing.assert_array_equal(layer(np.arange(4)), table)
    assert not layer.parameters()[0].requires_grad
    for made in (layer, pynn.EmbeddingBag(4, 3, mode="max", padding_idx=1), pynn.Bilinear(2, 3, 4, bias=False)):
        again = type(made).from_config(json.loads(json.dumps(made.get_config())))
        assert repr(again) == repr(made) == repr(pickle.loads(pickle.dumps(made))) == repr(eval(f"pynn.{made!r}"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", [[1, 0], [0, 1], [1, 0, 1], [1, 1, 0], [0, 2, 1]])
def test_max_of_a_bag_propagates_nan(order: list[int], dtype: str) -> None:
    bag = pynn.EmbeddingBag(3, 1, mode="max", dtype=dtype)
    bag.weight = np.array([[np.nan], [1.0], [np.inf]])
    y = bag(np.array([order]))
    assert np.isnan(y).all()
    bag.backward(np.ones_like(y))
    np.testing.assert_array_equal(bag.grads["weight"][:, 0], [1, 0, 0])


def test_offsets_too_large_for_float32_are_rejected() -> None:
    n, at = 2**24 + 8, 2**24 + 1
    bag = pynn.EmbeddingBag(2, 1, mode="sum", seed=0)
    with pytest.raises(ValueError, match=r"offsets .*2\*\*24.* use dtype='float64'"):
        bag(np.zeros(n, np.int8), np.array([0, at]))
    wide = pynn.EmbeddingBag(2, 1, mode="sum", dtype="float64")
    wide.weight = np.array([[1.0], [0.0]])
    np.testing.assert_array_equal(wide(np.zeros(n, np.int8), np.array([0, at]))[:, 0], [at, n - at])


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_sums_of_large_bags(mode: str) -> None:
    n = 2_000_000
    bag = pynn.EmbeddingBag(3, 2, mode=mode, padding_idx=2)
    bag.weight = np.array([[0.1, 1.0], [0.1, 3.0], [9.0, 9.0]])
    x = np.arange(n) % 3
    count = int((x != 2).sum()) if mode == "mean" else 1
    expected = bag.weight[x[x != 2]].astype("f8").sum(0) / count
    np.testing.assert_allclose(bag(x[None])[0], expected, rtol=1e-6)
    offsets = np.array([0, 100, n - 70])
    pieces = [x[:100], x[100 : n - 70], x[n - 70 :]]
    expected = np.array([bag.weight[p[p != 2]].astype("f8").sum(0) / (int((p != 2).sum()) if mode == "mean" else 1) for p in pieces])
    np.testing.assert_allclose(bag(x, offsets), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float16, bool])
def test_indices_of_all_integer_dtypes(dtype: Any) -> None:
    layer = pynn.Embedding(3, 2, seed=0)
    x = np.array([[0, 1], [1, 0]]).astype(dtype)
    np.testing.assert_array_equal(layer(x), layer.weight[x.astype(int)])
    net = pynn.Sequential(layer, pynn.Flatten())
    np.testing.assert_array_equal(net.predict(x), layer.weight[x.astype(int)].reshape(2, 4))


@pytest.mark.parametrize("wrong", [np.array([[2**64 - 1]], np.uint64), np.array([[-1]], np.int8), np.array([[2**32]]), np.array([[2**24]])])
def test_indices_out_of_range_are_rejected_in_all_dtypes(wrong: Any) -> None:
    layer = pynn.Embedding(3, 2, seed=0)
    net = pynn.Sequential(layer, pynn.Flatten(), pynn.Linear(2, 1))
    for call in (layer, net, net.predict, lambda x: net.fit(x, np.zeros((1, 1)), loss="mse", optimizer="sgd")):
        with pytest.raises(ValueError, match=r"index 0 of row 0 is .*expected an integer from 0 to 2"):
            call(wrong)
