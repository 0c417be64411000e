"""What is measured: one file a subject, in the order of the report.

Each has a docstring that the report prints, ``cases(setting)`` that yields what to race, ``report(records)`` that returns Markdown lines,
and where there is something to see ``plot(records, directory)``.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness import Pace

NAMES = (
    *("limits", "activations", "gemm", "step", "anatomy", "predict", "convolutions", "norms"),
    *("optimizers", "digits", "many", "scaling", "footprint"),
)


@dataclass(frozen=True)
class Setting:
    """How much to measure: everything, or with ``quick`` just enough to see that it works."""

    pace: Pace
    threads: int
    everything: bool = False
    memory: float = 2e9

    @property
    def quick(self) -> bool:
        """Whether times don't matter."""
        return self.pace.quick
