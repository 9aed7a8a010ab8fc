"""The command line: ``python -m optax_stepping``."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from optax_stepping import SteppingSchedule, demo, describe, interop, manual_stepping, plot, sweep
from optax_stepping._extras import import_extra


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; exits with status 2 and one line if an option is bad."""
    parser = _make_parser()
    options = parser.parse_args(arguments)
    try:
        options.command(options)
    except (ValueError, ImportError, OSError) as error:
        parser.exit(2, f"{parser.prog} {options.name}: error: {error}\n")


def _make_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m optax_stepping", description="Learning rates in stages.")
    commands = parser.add_subparsers(required=True, metavar="command", parser_class=_Parser)

    show = commands.add_parser("show", help="print and draw the stages of a schedule")
    _add_schedule_options(show, boundaries=None, rates=None, warmup_steps=0, warmup_init_value=0.0)
    show.add_argument(
        "--pipeline-config",
        metavar="FILE",
        help="read the schedule of a TF Object Detection API config instead",
    )
    show.add_argument("--total-steps", type=_positive_int, help="length of training")
    show.add_argument("--png", type=_png, metavar="FILE", help="draw the schedule into FILE")
    show.set_defaults(command=_show, name="show")

    train = commands.add_parser("demo", help="train a digit classifier under a schedule")
    _add_schedule_options(
        train,
        boundaries=[1000, 2000, 3000],
        rates=[0.1, 0.05, 0.01, 0.005],
        warmup_steps=500,
        warmup_init_value=0.001,
    )
    train.add_argument("--steps", type=_positive_int, default=4000, help="length of training")
    train.add_argument("--output", type=_png, default=Path("demo.png"), metavar="FILE")
    train.set_defaults(command=_demo, name="demo")

    many = commands.add_parser("sweep", help="train many schedules at once, in one program")
    many.add_argument("--steps", type=_positive_int, default=300, help="length of training")
    many.add_argument("--output", type=_png, default=Path("sweep.png"), metavar="FILE")
    many.set_defaults(command=_sweep, name="sweep")
    return parser


def _add_schedule_options(parser: argparse.ArgumentParser, **defaults: Any) -> None:
    parser.add_argument(
        "--boundaries",
        type=_list_of(int),
        metavar="1000,2000",
        help="steps at which the rate changes ('' for a constant)",
    )
    parser.add_argument("--rates", type=_list_of(float), metavar="0.1,0.01,0.001")
    parser.add_argument("--warmup", action="store_true", help="ramp from the 1st to the 2nd rate")
    parser.add_argument("--warmup-steps", type=int, metavar="N")
    parser.add_argument("--warmup-init-value", type=float, metavar="RATE")
    parser.add_argument("--interpolate", action="store_true", help="ramp in every stage")
    parser.set_defaults(**defaults)


def _schedule(options: argparse.Namespace) -> SteppingSchedule:
    if options.boundaries is None or options.rates is None:
        raise ValueError("write both --boundaries and --rates, or --pipeline-config FILE")
    return manual_stepping(
        options.boundaries,
        options.rates,
        options.warmup,
        warmup_steps=options.warmup_steps,
        warmup_init_value=options.warmup_init_value,
        interpolate=options.interpolate,
    )


def _show(options: argparse.Namespace) -> None:
    if options.pipeline_config is None:
        schedule = _schedule(options)
    elif options.boundaries is None and options.rates is None:
        schedule = interop.from_tf_object_detection(Path(options.pipeline_config))
    else:
        raise ValueError("--pipeline-config brings its own --boundaries and --rates")
    print(describe(schedule, options.total_steps))
    if options.png:
        figure_module = import_extra("matplotlib.figure", extra="plot")
        figure = figure_module.Figure(figsize=(7, 3), layout="constrained")
        # Without a length of training, draw the last stage as a sixth of the picture.
        total_steps = options.total_steps or max(1, int(1.2 * max([0, *schedule.boundaries])))
        plot(schedule, total_steps, figure.subplots())
        figure.savefig(options.png, dpi=120)
        print(f"drawn: {options.png}")


def _demo(options: argparse.Namespace) -> None:
    demo.run(_schedule(options), options.steps, options.output)


def _sweep(options: argparse.Namespace) -> None:
    sweep.run(options.steps, options.output)


def _list_of(kind: Callable[[str], Any]) -> Callable[[str], list]:
    def parse(text: str) -> list:
        return [kind(item) for item in text.split(",")] if text else []

    parse.__name__ = f"comma-separated {kind.__name__}"
    return parse


def _positive_int(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value


def _png(text: str) -> Path:
    path = Path(text)
    if path.suffix != ".png":
        raise argparse.ArgumentTypeError(f"{text} does not end in .png")
    return path


if __name__ == "__main__":
    main()
