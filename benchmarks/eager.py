"""What does one eager call cost?"""

import importlib.util
import os

import jax
import jax.numpy as jnp
import optax

from benchmarks.tables import Table, measure, verdict
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
    for num_boundaries, limit in ((3, 1 / 15), (256, 1 / 1000)):
        functions = peers(num_boundaries)
        timings = measure(functions)
        missing = [name for name in ("Keras (JAX)", "torch, step()") if name not in functions]
        rows += [[str(num_boundaries), name, "not installed", "", ""] for name in missing]
        ours = timings["ours (array)"].median
        for name, timing in timings.items():
            target = ""
            if name == "Optax":
                target = verdict(ours / timing.median, limit)
            if name.startswith("identity"):
                of = timings["ours (int)" if "int" in name else "ours (array)"].median
                target = verdict(of / timing.median, 1.5)
            ratio = f"{ours / timing.median:.4f}"
            rows.append([str(num_boundaries), name, str(timing), ratio, target])
    return [
        Table(
            "One eager call",
            ["boundaries", "schedule", "µs (low to high)", "ours / this", "target"],
            rows,
            "Medians of nine rounds in turns. Four array arguments instead of one make the "
            "cheapest jitted call 1.2 times as long; the rest over the identity is the program.",
        )
    ]


if __name__ == "__main__":
    print(*(table.markdown() for table in tables()), sep="\n")
