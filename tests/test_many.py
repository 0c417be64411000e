"""Many trainings in one call: the bits of single ones, row subsets, stopping, failures and interrupts."""

import threading

import numpy as np
import pytest

import pynn
from pynn import _core


def _data(rows=90, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, 6))
    return X, (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 0)


def _core_fit(net, X, y, **options):
    objective, graph, _ = net._trainable("cross_entropy", None, (X,))
    opt = net._optimizer("adam")
    return _core.Fit(graph, X, y, objective.criteria, 8, options.pop("shuffle"), 3, opt.core_groups(), **options)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
def test_core_reads_a_subset_as_it_reads_a_copy(shuffle, drop_last):
    X, y = _data()
    rows = np.random.default_rng(1).permutation(90)[:43]
    rows[3] = rows[4]
    seen = []
    for data, target, options in ((X[rows], y[rows], {}), (X, y, {"rows": rows})):
        net = pynn.Sequential(pynn.Linear(6, 5, seed=0), "tanh", pynn.Linear(5, 3, seed=1))
        fit = _core_fit(net, data, target, shuffle=shuffle, drop_last=drop_last, **options)
        kept = fit.keep(43)
        scores = [fit.epoch(k) for k in range(3)]
        order = fit.order
        seen.append((scores, kept[0].tobytes(), None if order is None else order.tolist(), net.state_dict()))
    (scores, kept, order, state), (others, same, places, other) = seen
    assert scores == others
    assert kept == same
    assert order == places
    assert all((state[name] == other[name]).all() for name in state)


def test_core_scores_and_predicts_a_subset():
    X, y = _data(700)
    net = pynn.Sequential(pynn.Linear(6, 3, seed=0))
    rows = np.random.default_rng(1).permutation(700)[:600]
    objective, graph, _ = net._trainable("cross_entropy", None, (X,))
    predictor = _core.Predictor(graph, 256)
    assert (predictor.predict(X, rows) == predictor.predict(X[rows])).all()
    assert predictor.score(X, y, objective.criteria, None, rows) == predictor.score(X[rows], y[rows], objective.criteria)


@pytest.mark.parametrize("row", [-1, 90])
def test_core_refuses_rows_that_are_not_there(row):
    X, y = _data()
    net = pynn.Sequential(pynn.Linear(6, 3, seed=0))
    with pytest.raises(IndexError, match=f"there is no row {row} among 90"):
        _core_fit(net, X, y, shuffle=True, rows=np.array([0, row]))


def test_core_finds_the_row_that_is_not_finite():
    X, y = _data()
    X[70, 2] = np.nan
    net = pynn.Sequential(pynn.Linear(6, 3, seed=0))
    fit = _core_fit(net, X, y, shuffle=True, finite=True, rows=np.arange(60, 80))
    fit.epoch(0)
    assert fit.origin == ("input", 0, 0, 70)


def test_a_claim_moves_to_another_thread():
    net = pynn.Sequential(pynn.Linear(6, 3, seed=0))
    claim = _core.Claim([p._gate for p in net.parameters()])
    failures = []

    def use(move):
        try:
            if move:
                claim.move()
            net(np.ones((2, 6)))
        except RuntimeError as error:
            failures.append((move, str(error)))

    for move in (False, True):
        thread = threading.Thread(target=use, args=(move,))
        thread.start()
        thread.join()
    assert [move for move, _ in failures] == [False]
    with pytest.raises(RuntimeError, match="in use by another thread"):
        net(np.ones((2, 6)))
    claim.release()


def test_a_thread_that_works_alone_has_one_thread():
    before = _core.get_threads()
    with pynn.num_threads(2):
        _core.work(True, None)
        try:
            assert _core.get_threads() == 1
        finally:
            _core.work(False, None)
        assert _core.get_threads() == 2
    assert _core.get_threads() == before
