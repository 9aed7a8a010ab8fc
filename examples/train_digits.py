"""A real model under a stepped schedule: handwritten digits, a small network, SGD.

The same network also trains without the drops of the rate. It prints the loss and the held-out
accuracy at the end of every stage, and draws both trainings in train_digits.png.

python examples/train_digits.py --help
"""

import argparse
import functools
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import sklearn.datasets
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table

from optax_stepping import SteppingSchedule, describe, manual_stepping, stack

BATCH_SIZE = 32
HIDDEN_UNITS = 32
NUM_CLASSES = 10
# The noise on training images: it keeps gradients noisy, so that lower rates help.
NOISE = 0.3


class Digits(NamedTuple):
    """Images float32 ``(k, 64)`` in [0, 1] and labels int32 ``(k,)``, split in two."""

    train_images: jax.Array
    train_labels: jax.Array
    test_images: jax.Array
    test_labels: jax.Array


class StageEnd(NamedTuple):
    """What is measured at the end of a stage."""

    step: int
    rate: float
    loss: float
    accuracy: float


def load_digits() -> Digits:
    """The 1,797 images that scikit-learn ships, a fifth of them held out."""
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    images = jnp.asarray(images[order] / 16, jnp.float32)
    labels = jnp.asarray(labels[order], jnp.int32)
    held_out = len(labels) // 5
    return Digits(images[held_out:], labels[held_out:], images[:held_out], labels[:held_out])


def init_params(key: jax.Array) -> dict[str, jax.Array]:
    """Parameters of a network with one hidden layer."""
    hidden_key, out_key = jax.random.split(key)
    init = jax.nn.initializers.he_normal()
    return {
        "hidden_weights": init(hidden_key, (64, HIDDEN_UNITS)),
        "hidden_biases": jnp.zeros(HIDDEN_UNITS),
        "out_weights": init(out_key, (HIDDEN_UNITS, NUM_CLASSES)),
        "out_biases": jnp.zeros(NUM_CLASSES),
    }


def predict(params: dict[str, jax.Array], images: jax.Array) -> jax.Array:
    """Logits ``(k, 10)`` of images ``(k, 64)``."""
    hidden = jax.nn.relu(images @ params["hidden_weights"] + params["hidden_biases"])
    return hidden @ params["out_weights"] + params["out_biases"]


