"""A real model under a stepped schedule: handwritten digits, a small network, SGD."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optax_stepping._extras import import_extra
from optax_stepping._schedule import SteppingSchedule
from optax_stepping._view import describe

BATCH_SIZE = 32
HIDDEN_UNITS = 32
NUM_CLASSES = 10


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
    images, labels = import_extra("sklearn.datasets", extra="demo").load_digits(return_X_y=True)
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


def run(schedule: SteppingSchedule, total_steps: int, output: Path) -> list[StageEnd]:
    """Trains for ``total_steps``, reports every stage on the terminal, draws a PNG."""
    digits = load_digits()
    optimizer = make_optimizer(schedule)

    @jax.jit
    def train_step(params: dict[str, jax.Array], opt_state: Any, key: jax.Array):
        loss, grads = jax.value_and_grad(loss_fn)(params, *sample_batch(key, digits))
        updates, opt_state = optimizer.update(grads, opt_state, params)
        rate = opt_state[1].hyperparams["learning_rate"]
        return optax.apply_updates(params, updates), opt_state, loss, rate

    console = import_extra("rich.console", extra="demo").Console()
    progress = import_extra("rich.progress", extra="demo")
    console.print(describe(schedule, total_steps), highlight=False)
    ends = {int(boundary) for boundary in schedule.boundaries if boundary < total_steps}
    ends.add(total_steps)
    stage_ends, rates, losses = [], [], []
    params = init_params(jax.random.key(0))
    opt_state = optimizer.init(params)
    key = jax.random.key(1)
    for step in progress.track(range(total_steps), "training", console=console):
        batch_key = jax.random.fold_in(key, step)
        params, opt_state, loss, rate = train_step(params, opt_state, batch_key)
        rates.append(rate)
        losses.append(loss)
        if step + 1 in ends:
            score = accuracy(params, digits.test_images, digits.test_labels)
            recent = jnp.mean(jnp.stack(losses[-100:]))
            stage_ends.append(StageEnd(step + 1, float(rate), float(recent), float(score)))

    table = import_extra("rich.table", extra="demo").Table("stage", "until step", "last rate")
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
    figure_module = import_extra("matplotlib.figure", extra="demo")
    figure = figure_module.Figure(figsize=(7, 4), layout="constrained")
    top, bottom = figure.subplots(2, sharex=True)
    top.plot(rates, drawstyle="steps-post")
    top.set(ylabel="rate", title="Handwritten digits under a stepped schedule")
    bottom.plot(losses, color="0.8", label="batch")
    window = min(50, len(losses))
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    bottom.plot(np.arange(window - 1, len(losses)), smooth, color="C1", label=f"mean of {window}")
    bottom.set(xlabel="step", ylabel="loss", yscale="log")
    bottom.legend()
    figure.savefig(output, dpi=120)
