"""Progress of a training: a bar if tqdm is installed, else one line that is overwritten; in a log a line for each epoch."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Self


def _in_notebook() -> bool:
    """Return whether this process is a notebook kernel, which shows standard error although it is not a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


class Progress:
    """Report epochs on standard error."""

    def __init__(self, verbose: int | str, epochs: int, first: int = 0) -> None:
        if verbose not in (False, True, 2, "auto"):
            raise ValueError(f"verbose: expected True, False, 2 or 'auto', got {verbose!r}")
        seen = sys.stderr is not None and (sys.stderr.isatty() or _in_notebook())
        self.on = seen if verbose == "auto" else bool(verbose) and sys.stderr is not None
        self.lines = verbose == 2 or not seen
        self.epochs, self.first = epochs, first
        self.width = 0
        self.bar: Any = None

    def __enter__(self) -> Self:
        if self.on and not self.lines:
            try:
                from tqdm.auto import tqdm  # type: ignore[import-untyped, unused-ignore]
            except ImportError:
                return self
            self.bar = tqdm(total=self.epochs, initial=self.first, unit="epoch", file=sys.stderr, dynamic_ncols=True)
        return self

    def show(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Report an epoch."""
        if self.bar is not None:
            self.bar.set_postfix({k: f"{v:.4f}" for k, v in logs.items() if k != "seconds"}, refresh=False)
            self.bar.update()
        elif self.on:
            line = f"epoch {epoch + 1}/{self.epochs}  " + "  ".join(f"{k} {v:.4f}" for k, v in logs.items())
            if self.lines:
                print(line, file=sys.stderr, flush=True)
                return
            self.width = max(self.width, len(line))
            print(f"\r{line:<{self.width}}", end="", file=sys.stderr, flush=True)

    def advance(self, epochs: int, state: str, line: str | None) -> None:
        """Report ``epochs`` more epochs of several trainings, and their state; ``line`` is printed in a log."""
        self.first += epochs
        if self.bar is not None:
            self.bar.set_postfix_str(state, refresh=False)
            self.bar.update(epochs)
        elif self.lines and line is not None:
            print(line, file=sys.stderr, flush=True)
        elif not self.lines:
            text = f"epoch {self.first}/{self.epochs}  {state}"
            self.width = max(self.width, len(text))
            print(f"\r{text:<{self.width}}", end="", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """Print a separate line, if progress is shown."""
        if self.on:
            self.__exit__()
            print(text, file=sys.stderr)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
        elif self.width:
            print(file=sys.stderr)
        self.width, self.bar = 0, None
