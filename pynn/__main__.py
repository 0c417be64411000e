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
  python -m pynn --activations relu,mish,softplus   others
  python -m pynn --html report.html                 the same as a page
  python -m pynn --data iris.csv --target species   a table; what was understood is printed first
  python -m pynn --data sonar.data --no-header --target -1

Every activation is trained once with each seed, at its own best learning rate, which a validation part chooses; a seed
gives all of them the same split and order of samples. The table shows, for each activation: the score on the test part
(accuracy, or R2 where the target is a quantity), mean ± standard deviation over the seeds; its learning rate; the first
epoch whose validation accuracy reached 95 %, median; the mean share of hidden units that are dead (derivative 0 on every
sample) or saturated (derivative below 5 % of its largest on at least 95 % of them) in the last epoch; the nanoseconds that
the activation takes for one element, forward and backward; and the seconds of one training.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.data is None) != (options.target is None):
        parser.error("--data and --target belong together")
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
    """Print what was understood; return the options of `compare` that depend on the data, inputs, and targets."""
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
    """Return text in lines of at most 79 columns, longer words excepted, such as paths."""
    return textwrap.fill(text, 79, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pynn",
        description="Train the same net with several activation functions, and compare them.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", metavar="FILE", help="a table to learn from, instead of the digits: text, or what pandas reads")
    add("--target", metavar="COLUMN", help="the column of FILE to predict: its name, or its position (-1: the last)")
    add("--task", choices=("auto", "classes", "quantity", *SYNONYMS), default="auto", help="what the target is (default: by its values)")
    add("--header", action="store_true", default=None, help="the first line of FILE holds the column names")
    add("--no-header", dest="header", action="store_false", help="the first line of FILE is data")
    add("--drop", metavar="COLUMN", action="append", default=[], help="a column to leave out (repeatable)")
    add("--keep", metavar="COLUMN", action="append", default=[], help="a column to use though it looks like an id (repeatable)")
    missing = "rows with missing values: dropped, filled, or an error (default: auto: dropped if 80 %% of the rows remain)"
    add("--missing", choices=("auto", "drop", "mean", "error"), default="auto", help=missing)
    add("--na", metavar="TEXT", action="append", default=[], help="another spelling of missing values (repeatable)")
    add("--separator", metavar="CHARACTER", type=_separator, help="of fields: , ; | tab or space (default: as found)")
    add("--encoding", metavar="NAME", help="of FILE, such as latin-1 (default: as found)")
    add("--activations", metavar="NAMES", type=_names, default=list(ACTIVATIONS), help=f"default: {','.join(ACTIVATIONS)}")
    add("--hidden", metavar="WIDTHS", type=_widths, default=[128, 64], help="widths of the hidden layers (default: 128,64)")
    add("--epochs", metavar="N", type=_positive(int), default=30, help="passes over the training data (default: 30)")
    add("--batch-size", metavar="N", type=_positive(int), default=32, help="samples in a step (default: 32)")
    add("--lr", metavar="RATE", type=_positive(float), help="the middle of the grid of Adam's learning rates (default: 0.001)")
    add("--no-tune", dest="tune", action="store_false", help="train all with the rate of --lr, without a search")
    add("--seeds", metavar="N", type=_positive(int), default=10, help="trainings of each activation (default: 10)")
    add("--seed", metavar="N", type=_seed, default=0, help="the first seed: split, first weights, sample order (default: 0)")
    add("--html", metavar="FILE", help="write the report as a page, too")
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


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a ± that the terminal lacks must not cost the table
    sys.exit(main())
