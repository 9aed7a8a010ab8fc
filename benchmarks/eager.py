"""What does one eager call cost?"""

import importlib.util
import os

import jax
import jax.numpy as jnp
import optax

from benchmarks.tables import Table, measure, ratio
from optax_stepping import manual_stepping


def peers(num_boundaries: int) -> dict:
    boundaries = [100 * (i + 1) for i in range(num_boundaries)]
    rates = [1 / (i + 1) for i in range(num_boundaries + 1)]
    count = jnp.int32(150)
    identity = jax.jit(lambda count: count)
    ours = manual_stepping(boundaries, rates)
    theirs = optax.piecewise_constant_schedule(1.0, dict.fromkeys(boundaries, 0.9))
    functions = {
        "identity, jitted (int)": lambda: identity(150),
        "identity, jitted (array)": lambda: identity(count),
        "ours (int)": lambda: ours(150),
        "ours (array)": lambda: ours(count),
        "Optax": lambda: theirs(count),
    }
    if importlib.util.find_spec("keras"):
        os.environ.setdefault("KERAS_BACKEND", "jax")
        import keras

        decay = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)
        functions["Keras (JAX)"] = lambda: decay(count)
    if importlib.util.find_spec("torch"):
        import torch

        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, boundaries)
        optimizer.step()
        functions["torch, step()"] = scheduler.step
    return functions


def tables() -> list[Table]:
    rows = []
    for num_boundaries in (3, 24, 256):
        timings = measure(peers(num_boundaries))
        for name, timing in timings.items():
            ours = timings["ours (int)" if name.endswith("(int)") else "ours (array)"]
            rows.append([str(num_boundaries), name, str(timing), ratio(ours.median, timing.median)])
    return [
        Table(
            "One eager call",
            ["boundaries", "schedule", "µs (low to high)", "ours / this"],
            rows,
            "Medians of nine rounds in turns. The identity is the cheapest jitted call there is.",
        )
    ]


if __name__ == "__main__":
    print(*(table.markdown() for table in tables()), sep="\n")
