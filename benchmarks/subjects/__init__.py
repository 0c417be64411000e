"""The subjects of the benchmarks: one file each, listed in the order of the report.

A subject has a docstring, which the report prints, ``cases(setting)``, which yields the cases to measure, and ``report(records)``, which
returns lines of Markdown. Subjects with plots have ``plot(records, directory)``.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness import Pace

NAMES = (
    *("limits", "activations", "gemm", "step", "anatomy", "predict", "convolutions", "norms"),
    *("optimizers", "digits", "many", "estimators", "scaling", "footprint"),
)


@dataclass(frozen=True)
class Setting:
    """How much to measure: everything, or with ``quick`` only enough to check that it runs."""

    pace: Pace
    threads: int
    everything: bool = False
    memory: float = 2e9

    @property
    def quick(self) -> bool:
        """Whether this run only checks that the benchmarks work."""
        return self.pace.quick
