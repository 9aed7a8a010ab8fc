"""The command line: ``python -m optax_stepping``."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from optax_stepping import SteppingSchedule, describe, interop, manual_stepping, plot
from optax_stepping._extras import import_extra
from optax_stepping._options import list_of, png_file, positive_int
from optax_stepping.interop._pipeline_config import read_num_steps

MANY_STAGES = 50


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; exits with status 2 and one line if an option is bad."""
    parser = _make_parser()
    options = parser.parse_args(arguments)
    try:
        options.command(options)
    except (ValueError, TypeError, ImportError, OSError) as error:
        parser.exit(2, f"{parser.prog} {options.name}: error: {error}\n")


def _make_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m optax_stepping", description="Learning rates in stages.")
    commands = parser.add_subparsers(required=True, metavar="command", parser_class=_Parser)
    show = commands.add_parser("show", help="print and draw the stages of a schedule")
    show.add_argument(
        "--boundaries",
        type=list_of(int),
        metavar="1000,2000",
        help="steps at which the rate changes ('' for a constant)",
    )
    show.add_argument(
        "--rates",
        type=list_of(float),
        metavar="0.1,0.01,0.001",
        help="one rate more than boundaries",
    )
    show.add_argument("--warmup", action="store_true", help="ramp from the 1st to the 2nd rate")
    show.add_argument(
        "--warmup-steps", type=int, metavar="N", help="ramp to the first rate over N steps"
    )
    show.add_argument(
        "--warmup-init-value",
        type=float,
        metavar="RATE",
        help="where the ramp of --warmup-steps starts (default 0)",
    )
    show.add_argument("--interpolate", action="store_true", help="ramp in every stage")
    show.add_argument(
        "--pipeline-config",
        metavar="FILE",
        help="read the schedule, and the length of training, of a TF Object Detection API config",
    )
    show.add_argument(
        "--total-steps", type=positive_int, metavar="N", help="the length of training"
    )
    show.add_argument("--png", type=png_file, metavar="FILE", help="draw the schedule into FILE")
    show.set_defaults(command=_show, name="show")
    return parser


def _schedule(options: argparse.Namespace) -> SteppingSchedule:
    if options.boundaries is None or options.rates is None:
        raise ValueError("write both --boundaries and --rates, or --pipeline-config FILE")
    if options.warmup_init_value is not None and not options.warmup_steps:
        raise ValueError("--warmup-init-value has no effect without --warmup-steps")
    return manual_stepping(
        options.boundaries,
        options.rates,
        options.warmup,
        warmup_steps=options.warmup_steps or 0,
        warmup_init_value=options.warmup_init_value or 0.0,
        interpolate=options.interpolate,
    )


def _show(options: argparse.Namespace) -> None:
    total_steps = options.total_steps
    if options.pipeline_config is None:
        schedule = _schedule(options)
    else:
        warmups = ("warmup", "warmup_steps", "warmup_init_value")
        for name in ("boundaries", "rates", *warmups, "interpolate"):
            if getattr(options, name) not in (None, False):
                raise ValueError(
                    f"--{name.replace('_', '-')} has no effect beside --pipeline-config, which "
                    f"brings its own schedule"
                )
        config = Path(options.pipeline_config)
        total_steps = total_steps or read_num_steps(config)
        schedule = interop.from_tf_object_detection(config)
        if schedule.rates.size > MANY_STAGES:
            # Of an exponential decay, what the training never reaches is no news.
            schedule = interop.from_tf_object_detection(config, total_steps)
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