def loss_fn(params: dict[str, jax.Array], images: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean cross-entropy."""
    logits = predict(params, images)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def accuracy(params: dict[str, jax.Array], images: jax.Array, labels: jax.Array) -> jax.Array:
    """Share of images that are classified right."""
    return jnp.mean(jnp.argmax(predict(params, images), axis=-1) == labels)


def make_optimizer(learning_rate: Any) -> optax.GradientTransformationExtraArgs:
    """Clipped SGD with momentum, its learning rate visible in the optimizer state."""
    sgd = optax.inject_hyperparams(optax.sgd)(learning_rate=learning_rate, momentum=0.9)
    return optax.chain(optax.clip_by_global_norm(1.0), sgd)


def sample_batch(key: jax.Array, digits: Digits) -> tuple[jax.Array, jax.Array]:
    """A random minibatch of images and labels."""
    rows = jax.random.randint(key, (BATCH_SIZE,), 0, len(digits.train_labels))
    return digits.train_images[rows], digits.train_labels[rows]


def without_drops(schedule: SteppingSchedule) -> SteppingSchedule:
    """The same schedule up to its highest rate; then that rate holds."""
    rates = np.maximum.accumulate(schedule.rates)
    return schedule.replace(rates=jnp.asarray(rates))


def run(schedule: SteppingSchedule, total_steps: int, output: Path) -> list[StageEnd]:
    """Trains for ``total_steps``, prints every stage, draws a PNG.

    The same program also trains without the drops of the rate.
    """
    digits = load_digits()
    both = stack([schedule, without_drops(schedule)])

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, 0, 0, None))
    def train_step(schedule: SteppingSchedule, params: Any, opt_state: Any, key: jax.Array):
        batch_key, noise_key = jax.random.split(key)
        images, labels = sample_batch(batch_key, digits)
        images = images + NOISE * jax.random.normal(noise_key, images.shape)
        loss, grads = jax.value_and_grad(loss_fn)(params, images, labels)
        updates, opt_state = make_optimizer(schedule).update(grads, opt_state, params)
        rate = opt_state[1].hyperparams["learning_rate"]
        return optax.apply_updates(params, updates), opt_state, loss, rate

    console = Console()
    console.print(describe(schedule, total_steps), highlight=False)
    ends = {int(boundary) for boundary in schedule.boundaries if boundary < total_steps}
    ends.add(total_steps)
    stage_ends, rates, losses = [], [], []
    params = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), init_params(jax.random.key(0)))
    opt_state = jax.vmap(lambda s, p: make_optimizer(s).init(p))(both, params)
    key = jax.random.key(1)
    for step in track(range(total_steps), "training", console=console):
        batch_key = jax.random.fold_in(key, step)
        params, opt_state, loss, rate = train_step(both, params, opt_state, batch_key)
        rates.append(rate)
        losses.append(loss)
        if step + 1 in ends:
            ours = jax.tree.map(lambda leaf: leaf[0], params)
            score = accuracy(ours, digits.test_images, digits.test_labels)
            recent = jnp.mean(jnp.stack(losses[-100:]), axis=0)[0]
            stage_ends.append(StageEnd(step + 1, float(rate[0]), float(recent), float(score)))

    table = Table("stage", "until step", "last rate")
    table.add_column("loss")
    table.add_column("held-out accuracy")
    for i, end in enumerate(stage_ends):
        cells = (str(i), str(end.step), f"{end.rate:.4g}", f"{end.loss:.4f}")
        table.add_row(*cells, f"{end.accuracy:.2%}")
    console.print(table)
    _draw(np.stack(rates), np.stack(losses), output)
    console.print(f"rate and loss over steps: {output}", highlight=False)
    return stage_ends


def _draw(rates: np.ndarray, losses: np.ndarray, output: Path) -> None:
    figure = Figure(figsize=(7, 4), layout="constrained")
    top, bottom = figure.subplots(2, sharex=True)
    window = min(100, len(losses))
    steps = np.arange(window - 1, len(losses))
    for i, name, color in ((1, "without the drops", "C1"), (0, "with them", "C0")):
        top.plot(rates[:, i], drawstyle="steps-post", color=color, label=name)
        smooth = np.convolve(losses[:, i], np.ones(window) / window, mode="valid")
        bottom.plot(steps, smooth, color=color, label=f"{name}, mean of {window}")
    top.set(ylabel="rate", yscale="log", title="The same training of handwritten digits, twice")
    top.legend()
    bottom.set(xlabel="step", ylabel="loss", ylim=(0, 1))
    bottom.legend()
    figure.savefig(output, dpi=120)


def main() -> None:
    """Reads the command line and trains."""
    parser = argparse.ArgumentParser(description="Train a classifier of handwritten digits.")
    parser.add_argument(
        "--boundaries",
        type=int,
        nargs="*",
        default=[1000, 2000, 3000],
        metavar="STEP",
        help="steps at which the rate changes (none for a constant)",
    )
    parser.add_argument(
        "--rates",
        type=float,
        nargs="+",
        default=[0.1, 0.05, 0.01, 0.005],
        metavar="RATE",
        help="one rate more than boundaries",
    )
    warmups = parser.add_mutually_exclusive_group()
    warmups.add_argument(
        "--warmup", action="store_true", help="ramp from the first to the second rate"
    )
    warmups.add_argument(
        "--warmup-steps", type=int, metavar="N", help="ramp to the first rate (default 500)"
    )
    parser.add_argument(
        "--warmup-init-value",
        type=float,
        default=0.001,
        metavar="RATE",
        help="where the ramp of --warmup-steps starts (default 0.001)",
    )
    parser.add_argument("--interpolate", action="store_true", help="ramp in every stage")
    parser.add_argument("--steps", type=int, default=4000, help="length of training")
    parser.add_argument(
        "--output", type=Path, default=Path("train_digits.png"), help="the picture to draw"
    )
    options = parser.parse_args()
    if options.steps < 1:
        parser.error(f"--steps must be positive, got {options.steps}")
    if not options.output.parent.is_dir():
        parser.error(f"there is no folder {str(options.output.parent)!r}")
    warmup_steps = 0 if options.warmup else 500
    try:
        schedule = manual_stepping(
            options.boundaries,
            options.rates,
            options.warmup,
            warmup_steps=warmup_steps if options.warmup_steps is None else options.warmup_steps,
            warmup_init_value=options.warmup_init_value,
            interpolate=options.interpolate,
        )
    except ValueError as error:
        parser.error(str(error))
    run(schedule, options.steps, options.output)


if __name__ == "__main__":
    main()
