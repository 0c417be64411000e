"""Compare activation functions on handwritten digits, or on a table: ``python -m pynn``."""

import argparse
import io
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pynn
from pynn.datasets import load_digits, read_table
from pynn.datasets._target import SYNONYMS
from pynn.lab import ACTIVATIONS, compare

Number = TypeVar("Number", int, float)
EXAMPLES = """\
examples:
  python -m pynn                                    handwritten digits, six activations
  python -m pynn --activations relu,mish,softplus   other activations
  python -m pynn --html report.html                 also write an HTML report
  python -m pynn --data iris.csv --target species   a table; its interpretation is printed first
  python -m pynn --data sonar.data --no-header --target -1

Every activation is trained once with each seed, at the learning rate that is best on a validation set. A seed determines
the split and the order of samples, which are the same for all activations. The table shows for each activation: the test
score (accuracy, or R2 if the target is a quantity), mean ± standard deviation over the seeds; the learning rate; the
median of the first epoch with a validation accuracy of 95 %; the mean share of hidden units in the last epoch that are
dead (derivative 0 on every sample) or saturated (derivative below 5 % of its maximum on at least 95 % of the samples);
the time of the activation per element in nanoseconds, forward and backward; and the time of one training run in seconds.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.data is None) != (options.target is None):
        parser.error("--data and --target must be given together")
    try:
        understood, (X, y) = _data(options)
        sys.stdout.flush()
        report = compare(
            X,
            y,
            activations=options.activations,
            hidden=options.hidden,
            epochs=options.epochs,
            batch_size=options.batch_size,
            lr=options.lr,
            tune="lr" if options.tune else None,
            scale="columns" if options.data else "together",
            seeds=options.seeds,
            seed=options.seed,
            **understood,
        )
        if options.html is not None:
            report.to_html(options.html, lang=options.lang)
    except (ImportError, OSError, ValueError) as error:
        print(_wrapped(f"{parser.prog}: error: {error}"), file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        unfinished = getattr(stop, "report", None)
        if unfinished is not None:
            print(unfinished.text(options.lang))
            if options.html is not None:
                unfinished.to_html(options.html, lang=options.lang)
        print("stopped", file=sys.stderr)
        return 130
    print(report.text(options.lang))
    return 0


def _data(options: argparse.Namespace) -> tuple[dict[str, Any], tuple[Any, Any]]:
    """Print how the data were interpreted; return the options of `compare` that depend on them, the inputs and the targets."""
    if options.data is None:
        print("handwritten digits" if options.lang == "en" else "chữ số viết tay")
        return {"task": options.task}, load_digits()
    names = ("header", "drop", "keep", "missing", "na", "separator", "encoding", "task")
    table = read_table(options.data, options.target, **{name: getattr(options, name) for name in names})
    summary, *notes = table.understood(options.lang)
    print(f"{options.data}\n{_wrapped(summary)}")
    for note in notes:
        print(_wrapped(f"- {note}", "  "))
    print()
    return {"task": table.task, "missing": "error" if table.filled is None else "mean"}, (table.gaps, table.labels)


def _wrapped(text: str, indent: str = "") -> str:
    """Return text wrapped to 79 columns; longer words, such as paths, are not broken."""
    return textwrap.fill(text, 79, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pynn",
        description="Train the same net with several activation functions, and compare them.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", metavar="FILE", help="a table to train on instead of the digits: text, or a format that pandas reads")
    add("--target", metavar="COLUMN", help="the column of FILE to predict: its name, or its position (-1: the last)")
    add("--task", choices=("auto", "classes", "quantity", *SYNONYMS), default="auto", help="the kind of target (default: by its values)")
    add("--header", action="store_true", default=None, help="the first line of FILE holds the column names")
    add("--no-header", dest="header", action="store_false", help="the first line of FILE is data")
    add("--drop", metavar="COLUMN", action="append", default=[], help="a column to omit (repeatable)")
    add("--keep", metavar="COLUMN", action="append", default=[], help="a column to use though it looks like an id (repeatable)")
    missing = "rows with missing values: dropped, filled, or an error (default: auto: dropped if 80 %% of the rows remain)"
    add("--missing", choices=("auto", "drop", "mean", "error"), default="auto", help=missing)
    add("--na", metavar="TEXT", action="append", default=[], help="another spelling of missing values (repeatable)")
    add("--separator", metavar="CHARACTER", type=_separator, help="the field separator: , ; | tab or space (default: detected)")
    add("--encoding", metavar="NAME", help="the encoding of FILE, such as latin-1 (default: detected)")
    add("--activations", metavar="NAMES", type=_names, default=list(ACTIVATIONS), help=f"default: {','.join(ACTIVATIONS)}")
    add("--hidden", metavar="WIDTHS", type=_widths, default=[128, 64], help="widths of the hidden layers (default: 128,64)")
    add("--epochs", metavar="N", type=_positive(int), default=30, help="passes over the training data (default: 30)")
    add("--batch-size", metavar="N", type=_positive(int), default=32, help="samples in a step (default: 32)")
    add("--lr", metavar="RATE", type=_positive(float), help="the middle of the grid of Adam's learning rates (default: 0.001)")
    add("--no-tune", dest="tune", action="store_false", help="train all activations at the rate of --lr, without a search")
    add("--seeds", metavar="N", type=_positive(int), default=10, help="training runs of each activation (default: 10)")
    add("--seed", metavar="N", type=_seed, default=0, help="the first seed, for split, initial weights and sample order (default: 0)")
    add("--html", metavar="FILE", help="also write the report as an HTML page")
    add("--lang", choices=("en", "vi"), default="en", help="the language of the report (default: en)")
    add("--version", action="version", version=f"pynn {pynn.__version__}")
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _separator(text: str) -> str:
    return {"tab": "\t", "space": " "}.get(text, text)


def _widths(text: str) -> list[int]:
    return [_positive(int)(width) for width in text.split(",")]


def _seed(text: str) -> int:
    if not text.strip().isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of 0 or more")
    return int(text)


def _positive(kind: type[Number]) -> Callable[[str], Number]:
    """Return a converter to positive numbers for argparse."""

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


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without the character ± must not prevent the output
    sys.exit(main())
