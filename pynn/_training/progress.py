"""Progress of a training: a bar if tqdm is installed, else one line that is overwritten; in a log a line for each epoch."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Self


def _in_notebook() -> bool:
    """Return whether this process is a notebook kernel, which shows standard error although it is not a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


_WIDTH = 79
"""The width of lines in a log, and in a terminal of unknown width."""
_BAR = "{n_fmt}/{total_fmt} |{bar:6}| {elapsed}<{remaining}{postfix}"
_BAR_WIDTH = 34
"""The width of the bar with counts and times, before the numbers."""


def _columns() -> int:
    """Return the width of the terminal less one column, which some terminals need for the cursor."""
    try:
        return max(os.get_terminal_size(sys.stderr.fileno()).columns - 1, 20)
    except (AttributeError, OSError, ValueError):
        return _WIDTH


def written(logs: Mapping[str, float], room: int, gap: str = "  ") -> str:
    """Return the numbers of an epoch in at most ``room`` columns, if they can be shortened that far.

    They are written with four decimals; else with three; else training and validation together, as ``loss 0.123 | 0.134``.
    """
    seconds = [f"{logs['seconds']:.3g} s"] if "seconds" in logs else []
    others = {name: value for name, value in logs.items() if name != "seconds"}
    pairs = [name for name in others if not (name.startswith("val_") and name[4:] in others)]
    joined = [f"{name} {others[name]:.3f}" + (f" | {others[f'val_{name}']:.3f}" if f"val_{name}" in others else "") for name in pairs]
    texts = (
        [*(f"{name} {value:.4f}" for name, value in others.items()), *seconds],
        [f"{name} {value:.3f}" for name, value in others.items()],
        joined,
    )
    found = [gap.join(parts) for parts in texts]
    return next((text for text in found if len(text) <= room), found[-1])


class Progress:
    """Report epochs on standard error, or with ``verbose=2`` as a log on standard output."""

    def __init__(self, verbose: int | str, epochs: int, first: int = 0) -> None:
        if verbose not in (False, True, 2, "auto"):
            raise ValueError(f"verbose: expected True, False, 2 or 'auto', got {verbose!r}")
        seen = sys.stderr is not None and (sys.stderr.isatty() or _in_notebook())
        self.log = sys.stdout if verbose == 2 else sys.stderr
        self.on = seen if verbose == "auto" else bool(verbose) and self.log is not None
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
            how = {} if _in_notebook() else {"bar_format": _BAR}
            self.bar = tqdm(total=self.epochs, initial=self.first, unit="epoch", file=sys.stderr, dynamic_ncols=True, **how)
        return self

    def show(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Report an epoch."""
        if self.bar is not None:
            room = 10 * _WIDTH if _in_notebook() else _columns() - _BAR_WIDTH
            self.bar.set_postfix_str(written({k: v for k, v in logs.items() if k != "seconds"}, room, ", "), refresh=False)
            self.bar.update()
        elif self.on:
            head = f"epoch {epoch + 1}/{self.epochs}  "
            if self.lines:
                print(head + written(logs, _WIDTH - len(head)), file=self.log, flush=True)
            else:
                self._overwrite(head + written(logs, _columns() - len(head)))

    def _overwrite(self, text: str) -> None:
        """Replace the line that is shown. A longer line than the terminal would leave its remains behind."""
        text = text[: _columns()]
        print(f"\r{text:<{min(self.width, _columns())}}", end="", file=sys.stderr, flush=True)
        self.width = max(self.width, len(text))

    def advance(self, epochs: int, state: str, line: str | None) -> None:
        """Report ``epochs`` more epochs of several trainings, and their state; ``line`` is printed in a log."""
        self.first += epochs
        if self.bar is not None:
            self.bar.set_postfix_str(state, refresh=False)
            self.bar.update(epochs)
        elif self.lines and line is not None:
            print(line, file=self.log, flush=True)
        elif not self.lines:
            self._overwrite(f"epoch {self.first}/{self.epochs}  {state}")

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
        elif self.width:
            print(file=sys.stderr)
        self.width, self.bar = 0, None
