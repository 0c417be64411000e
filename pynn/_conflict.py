"""Say plainly why the compiled core cannot be imported."""

from __future__ import annotations


def explain(error: ImportError) -> ImportError:
    """Return the error to raise instead of ``error``, which importing ``pynn._core`` raised.

    The neuron simulator PyNN installs a directory ``pyNN``. On a file system that ignores case it is the same directory as
    this package's, and the files of the two mix.
    """
    from pathlib import Path  # importing it takes a third of the time that `import pynn` may take

    here = Path(__file__).parent
    if any(here.glob("_core.*.so")) or any(here.glob("_core*.pyd")):
        return error
    if any((here / name).exists() for name in ("standardmodels", "neuron", "nest", "brian2")):
        return ImportError(
            f"{here} also holds the neuron simulator PyNN, whose directory pyNN is this one where the file system ignores case; "
            "install pynn-c and PyNN into different environments"
        )
    return ImportError(f"{here} has no compiled core (_core): install the package (python -m pip install .), or import it from elsewhere")
