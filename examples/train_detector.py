"""A small detector under the schedule of a real one: digits on a canvas, found by their centres.

It reads a pipeline.config of the TensorFlow Object Detection API and shortens its schedule. It
prints the average precision at the end of every stage, and draws what it finds in
train_detector.png.

python examples/train_detector.py --help
"""

import argparse
import functools
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import sklearn.datasets
from jax import lax
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from rich.console import Console
from rich.progress import track
from rich.table import Table

from optax_stepping import SteppingSchedule, describe, interop, stretch

# The Object Detection API trains its Context R-CNN for Snapshot Serengeti under this, for 500,000
# steps.
CONFIG = """
train_config {
  optimizer { momentum_optimizer {
    learning_rate { manual_step_learning_rate {
      initial_learning_rate: 0.0
      schedule { step: 2000 learning_rate: 0.002 }
      schedule { step: 200000 learning_rate: 0.0002 }
      schedule { step: 300000 learning_rate: 0.00002 }
      warmup: true
    } }
    momentum_optimizer_value: 0.9
  } }
  num_steps: 500000
}
"""
CONFIG_STEPS = 500_000
# This detector has no normalisation and no pretrained layers, so it needs higher rates.
FACTOR = 25
CANVAS, STRIDE, MAX_DIGITS = 48, 4, 4
CELLS = CANVAS // STRIDE
NUM_CLASSES = 10
BATCH_SIZE = 16
NUM_TEST = 256
Params = dict[str, jax.Array]


class Scenes(NamedTuple):
    """Canvases float32 ``(k, 48, 48)`` with up to 4 digits each.

    Boxes are float32 ``(k, 4, 4)``: (top, left, height, width) in pixels. Labels are int32
    ``(k, 4)``. ``present`` is bool ``(k, 4)``: whether the digit is there.
    """

    images: jax.Array
    boxes: jax.Array
    labels: jax.Array
    present: jax.Array


def place_digits(key: jax.Array, images: jax.Array, labels: jax.Array) -> Scenes:
    """One scene: every quarter of the canvas may hold a digit, of any size; and noise."""
    keys = jax.random.split(key, 5)
    half = CANVAS / 2
    rows = jax.random.randint(keys[0], (MAX_DIGITS,), 0, len(labels))
    sizes = jax.random.uniform(keys[1], (MAX_DIGITS, 1), minval=8, maxval=20)
    corners = jax.random.uniform(keys[2], (MAX_DIGITS, 2)) * (half - sizes)
    corners += half * jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    present = jax.random.bernoulli(keys[3], 0.7, (MAX_DIGITS,))

    def on_canvas(image: jax.Array, corner: jax.Array, size: jax.Array) -> jax.Array:
        scale = jnp.broadcast_to(size / 8, 2)
        return jax.image.scale_and_translate(
            image.reshape(8, 8), (CANVAS, CANVAS), (0, 1), scale, corner, "linear"
        )

    digits = jax.vmap(on_canvas)(images[rows], corners, sizes[:, 0])
    noise = 0.1 * jax.random.normal(keys[4], (CANVAS, CANVAS))
    canvas = jnp.sum(digits * present[:, None, None], axis=0) + noise
    boxes = jnp.concatenate([corners, sizes, sizes], axis=1)
    return Scenes(canvas, boxes, labels[rows], present)


def init_params(key: jax.Array) -> Params:
    """Four layers of 3 x 3, and a head: a heat map for every class, two offsets, two sizes."""
    init = jax.nn.initializers.he_normal(in_axis=2, out_axis=3)
    widths = [1, 16, 32, 64, 64]
    keys = jax.random.split(key, 5)
    params = {}
    for i in range(4):
        params[f"kernel{i}"] = init(keys[i], (3, 3, widths[i], widths[i + 1]))
        params[f"bias{i}"] = jnp.zeros(widths[i + 1])
    params["head"] = 0.1 * init(keys[4], (1, 1, widths[-1], NUM_CLASSES + 4))
    # Few cells are centres, so the heat maps start low.
    params["head_bias"] = jnp.zeros(NUM_CLASSES + 4).at[:NUM_CLASSES].set(-4.0)
    return params


