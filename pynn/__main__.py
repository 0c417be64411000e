"""Compare activation functions on handwritten digits, or on a table of your own: ``python -m pynn``."""

import argparse
import io
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Self, TypeVar

import pynn
from pynn.datasets import load_digits, read_csv
from pynn.lab import ACTIVATIONS, compare

Number = TypeVar("Number", int, float)
EXAMPLES = """\
examples:
  python -m pynn                                    handwritten digits, six activations
  python -m pynn --activations relu,mish,softplus   others
  python -m pynn --data iris.csv --target species   your own table: numbers, with a line of column names

Every activation is trained once with each seed; a seed gives all of them the same split, first weights and order.
The table shows, for each activation: the score on the part of the data that was set aside (accuracy, or R2 where the
target is a quantity), mean ± standard deviation over the seeds; the mean loss there; the first epoch whose score
reached 95 % (R2: 0.95), median; the mean share of hidden units that are dead (derivative 0 on every training sample) or
saturated (derivative below 5 % of its largest on at least 95 % of them); the time the activation takes for one element;
and the seconds of one training.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.data is None) != (options.target is None):
        parser.error("--data and --target belong together")
    try:
        X, y = load_digits() if options.data is None else read_csv(options.data, options.target)[:2]
        with _Progress(options.activations, options.seeds * options.epochs) as progress:
            result = compare(
                X,
                y,
                activations=options.activations,
                hidden=options.hidden,
                epochs=options.epochs,
                batch_size=options.batch_size,
                lr=options.lr,
                scale="columns" if options.data else "together",
                seeds=options.seeds,
                seed=options.seed,
                callback=progress,
            )
    except (OSError, ValueError) as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    print(f"{options.data or 'handwritten digits'}: {result.train_samples} samples to learn from, {result.test_samples} to test on")
    net, (first, *more) = "-".join(map(str, result.widths)), result.seeds
    seeds = f"{len(result.seeds)} seeds ({first} to {more[-1]})" if more else f"seed {first}"
    print(f"net {net}, {options.epochs} epochs, batch size {options.batch_size}, {seeds}")
    print(f"\n{result}\n\n{textwrap.fill(result.summary(), shutil.get_terminal_size().columns)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pynn",
        description="Train the same net with several activation functions, and compare them.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", metavar="FILE", help="a CSV file to learn from, instead of the digits")
    add("--target", metavar="COLUMN", help="the column of FILE to predict: classes (text, few whole numbers) or a quantity")
    add("--activations", metavar="NAMES", type=_names, default=list(ACTIVATIONS), help=f"default: {','.join(ACTIVATIONS)}")
    add("--hidden", metavar="WIDTHS", type=_widths, default=[128, 64], help="widths of the hidden layers (default: 128,64)")
    add("--epochs", metavar="N", type=_positive(int), default=30, help="passes over the training data (default: 30)")
    add("--batch-size", metavar="N", type=_positive(int), default=32, help="samples in a step (default: 32)")
    add("--lr", metavar="RATE", type=_positive(float), default=1e-3, help="Adam's learning rate (default: 0.001)")
    add("--seeds", metavar="N", type=_positive(int), default=10, help="trainings of each activation (default: 10)")
    add("--seed", metavar="N", type=_seed, default=0, help="the first seed: split, first weights, sample order (default: 0)")
    add("--version", action="version", version=f"pynn {pynn.__version__}")
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _widths(text: str) -> list[int]:
    return [_positive(int)(width) for width in text.split(",")]


def _seed(text: str) -> int:
    if not text.strip().isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def _positive(kind: type[Number]) -> Callable[[str], Number]:
    """Return a reader of positive numbers, for argparse."""

    def read(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError:
            value = kind(0)
        if not 0 < value < float("inf"):
            whole = "whole " if kind is int else ""
            raise argparse.ArgumentTypeError(f"{text!r} is not a positive {whole}number")
        return value

    return read


class _Progress:
    """A progress bar on standard error: tqdm where it is installed, else one line; nothing where nobody looks."""

    def __init__(self, activations: Sequence[str], each: int) -> None:
        self.epochs, self.done, self.drawn = len(activations) * each, 0, 0.0
        self.width = max(map(len, activations))  # of the name, so that the bar stays in its place
        self.terminal = sys.stderr.isatty()
        self.bar = None
        if self.terminal:
            try:
                from tqdm import tqdm
            except ImportError:
                return
            self.bar = tqdm(total=self.epochs, unit="epoch", leave=False)

    def __enter__(self) -> Self:
        return self

    def __call__(self, activation: str, seed: int, epoch: int) -> None:
        self.done += 1
        if self.bar is not None:
            self.bar.set_description(f"seed {seed} {activation:{self.width}}", refresh=False)
            self.bar.update()
        elif self.terminal and monotonic() - self.drawn > 0.05:
            self.drawn = monotonic()
            print(f"\r\033[K{self.done}/{self.epochs} epochs  seed {seed} {activation}", end="", file=sys.stderr, flush=True)

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()
        elif self.terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a ± that the terminal lacks must not cost the table
    sys.exit(main())
