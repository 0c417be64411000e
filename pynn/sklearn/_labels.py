"""The labels of classifiers: from labels to the targets of a loss, and from probabilities back to labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import unique_labels

_PLAIN = "iub"
"""Kinds of dtypes whose one-dimensional arrays need no further check to be labels."""


class Labels:
    """The classes of a classifier.

    Parameters
    ----------
    y : array_like
        Labels of shape (rows,), or an indicator matrix of shape (rows, labels).

    Attributes
    ----------
    classes : ndarray
        The sorted classes; for several labels per row the numbers of the columns.
    kind : {'binary', 'multiclass', 'multilabel'}
        What a row may have: one of at most two classes, one of several, or any number of labels.
    """

    def __init__(self, y: Any) -> None:
        self._binarizer: Any = None
        if type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in _PLAIN:
            self.classes = np.unique(y)
            self.kind = "multiclass" if len(self.classes) > 2 else "binary"
            return
        self._binarizer = LabelBinarizer().fit(y)
        self.classes = self._binarizer.classes_
        found = self._binarizer.y_type_
        self.kind = "multilabel" if found.startswith("multilabel") else found

    @property
    def outputs(self) -> int:
        """The number of outputs of a net for these labels."""
        return 1 if self.kind == "binary" else len(self.classes)

    @property
    def activation(self) -> str:
        """The activation of the outputs."""
        return "softmax" if self.kind == "multiclass" else "logistic"

    def check(self, y: Any, *, same: bool) -> None:
        """Raise if `y` has unknown labels, or with ``same`` other classes than these."""
        found = np.unique(y) if type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in _PLAIN else unique_labels(y)
        if same and set(found) != set(self.classes):
            before = "warm_start can only be used where `y` has the same classes as in the previous call to fit."
            raise ValueError(f"{before} Previously got {self.classes}, `y` has {found}")
        if len(np.setdiff1d(found, self.classes, assume_unique=True)):
            raise ValueError(f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes}. 'y' has {found}.")

    def encode(self, y: Any) -> NDArray[Any]:
        """Return targets: class indices of shape (rows,), or columns of 0 and 1 of shape (rows, outputs)."""
        if self.kind == "multilabel":
            return np.asarray(self._binarizer.transform(y), np.float32)
        places: NDArray[Any] = np.searchsorted(self.classes, y)
        if self.kind == "multiclass":
            return places
        return np.asarray(places == 1, np.float32)[:, None]

    def decode(self, probabilities: NDArray[Any]) -> NDArray[Any]:
        """Return the labels of rows of probabilities."""
        if self.kind == "multiclass":
            return np.asarray(self.classes[probabilities.argmax(axis=1)])
        if self.kind == "multilabel":
            return np.asarray(self._binarizer.inverse_transform(probabilities))
        if len(self.classes) == 1:
            return np.repeat(self.classes, len(probabilities))
        return np.asarray(self.classes[(probabilities[:, 0] > 0.5).astype(np.intp)])
