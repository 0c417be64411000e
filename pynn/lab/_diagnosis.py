"""What a trained net shows on held-out rows: calibration, and the inputs of its activations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import _core
from .._arrays import Array
from .._training.feed import as_core
from ..layers._base import Layer
from ..metrics import confidence_bins

BINS = 15
"""The number of bins of a reliability curve, that of `pynn.metrics.ece`."""
SAMPLE = 256
"""The largest number of validation rows on which the inputs of activations are measured."""
LEVELS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""The levels of the quantiles of `PreActivation`."""


class Calibration(NamedTuple):
    """How far the confidence of a classifier is from its accuracy, by bins of confidence of equal width.

    Attributes
    ----------
    counts : tuple of int
        The number of predictions in each bin.
    confidence : tuple of float
        The mean probability of the predicted class in each bin; NaN where the bin is empty.
    accuracy : tuple of float
        The share of right predictions in each bin; NaN where the bin is empty.

    Examples
    --------
    >>> from pynn.lab import Calibration
    >>> calibration = Calibration.of([[0.9, 0.1]] * 4, [0, 0, 0, 1])
    >>> round(calibration.error, 4), round(calibration.gap, 4)
    (0.15, 0.15)
    """

    counts: tuple[int, ...]
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]

    @classmethod
    def of(cls, probabilities: Any, y: Any) -> Calibration:
        """Return the calibration of probabilities of shape (n, k) for class indices of shape (n,)."""
        p, true = np.asarray(probabilities, np.float64), np.asarray(y)
        counts, confidence, right = confidence_bins(p.max(axis=1), p.argmax(axis=1) == true, np.ones(len(p)), BINS)
        some = np.where(counts > 0, counts, math.nan)
        return cls(tuple(counts.astype(int).tolist()), tuple((confidence / some).tolist()), tuple((right / some).tolist()))

    @classmethod
    def pooled(cls, several: Iterable[Calibration]) -> Calibration:
        """Return the calibration of the predictions of several together."""
        each = [*several]
        counts = np.sum([one.counts for one in each], axis=0)
        some = np.where(counts > 0, counts, math.nan)
        sums = (np.nansum([np.multiply(one.counts, getattr(one, name)) for one in each], axis=0) for name in cls._fields[1:])
        confidence, accuracy = (tuple((total / some).tolist()) for total in sums)
        return cls(tuple(counts.tolist()), confidence, accuracy)

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance between confidence and accuracy over all predictions."""
        return self._mean(abs(c - a) for c, a in zip(self.confidence, self.accuracy, strict=True))

    @property
    def means(self) -> tuple[float, float]:
        """The mean confidence, and the accuracy, of all predictions."""
        return self._mean(self.confidence), self._mean(self.accuracy)

    @property
    def gap(self) -> float:
        """The mean confidence minus the accuracy: above 0 the net is overconfident, below 0 underconfident."""
        confidence, accuracy = self.means
        return confidence - accuracy

    def _mean(self, values: Iterable[float]) -> float:
        return math.fsum(n * value for n, value in zip(self.counts, values, strict=True) if n) / sum(self.counts)

    @classmethod
    def from_plain(cls, plain: Sequence[Any]) -> Calibration:
        """Return the calibration that JSON holds."""
        counts, confidence, accuracy = plain
        return cls(tuple(map(int, counts)), tuple(map(float, confidence)), tuple(map(float, accuracy)))


class PreActivation(NamedTuple):
    """The distribution of the inputs of an activation: all numbers that it gets for a sample of the validation rows.

    Attributes
    ----------
    layer : str
        The name of the activation in the net.
    kind : str
        Its class.
    size : int
        How many numbers there are.
    mean, deviation : float
        Their mean and standard deviation.
    quantiles : tuple of float
        The least, the quantiles 0.05, 0.25, 0.5, 0.75 and 0.95, and the greatest.

    Examples
    --------
    >>> from pynn.lab import PreActivation
    >>> PreActivation.of("1", "Tanh", [[0.0, 1.0], [2.0, 3.0]]).quantiles[3]
    1.5
    """

    layer: str
    kind: str
    size: int
    mean: float
    deviation: float
    quantiles: tuple[float, ...]

    @classmethod
    def of(cls, layer: str, kind: str, values: Any) -> PreActivation:
        """Return the distribution of numbers; those that are not finite are left out."""
        a = np.asarray(values, np.float64).ravel()
        a = a[np.isfinite(a)]
        if not a.size:
            return cls(layer, kind, 0, math.nan, math.nan, (math.nan,) * len(LEVELS))
        return cls(layer, kind, a.size, float(a.mean()), float(a.std()), tuple(np.quantile(a, LEVELS).tolist()))

    @classmethod
    def from_plain(cls, plain: Sequence[Any]) -> PreActivation:
        """Return the distribution that JSON holds."""
        layer, kind, size, mean, deviation, quantiles = plain
        return cls(str(layer), str(kind), int(size), float(mean), float(deviation), tuple(map(float, quantiles)))


def calibration_of(net: Any, X: Any, y: Array) -> Calibration | None:
    """Return the calibration of a classifier on rows; None where its outputs are no probabilities, or not finite."""
    p = net.predict(X)
    if not isinstance(p, np.ndarray):
        return None
    (head,) = net._heads(1)
    if head.to_probabilities is None:
        return None
    p = head.probabilities(p)
    if p.ndim != 2 or not np.isfinite(p).all():
        return None
    return Calibration.of(np.column_stack([1 - p, p]) if p.shape[1] == 1 else p, y)


def pre_activations(net: Any, X: Any, activation: Layer) -> tuple[PreActivation, ...]:
    """Return the distribution of the inputs of each layer of an activation's class, in the order of the net.

    Parameters
    ----------
    net : Sequential or Model
        The net, computed as in `predict`.
    X : array or tuple of arrays
        The rows.
    activation : Layer
        A layer of the class of the activations.
    """
    data = net._data(X, "X")
    graph, owners, _ = net._built(data, frozenset(), writes=False)
    first = _first_nodes(owners, {path: type(layer).__name__ for path, layer in net.named_modules() if type(layer) is type(activation)})
    if not first:
        return ()
    read = graph.read()
    nodes = [read[node]["inputs"] for node in first.values()]
    graph.outputs(tuple(dict.fromkeys(node for some in nodes for node in some)))
    values = _core.Predictor(graph, SAMPLE).predict(as_core(data))
    known = dict(zip(graph.output_nodes, values if isinstance(values, tuple) else (values,), strict=True))
    return tuple(
        PreActivation.of(path, kind, np.concatenate([known[node].ravel() for node in some]))
        for (path, kind), some in zip(first, nodes, strict=True)
    )


def _first_nodes(owners: Mapping[int, tuple[str, str]], wanted: Mapping[str, str]) -> dict[tuple[str, str], int]:
    """Return the first node of each wanted layer, itself or within it, in the order of computation."""
    found: dict[tuple[str, str], int] = {}
    for node in sorted(owners):
        path = owners[node][0]
        for one, kind in wanted.items():
            if path == one or path.startswith(f"{one}."):
                found.setdefault((one, kind), node)
    return found
