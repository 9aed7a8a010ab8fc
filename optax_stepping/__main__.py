"""The command line: ``python -m optax_stepping``."""

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from optax_stepping import SteppingSchedule, __version__, describe, interop, manual_stepping, plot
from optax_stepping._extras import import_extra
from optax_stepping.interop._detectron2 import read_solver
from optax_stepping.interop._tf_object_detection import read_config


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; exits with status 2 and one line if an option is bad."""
    parser = _make_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return
    try:
        _show(options)
    except (ValueError, TypeError, ImportError, OSError) as error:
        # Arguments of the functions are options here, but not those of a call to write in Python.
        message = re.sub(r"(?<=write )(tolerance|total_steps)=", _option, str(error))
        parser.exit(2, f"{parser.prog} show: error: {message}\n")


def _option(argument: re.Match[str]) -> str:
    return f"--{argument[1].replace('_', '-')} "


def _make_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m optax_stepping", description="Learning rates in stages.")
    parser.add_argument("--version", action="version", version=f"optax-stepping {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", parser_class=_Parser)
    show = commands.add_parser("show", help="print and draw the stages of a schedule")

    def add(name: str, what: str, metavar: str, kind: Callable[[str], object]) -> None:
        show.add_argument(name, help=what, metavar=metavar, type=kind)

    add(
        "--boundaries", "steps at which the rate changes ('' for a constant)", "1000,2000", _numbers
    )
    add("--rates", "one rate more than boundaries", "0.1,0.01,0.001", _numbers)
    show.add_argument("--warmup", action="store_true", help="ramp from the 1st to the 2nd rate")
    add("--warmup-steps", "ramp to the first rate over N steps", "N", float)
    add("--warmup-init-value", "where that ramp starts (default: 0)", "RATE", float)
    show.add_argument("--interpolate", action="store_true", help="ramp in every stage")
    add("--pipeline-config", "the schedule of a TF Object Detection API config", "FILE", Path)
    add("--detectron2", "the schedule of a Detectron2 config", "FILE", Path)
    add("--tolerance", "largest error of its curves, relative to the largest rate", "1e-3", float)
    add("--total-steps", "the length of training (default: the config's)", "N", _positive)
    add("--png", "draw the schedule into FILE", "FILE", _png_file)
    return parser


def _numbers(text: str) -> list[float]:
    numbers = []
    for entry in text.split(",") if text else []:
        try:
            numbers.append(float(entry))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{entry!r} in {text!r} is not a number") from None
    return numbers


def _positive(text: str) -> int:
    number = float(text)
    if number < 1 or not number.is_integer():
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return int(number)


def _png_file(text: str) -> Path:
    path = Path(text)
    if path.suffix != ".png":
        raise argparse.ArgumentTypeError(f"{text} does not end in .png")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(path.parent)!r}")
    return path


def _schedule(options: argparse.Namespace) -> tuple[SteppingSchedule, int | None]:
    """The schedule, and the length of its training as far as it is known."""
    by_hand = ("boundaries", "rates", "warmup", "warmup_steps", "warmup_init_value", "interpolate")
    given = [
        f"--{name.replace('_', '-')}"
        for name in ("pipeline_config", "detectron2", *by_hand)
        if getattr(options, name) not in (None, False)
    ]
    if options.pipeline_config or options.detectron2:
        if len(given) > 1:
            raise ValueError(
                f"{given[1]} has no effect beside {given[0]}, which brings its own schedule"
            )
        if options.detectron2:
            schedule = interop.from_detectron2(options.detectron2, tolerance=options.tolerance)
            return schedule, options.total_steps or read_solver(options.detectron2).MAX_ITER
        schedule = interop.from_tf_object_detection(
            options.pipeline_config, total_steps=options.total_steps, tolerance=options.tolerance
        )
        return schedule, options.total_steps or read_config(options.pipeline_config)[1]
    if options.boundaries is None or options.rates is None:
        raise ValueError(
            "write --boundaries and --rates, or --pipeline-config FILE, or --detectron2 FILE"
        )
    if options.tolerance is not None:
        raise ValueError("--tolerance has no effect on stages that are written by hand")
    if options.warmup_init_value is not None and not options.warmup_steps:
        raise ValueError("--warmup-init-value has no effect without --warmup-steps")
    schedule = manual_stepping(
        options.boundaries,
        options.rates,
        options.warmup,
        warmup_steps=options.warmup_steps or 0,
        warmup_init_value=options.warmup_init_value or 0.0,
        interpolate=options.interpolate,
    )
    return schedule, options.total_steps


def _show(options: argparse.Namespace) -> None:
    schedule, total_steps = _schedule(options)
    print(describe(schedule, total_steps))
    if options.png:
        figure_module = import_extra("matplotlib.figure", extra="plot")
        figure = figure_module.Figure(figsize=(7, 3), layout="constrained")
        # Without a length of training, draw the last stage as a sixth of the picture.
        total_steps = total_steps or max(1, int(1.2 * max([0, *schedule.boundaries.tolist()])))
        plot(schedule, total_steps, figure.subplots())
        figure.savefig(options.png, dpi=120)
        print(f"drawn: {options.png}")


if __name__ == "__main__":
    main()
