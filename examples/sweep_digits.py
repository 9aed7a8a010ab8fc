"""A sweep over schedules in one vmapped program: 64 classifiers of digits at once.

It prints the best ten of a grid of base rates, first boundaries and warmups, and draws all losses
in sweep_digits.png.

python examples/sweep_digits.py --help
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import train_digits as digits_model
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from optax_stepping import SteppingSchedule, manual_stepping, stack


class Point(NamedTuple):
    """One point of the grid. The boundary and the warmup are shares of the training."""

    base_rate: float
    first_boundary: float
    warmup: float

    def schedule(self, total_steps: int) -> SteppingSchedule:
        """Warmup, base rate, and from the first boundary on a tenth of it."""
        boundary = max(2, round(self.first_boundary * total_steps))
        warmup_steps = min(round(self.warmup * total_steps), boundary - 1)
        rates = [self.base_rate, self.base_rate / 10]
        return manual_stepping([boundary], rates, warmup_steps=warmup_steps)


def make_grid(
    base_rates: Sequence[float] = tuple(np.geomspace(0.003, 10, 8).tolist()),
    first_boundaries: Sequence[float] = (0.3, 0.5, 0.7, 0.9),
    warmups: Sequence[float] = (0.0, 0.2),
) -> list[Point]:
    """All combinations; by default 64."""
    return list(itertools.starmap(Point, itertools.product(base_rates, first_boundaries, warmups)))


def train(
    schedule: SteppingSchedule, digits: digits_model.Digits, total_steps: int
) -> tuple[jax.Array, jax.Array]:
    """Loss and held-out accuracy after training. Map it over schedules with ``vmap``."""
    optimizer = digits_model.make_optimizer(schedule)
    params = digits_model.init_params(jax.random.key(0))

    def step(carry: Any, key: jax.Array) -> tuple[Any, None]:
        params, opt_state = carry
        grads = jax.grad(digits_model.loss_fn)(params, *digits_model.sample_batch(key, digits))
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), None

    keys = jax.random.split(jax.random.key(1), total_steps)
    carry, _ = jax.lax.scan(step, (params, optimizer.init(params)), keys)
    params = carry[0]
    loss = digits_model.loss_fn(params, digits.train_images, digits.train_labels)
    return loss, digits_model.accuracy(params, digits.test_images, digits.test_labels)


def run(total_steps: int, output: Path) -> None:
    """Trains the default grid, prints the best ten, draws a heat map."""
    console = Console()
    digits = digits_model.load_digits()
    grid = make_grid()
    batch = stack([point.schedule(total_steps) for point in grid])
    with console.status(f"training {len(grid)} schedules in one program"):
        train_all = jax.jit(jax.vmap(lambda schedule: train(schedule, digits, total_steps)))
        losses, accuracies = map(np.asarray, train_all(batch))

    table = Table(title=f"the best ten of {len(grid)} schedules, {total_steps} steps")
    for column in ("base rate", "first boundary", "warmup", "loss", "held-out accuracy"):
        table.add_column(column, justify="right")
    # A run that diverged has no loss. It comes last.
    for i in np.argsort(np.nan_to_num(losses, nan=np.inf))[:10]:
        point = grid[i]
        shares = (f"{point.first_boundary:.0%}", f"{point.warmup:.0%}")
        results = (f"{losses[i]:.4f}", f"{accuracies[i]:.2%}")
        table.add_row(f"{point.base_rate:.3g}", *shares, *results)
    console.print(table)
    draw(grid, np.asarray(jnp.log10(losses)), output)
    console.print(f"loss over the grid: {output}", highlight=False)


def draw(grid: Sequence[Point], log_losses: np.ndarray, output: Path) -> None:
    """A heat map of base rate and first boundary for every length of warmup."""
    base_rates, first_boundaries, warmups = (
        sorted(set(values)) for values in zip(*grid, strict=True)
    )
    cells = log_losses.reshape(len(base_rates), len(first_boundaries), len(warmups))
    figure = Figure(figsize=(3.2 * len(warmups) + 1, 4), layout="constrained")
    axes = figure.subplots(1, len(warmups), sharey=True, squeeze=False)[0]
    # A run with a loss above that of a guess diverged.
    cells = np.where(cells < np.log10(np.log(digits_model.NUM_CLASSES)), cells, np.nan)
    limits = {"vmin": np.nanmin(cells), "vmax": np.nanmax(cells)}
    images = []
    for i, (ax, warmup) in enumerate(zip(axes, warmups, strict=True)):
        images.append(ax.imshow(cells[:, :, i], origin="lower", aspect="auto", **limits))
        ax.set(title=f"warmup {warmup:.0%}", xlabel="first boundary")
        ax.set_xticks(range(len(first_boundaries)), [f"{b:.0%}" for b in first_boundaries])
    axes[0].set(ylabel="base rate")
    axes[0].set_yticks(range(len(base_rates)), [f"{rate:.3g}" for rate in base_rates])
    figure.colorbar(
        images[0], ax=axes, label="log10 of the training cross-entropy (white: diverged)"
    )
    figure.savefig(output, dpi=120)


def main() -> None:
    """Reads the command line and sweeps."""
    parser = argparse.ArgumentParser(description="Train 64 schedules at once, in one program.")
    parser.add_argument("--steps", type=int, default=300, help="length of training")
    parser.add_argument(
        "--output", type=Path, default=Path("sweep_digits.png"), help="the picture to draw"
    )
    options = parser.parse_args()
    if options.steps < 1:
        parser.error(f"--steps must be positive, got {options.steps}")
    if not options.output.parent.is_dir():
        parser.error(f"there is no folder {str(options.output.parent)!r}")
    run(options.steps, options.output)


if __name__ == "__main__":
    main()
