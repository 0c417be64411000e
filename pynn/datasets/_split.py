"""Set a part of the data aside for testing."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def train_test_split(
    X: ArrayLike, y: ArrayLike, *, test_size: float = 0.25, seed: int = 0, stratify: bool | None = None, shuffle: bool = True
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Split samples into a training and a test part, at random unless ``shuffle=False``.

    Parameters
    ----------
    X : array of shape (n, ...)
        The inputs, one sample a row.
    y : array of shape (n, ...)
        The targets, in the same order.
    test_size : float
        The share of the samples to test on, between 0 and 1.
    seed : int
        Decides the split: the same seed gives the same split.
    stratify : bool, optional
        Draw the share from each class by itself, so both parts hold the classes in the same proportion. A class of
        a single sample goes to the training part. Needs ``y`` to be one label a sample; pass False for real targets.
        Default: the value of ``shuffle``.
    shuffle : bool
        Draw the test samples at random. With False, as for a series in time, the last ``test_size`` of the rows are the test part;
        ``seed`` has no effect then, and ``stratify=True`` is an error.

    Returns
    -------
    X_train, X_test, y_train, y_test : arrays
        Copies; the rows come in the order they had.

    Raises
    ------
    ValueError
        ``X`` and ``y`` differ in length, ``test_size`` leaves one part empty, ``y`` can't be stratified, or ``stratify=True`` was
        given with ``shuffle=False``.

    Examples
    --------
    >>> import pynn.datasets
    >>> X, y = pynn.datasets.load_digits()
    >>> X_train, X_test, y_train, y_test = pynn.datasets.train_test_split(X, y)
    >>> len(X_train), len(X_test)
    (1348, 449)
    """
    X, y = np.asarray(X), np.asarray(y)
    if X.ndim == 0 or y.ndim == 0 or len(X) != len(y):
        raise ValueError(f"X and y must hold the same number of samples; got shapes {X.shape} and {y.shape}")
    if not 0 < test_size < 1:
        raise ValueError(f"test_size must lie between 0 and 1; got {test_size}")
    if stratify and not shuffle:
        raise ValueError("stratify=True needs shuffle=True, because it draws samples from each class; leave stratify out")
    test = np.zeros(len(X), dtype=bool)
    if not shuffle:
        test[len(X) - round(len(X) * test_size) :] = True
    elif stratify is None or stratify:
        test[_stratified(y, test_size, np.random.default_rng(seed))] = True
    else:
        test[_unstratified(len(X), test_size, seed)] = True
    if test.all() or not test.any():
        raise ValueError(f"test_size {test_size} of {len(X)} samples leaves one of the two parts empty")
    return X[~test], X[test], y[~test], y[test]


def _unstratified(n: int, share: float, seed: int) -> NDArray[np.intp]:
    """Draw a share of n samples."""
    return np.random.default_rng(seed).permutation(n)[: round(n * share)]


def _stratified(y: NDArray[Any], share: float, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw the same share of every class; the rounding of one class is made up for in the next."""
    if y.ndim != 1:
        raise ValueError(f"stratify=True needs one label a sample; y has shape {y.shape} (pass stratify=False)")
    parts, due = [], 0.0
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == label))
        due += share * len(members)
        take = min(round(due), len(members) - 1)
        due -= take
        parts.append(members[:take])
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.intp)
