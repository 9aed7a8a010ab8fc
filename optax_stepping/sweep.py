"""A sweep over schedules in one vmapped program: 64 classifiers of digits at once."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optax_stepping import demo
from optax_stepping._extras import import_extra
from optax_stepping._manual_stepping import manual_stepping
from optax_stepping._schedule import SteppingSchedule
from optax_stepping._stack import stack


class Point(NamedTuple):
    """One point of the grid; boundary and warmup are shares of the training."""

    base_rate: float
    first_boundary: float
    warmup: float

    def schedule(self, total_steps: int) -> SteppingSchedule:
        """Warmup, base rate, and a tenth of it from the first boundary on."""
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
    schedule: SteppingSchedule, digits: demo.Digits, total_steps: int
) -> tuple[jax.Array, jax.Array]:
    """Loss and held-out accuracy after training; to be vmapped over schedules."""
    optimizer = demo.make_optimizer(schedule)
    params = demo.init_params(jax.random.key(0))

    def step(carry: Any, key: jax.Array) -> tuple[Any, None]:
        params, opt_state = carry
        grads = jax.grad(demo.loss_fn)(params, *demo.sample_batch(key, digits))
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), None

    keys = jax.random.split(jax.random.key(1), total_steps)
    carry, _ = jax.lax.scan(step, (params, optimizer.init(params)), keys)
    params = carry[0]
    loss = demo.loss_fn(params, digits.train_images, digits.train_labels)
    return loss, demo.accuracy(params, digits.test_images, digits.test_labels)


def run(total_steps: int, output: Path) -> None:
    """Trains the default grid, prints the best ten, draws a heat map."""
    console = import_extra("rich.console", extra="demo").Console()
    tables = import_extra("rich.table", extra="demo")
    digits = demo.load_digits()
    grid = make_grid()
    batch = stack([point.schedule(total_steps) for point in grid])
    with console.status(f"training {len(grid)} schedules in one program"):
        train_all = jax.jit(jax.vmap(lambda schedule: train(schedule, digits, total_steps)))
        losses, accuracies = map(np.asarray, train_all(batch))

    table = tables.Table(title=f"the best ten of {len(grid)} schedules, {total_steps} steps")
    for column in ("base rate", "first boundary", "warmup", "loss", "held-out accuracy"):
        table.add_column(column, justify="right")
    # A diverged run has no loss: the last place.
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
    figure_module = import_extra("matplotlib.figure", extra="demo")
    base_rates, first_boundaries, warmups = (
        sorted(set(values)) for values in zip(*grid, strict=True)
    )
    cells = log_losses.reshape(len(base_rates), len(first_boundaries), len(warmups))
    figure = figure_module.Figure(figsize=(3.2 * len(warmups) + 1, 4), layout="constrained")
    axes = figure.subplots(1, len(warmups), sharey=True, squeeze=False)[0]
    limits = {"vmin": np.nanmin(cells), "vmax": np.nanmax(cells)}
    images = []
    for i, (ax, warmup) in enumerate(zip(axes, warmups, strict=True)):
        images.append(ax.imshow(cells[:, :, i], origin="lower", aspect="auto", **limits))
        ax.set(title=f"warmup {warmup:.0%}", xlabel="first boundary")
        ax.set_xticks(range(len(first_boundaries)), [f"{b:.0%}" for b in first_boundaries])
    axes[0].set(ylabel="base rate")
    axes[0].set_yticks(range(len(base_rates)), [f"{rate:.3g}" for rate in base_rates])
    figure.colorbar(images[0], ax=axes, label="log10 of the loss (white: diverged)")
    figure.savefig(output, dpi=120)
