"""A search over schedules, 64 at a time in one program: peak, warmup, shape and drop.

Optuna proposes 64 schedules, one vmapped program trains a classifier of digits under each, and
Optuna learns from the losses. It prints the best ten of 256 schedules, and draws all losses and the
best schedules in search_digits.png. It needs Optuna: pip install -e '.[search]'

python examples/search_digits.py --help
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import sweep_digits as sweep
import train_digits as digits_model
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table

from optax_stepping import SteppingSchedule, from_table, stack

try:
    import optuna
except ImportError:
    raise SystemExit("Optuna is needed for this: pip install 'optax-stepping[search]'") from None

BATCH_SIZE = 64
# Room for every proposal: within a thousandth, a cosine takes about 17 stages, and an exponential
# 20. With one number for all batches, they run in one program.
NUM_STAGES = 32
SHAPES = ("steps", "line", "cosine", "exponential")
SPACE = {
    "peak": optuna.distributions.FloatDistribution(0.003, 10, log=True),
    "warmup": optuna.distributions.FloatDistribution(0, 0.3),
    "shape": optuna.distributions.CategoricalDistribution(SHAPES),
    "drop": optuna.distributions.FloatDistribution(1e-3, 1, log=True),
}
# The loss of a guess. A run that diverged counts as one.
GUESS = np.log(digits_model.NUM_CLASSES)


class Result(NamedTuple):
    """A proposal: its parameters, its schedule, and what training under it gave."""

    params: dict[str, Any]
    schedule: SteppingSchedule
    loss: float
    accuracy: float


def make_schedule(
    total_steps: int, *, peak: float, warmup: float, shape: str, drop: float
) -> SteppingSchedule:
    """A ramp to the peak over a share of the training, then down to ``drop * peak``."""
    warmup_steps = round(warmup * total_steps)
    counts = np.arange(total_steps)
    share = np.maximum(counts - warmup_steps, 0) / (total_steps - warmup_steps)
    falls = {
        "steps": np.select([share < 0.5, share < 0.8], [1, np.sqrt(drop)], drop),
        "line": 1 + (drop - 1) * share,
        "cosine": drop + (1 - drop) * (1 + np.cos(np.pi * share)) / 2,
        "exponential": drop**share,
    }
    climb = np.minimum(counts / max(warmup_steps, 1), 1) if warmup_steps else 1
    return from_table(peak * climb * falls[shape], tolerance=1e-3)


def search(total_steps: int, batches: int, seed: int, console: Console) -> list[Result]:
    """All results, in the order of the proposals."""
    digits = digits_model.load_digits()
    compilations = 0

    @jax.jit
    def train_all(batch: SteppingSchedule) -> tuple[jax.Array, jax.Array]:
        nonlocal compilations
        compilations += 1
        return jax.vmap(lambda schedule: sweep.train(schedule, digits, total_steps))(batch)

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # The first batch is random; each later one learns from all before it.
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=BATCH_SIZE)
    study = optuna.create_study(sampler=sampler)
    results = []
    for _ in track(range(batches), f"training {BATCH_SIZE} schedules at a time", console=console):
        trials = [study.ask(SPACE) for _ in range(BATCH_SIZE)]
        schedules = [make_schedule(total_steps, **trial.params) for trial in trials]
        losses, accuracies = train_all(stack(schedules, num_stages=NUM_STAGES))
        losses = np.fmin(losses, GUESS)  # also where the loss is NaN
        for trial, schedule, loss, accuracy in zip(
            trials, schedules, losses.tolist(), accuracies.tolist(), strict=True
        ):
            study.tell(trial, loss)
            results.append(Result(trial.params, schedule, loss, accuracy))
    assert compilations == 1
    return results


def run(total_steps: int, batches: int, seed: int, output: Path) -> list[Result]:
    """Searches, prints the best ten, draws a PNG."""
    console = Console()
    results = search(total_steps, batches, seed, console)
    best = sorted(results, key=lambda result: result.loss)[:10]
    table = Table(title=f"the best ten of {len(results)} schedules, {total_steps} steps")
    for column in ("peak", "warmup", "shape", "drop", "loss", "held-out accuracy"):
        table.add_column(column, justify="right")
    for params, _, loss, accuracy in best:
        cells = (f"{params['peak']:.3g}", f"{params['warmup']:.0%}", params["shape"])
        table.add_row(*cells, f"{params['drop']:.3g}", f"{loss:.4f}", f"{accuracy:.2%}")
    console.print(table)
    _draw(results, best, total_steps, output)
    console.print(f"all losses and the best rates: {output}", highlight=False)
    return results


def _draw(results: list[Result], best: list[Result], total_steps: int, output: Path) -> None:
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    losses = np.array([result.loss for result in results])
    shapes = np.array([result.params["shape"] for result in results])
    for shape in SHAPES:
        (chosen,) = np.nonzero(shapes == shape)
        left.scatter(chosen, losses[chosen], s=8, label=shape)
    left.plot(np.minimum.accumulate(losses), color="black", lw=1, label="best so far")
    for start in range(BATCH_SIZE, len(losses), BATCH_SIZE):
        left.axvline(start, color="lightgray", lw=1, zorder=0)
    left.set(xlabel="schedule, 64 to a batch", ylabel="training cross-entropy", yscale="log")
    left.legend(fontsize=8)
    counts = np.arange(total_steps)
    for result in best:
        color = f"C{SHAPES.index(result.params['shape'])}"
        right.plot(counts, result.schedule(counts), color=color, lw=1)
    right.set(xlabel="step", ylabel="rate", title="the best ten")
    figure.savefig(output, dpi=120)


def main() -> None:
    """Reads the command line and searches."""
    parser = argparse.ArgumentParser(description="Search a schedule, 64 at a time in one program.")
    parser.add_argument("--steps", type=int, default=300, help="length of training")
    parser.add_argument("--batches", type=int, default=4, help="how often 64 are proposed")
    parser.add_argument("--seed", type=int, default=0, help="the same seed, the same proposals")
    parser.add_argument(
        "--output", type=Path, default=Path("search_digits.png"), help="the picture to draw"
    )
    options = parser.parse_args()
    for name, low in (("steps", 1), ("batches", 1), ("seed", 0)):
        if getattr(options, name) < low:
            parser.error(f"--{name} must be at least {low}, got {getattr(options, name)}")
    if not options.output.parent.is_dir():
        parser.error(f"there is no folder {str(options.output.parent)!r}")
    run(options.steps, options.batches, options.seed, options.output)


if __name__ == "__main__":
    main()
