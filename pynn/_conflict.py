"""Explain why the compiled core cannot be imported."""

from __future__ import annotations


def explain(error: ImportError) -> ImportError:
    """Return the error to raise in place of ``error``, which importing ``pynn._core`` raised.

    The neuron simulator PyNN installs a directory ``pyNN``. On a case-insensitive file system that is this package's directory,
    and the files of both packages mix.
    """
    from pathlib import Path  # not at module level: its import is slow, and needed only here

    here = Path(__file__).parent
    if any(here.glob("_core.*.so")) or any(here.glob("_core*.pyd")):
        return error
    if any((here / name).exists() for name in ("standardmodels", "neuron", "nest", "brian2")):
        return ImportError(
            f"{here} also contains the neuron simulator PyNN, whose directory pyNN is the same one on a case-insensitive file system; "
            "install pynn-c and PyNN into different environments"
        )
    return ImportError(
        f"{here} has no compiled core (_core): install the package (python -m pip install .), or import it from another directory"
    )
