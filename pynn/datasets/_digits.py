"""The data set of handwritten digits."""

import gzip
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray


def load_digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return 1,797 handwritten digits as images of 8x8 pixels.

    Returns
    -------
    X : float32 array of shape (1797, 64)
        The pixels of each image, row by row: integers from 0 (background) to 16 (ink). ``X.reshape(-1, 8, 8)`` returns the images.
    y : int64 array of shape (1797,)
        The digits, 0 to 9.

    Notes
    -----
    The test set of "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak, UCI Machine Learning
    Repository, https://doi.org/10.24432/C50P49, licensed CC BY 4.0.

    Examples
    --------
    >>> import pynn.datasets
    >>> X, y = pynn.datasets.load_digits()
    >>> X.shape, y.shape
    ((1797, 64), (1797,))
    """
    with files(__package__).joinpath("digits.csv.gz").open("rb") as packed, gzip.open(packed, "rt") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    return table[:, :-1].astype(np.float32), table[:, -1].astype(np.int64)
