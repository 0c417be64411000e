"""Split data into training and test sets."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def train_test_split(
    X: ArrayLike, y: ArrayLike, *, test_size: float = 0.25, seed: int = 0, stratify: bool | None = None, shuffle: bool = True
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Split samples into a training and a test set, at random unless ``shuffle=False``.

    Parameters
    ----------
    X : array of shape (n, ...)
        The inputs, one sample per row.
    y : array of shape (n, ...)
        The targets, in the same order.
    test_size : float
        The fraction of the samples in the test set, between 0 and 1.
    seed : int
        The seed of the split.
    stratify : bool, optional
        Whether to draw the fraction from each class separately, so that both sets contain the classes in the same proportion. The
        sample of a class with a single sample goes to the training set. Requires `y` to have one label per sample; pass False for
        real targets. Default: the value of `shuffle`.
    shuffle : bool
        Whether to draw the test samples at random. If False, as for time series, the last rows are the test set; `seed` has no
        effect, and ``stratify=True`` is an error.

    Returns
    -------
    X_train, X_test, y_train, y_test : arrays
        Copies. The rows keep their relative order.

    Raises
    ------
    ValueError
        If `X` and `y` differ in length, `test_size` is not between 0 and 1 or leaves one set empty, `y` cannot be stratified, or
        ``stratify=True`` is given with ``shuffle=False``.

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
        raise ValueError(f"X and y must have the same number of samples; got shapes {X.shape} and {y.shape}")
    if not 0 < test_size < 1:
        raise ValueError(f"test_size must be between 0 and 1; got {test_size}")
    if stratify and not shuffle:
        raise ValueError("stratify=True requires shuffle=True, because it draws samples from each class; omit stratify")
    test = np.zeros(len(X), dtype=bool)
    if not shuffle:
        test[len(X) - round(len(X) * test_size) :] = True
    elif stratify is None or stratify:
        test[_stratified(y, test_size, np.random.default_rng(seed))] = True
    else:
        test[_unstratified(len(X), test_size, seed)] = True
    if test.all() or not test.any():
        raise ValueError(f"test_size={test_size} with {len(X)} samples leaves the training or the test set empty")
    return X[~test], X[test], y[~test], y[test]


def _unstratified(n: int, share: float, seed: int) -> NDArray[np.intp]:
    """Draw a fraction of n samples."""
    return np.random.default_rng(seed).permutation(n)[: round(n * share)]


def _stratified(y: NDArray[Any], share: float, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw the same fraction of every class; the rounding error of one class is carried over to the next."""
    if y.ndim != 1:
        raise ValueError(f"stratify=True requires one label per sample; y has shape {y.shape} (pass stratify=False)")
    parts, due = [], 0.0
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == label))
        due += share * len(members)
        take = min(round(due), len(members) - 1)
        due -= take
        parts.append(members[:take])
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.intp)