def predict(params: Params, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Logits of the heat maps ``(k, 12, 12, 10)``, and geometry ``(k, 12, 12, 4)``.

    The geometry is the centre, in cells from the cell's corner, and the logarithm of the size.
    """
    convolve = functools.partial(
        lax.conv_general_dilated, padding="SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    hidden = images[..., None]
    for i, stride in enumerate((2, 2, 1, 1)):
        hidden = convolve(hidden, params[f"kernel{i}"], (stride, stride))
        hidden = jax.nn.relu(hidden + params[f"bias{i}"])
    outputs = convolve(hidden, params["head"], (1, 1)) + params["head_bias"]
    return outputs[..., :NUM_CLASSES], outputs[..., NUM_CLASSES:]


def loss_fn(params: Params, scenes: Scenes) -> jax.Array:
    """Focal loss of the heat maps, and the distance of boxes at the true centres."""
    logits, geometry = predict(params, scenes.images)
    centres = scenes.boxes[..., :2] + scenes.boxes[..., 2:] / 2
    cells = (centres // STRIDE).astype(jnp.int32)
    k = jnp.arange(len(logits))[:, None]
    # A wrong peak costs less, the nearer it is to a centre. At the centre, a peak has to be.
    grid = (jnp.stack(jnp.meshgrid(*[jnp.arange(CELLS)] * 2, indexing="ij"), -1) + 0.5) * STRIDE
    distance = jnp.sum((grid - centres[:, :, None, None]) ** 2, axis=-1)
    near = jnp.exp(-distance / 32) * scenes.present[..., None, None]
    classes = jax.nn.one_hot(scenes.labels, NUM_CLASSES)
    near = jnp.max(near[..., None] * classes[:, :, None, None], axis=1)
    peaks = jnp.zeros_like(logits)
    peaks = peaks.at[k, cells[..., 0], cells[..., 1], scenes.labels].max(1.0 * scenes.present)
    probability = jax.nn.sigmoid(logits)
    found = peaks * (1 - probability) ** 2 * jax.nn.log_sigmoid(logits)
    empty = (1 - peaks) * (1 - near) ** 4 * probability**2 * jax.nn.log_sigmoid(-logits)
    targets = jnp.concatenate(
        [(centres - cells * STRIDE) / STRIDE, jnp.log(scenes.boxes[..., 2:] / 8)], axis=-1
    )
    off = jnp.abs(geometry[k, cells[..., 0], cells[..., 1]] - targets)
    boxes = jnp.sum(off * scenes.present[..., None])
    return (boxes - jnp.sum(found) - jnp.sum(empty)) / jnp.maximum(jnp.sum(scenes.present), 1)


@jax.jit
def detect(params: Params, images: jax.Array) -> tuple[jax.Array, ...]:
    """The highest peaks of every image: scores ``(k, 8)``, classes ``(k, 8)``, boxes."""
    logits, geometry = predict(params, images)
    window = (1, 3, 3, 1)
    highest = lax.reduce_window(logits, -jnp.inf, lax.max, window, (1, 1, 1, 1), "SAME")
    scores = jnp.where(highest == logits, jax.nn.sigmoid(logits), 0).reshape(len(images), -1)
    scores, index = lax.top_k(scores, 8)
    cell, label = index // NUM_CLASSES, index % NUM_CLASSES
    row, column = cell // CELLS, cell % CELLS
    found = geometry[jnp.arange(len(images))[:, None], row, column]
    sizes = 8 * jnp.exp(found[..., 2:])
    centres = (jnp.stack([row, column], -1) + found[..., :2]) * STRIDE
    return scores, label, jnp.concatenate([centres - sizes / 2, sizes], -1)


def overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of one box with others."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    return shared / (np.prod(box[2:]) + np.prod(others[:, 2:], axis=1) - shared)


def average_precision(params: Params, scenes: Scenes) -> float:
    """The mean over classes of the area under precision over recall, at an overlap of 0.5."""
    scores, labels, boxes = map(np.asarray, detect(params, scenes.images))
    truth = jax.tree.map(np.asarray, scenes)
    areas = []
    for label in range(NUM_CLASSES):
        there = truth.present & (truth.labels == label)
        taken = np.zeros_like(there)
        hits = []
        ours = np.argwhere(labels == label)
        for k, i in ours[np.argsort(-scores[labels == label], kind="stable")]:
            fit = np.where(there[k] & ~taken[k], overlap(boxes[k, i], truth.boxes[k]), 0)
            hits.append(fit.max() >= 0.5)
            taken[k, fit.argmax()] |= hits[-1]
        right = np.cumsum(hits)
        precision = right / np.arange(1, len(right) + 1)
        # At every recall, take the best precision at this recall or a higher one.
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        areas.append(np.sum(precision * hits) / max(there.sum(), 1))
    return float(np.mean(areas))


def schedule_over(total_steps: int) -> SteppingSchedule:
    """The recipe of 500,000 steps, shortened to ``total_steps``, at higher rates."""
    recipe = interop.from_tf_object_detection(CONFIG)
    return stretch(recipe * FACTOR, Fraction(total_steps, CONFIG_STEPS))


def run(schedule: SteppingSchedule, total_steps: int, output: Path) -> list[float]:
    """Trains, prints the average precision of every stage, draws a PNG of what is found."""
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    images, labels = jnp.asarray(images / 16, jnp.float32), jnp.asarray(labels, jnp.int32)
    held_out = len(labels) // 5
    place_many = jax.vmap(place_digits, (0, None, None))
    test_keys = jax.random.split(jax.random.key(2), NUM_TEST)
    test = jax.jit(place_many)(test_keys, images[:held_out], labels[:held_out])

    optimizer = optax.chain(optax.clip_by_global_norm(10.0), optax.sgd(schedule, momentum=0.9))

    @jax.jit
    def train_step(params: Params, opt_state: Any, key: jax.Array):
        keys = jax.random.split(key, BATCH_SIZE)
        scenes = place_many(keys, images[held_out:], labels[held_out:])
        loss, grads = jax.value_and_grad(loss_fn)(params, scenes)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    console = Console()
    console.print(describe(schedule, total_steps), highlight=False)
    ends = {int(boundary) for boundary in schedule.boundaries if boundary < total_steps}
    ends.add(total_steps)
    params = init_params(jax.random.key(0))
    opt_state = optimizer.init(params)
    losses, precisions = [], []
    table = Table("stage", "until step", "last rate", "loss", "average precision")
    for step in track(range(total_steps), "training", console=console):
        key = jax.random.fold_in(jax.random.key(1), step)
        params, opt_state, loss = train_step(params, opt_state, key)
        losses.append(loss)
        if step + 1 in ends:
            precisions.append(average_precision(params, test))
            recent = float(jnp.mean(jnp.stack(losses[-100:])))
            cells = (str(step + 1), f"{float(schedule(step)):.4g}", f"{recent:.3f}")
            table.add_row(str(len(precisions) - 1), *cells, f"{precisions[-1]:.1%}")
    console.print(table)
    _draw(params, test, output)
    console.print(f"what is found in eight held-out scenes: {output}", highlight=False)
    return precisions


def _draw(params: Params, scenes: Scenes, output: Path) -> None:
    figure = Figure(figsize=(9, 4.8), layout="constrained")
    scores, labels, boxes = map(np.asarray, detect(params, scenes.images[:8]))
    for k, axes in enumerate(figure.subplots(2, 4).flat):
        axes.imshow(scenes.images[k], cmap="gray")
        axes.set(xlabel="pixel", ylabel="pixel", title=f"scene {k}")
        for score, label, (top, left, height, width) in zip(
            scores[k], labels[k], boxes[k], strict=True
        ):
            if score >= 0.5:
                axes.add_patch(Rectangle((left, top), width, height, fill=False, color="C1"))
                axes.text(left, top - 1, f"{label}: {score:.0%}", color="C1", fontsize=8)
    figure.savefig(output, dpi=120)


def main() -> None:
    """Reads the command line and trains."""
    parser = argparse.ArgumentParser(description="Train a detector of handwritten digits.")
    parser.add_argument("--steps", type=int, default=5000, help="length of training")
    parser.add_argument(
        "--output", type=Path, default=Path("train_detector.png"), help="the picture to draw"
    )
    options = parser.parse_args()
    if not options.output.parent.is_dir():
        parser.error(f"there is no folder {str(options.output.parent)!r}")
    try:
        schedule = schedule_over(options.steps)
    except ValueError as error:
        parser.error(f"argument --steps: {error}")
    run(schedule, options.steps, options.output)


if __name__ == "__main__":
    main()
