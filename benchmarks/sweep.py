"""What does a sweep of 256 schedules on the digits cost?"""

import sys
import time
from pathlib import Path

import jax
import numpy as np
import optax

from benchmarks.tables import Table, ratio
from optax_stepping import manual_stepping, stack

sys.path.append(str(Path(__file__).parents[1] / "examples"))

import train_digits as demo
from sweep_digits import train

MEMBERS, STEPS, MEASURED = 256, 100, 12


def tables() -> list[Table]:
    digits = demo.load_digits()
    settings = [(30 + i % 40, 0.01 * 1.02**i) for i in range(MEMBERS)]
    schedules = [manual_stepping([b], [rate, rate / 10], warmup_steps=10) for b, rate in settings]

    start = time.perf_counter()
    for boundary, rate in settings[:MEASURED]:
        pieces = optax.piecewise_constant_schedule(rate, {boundary - 10: 0.1})
        closure = optax.join_schedules([optax.linear_schedule(0.0, rate, 10), pieces], [10])
        jax.block_until_ready(jax.jit(lambda c=closure: train(c, digits, STEPS))())
    closures = (time.perf_counter() - start) / MEASURED * MEMBERS

    one = jax.jit(lambda schedule: train(schedule, digits, STEPS))
    jax.block_until_ready(one(schedules[0]))
    start = time.perf_counter()
    for schedule in schedules:
        jax.block_until_ready(one(schedule))
    separate = time.perf_counter() - start

    batch = stack(schedules)
    start = time.perf_counter()
    together = jax.jit(jax.vmap(lambda schedule: train(schedule, digits, STEPS)))
    losses = jax.block_until_ready(together(batch))[0]
    with_compile = time.perf_counter() - start
    start = time.perf_counter()
    jax.block_until_ready(together(batch))
    vmapped = time.perf_counter() - start
    assert np.isfinite(np.asarray(losses)).any()

    ways = {
        f"Optax closures, each compiled ({MEASURED} of them, times {MEMBERS / MEASURED:.3g})": closures,
        "ours one by one, compiled once": separate,
        "ours vmapped, with its compilation": with_compile,
        "ours vmapped, compiled": vmapped,
    }
    return [
        Table(
            f"A sweep of {MEMBERS} schedules, {STEPS} steps of the digits network",
            ["how", "seconds", "closures / this", "one by one / this"],
            [
                [name, f"{seconds:.2f}", ratio(closures, seconds), ratio(separate, seconds)]
                for name, seconds in ways.items()
            ],
            f"A network with {demo.HIDDEN_UNITS} hidden units, batches of {demo.BATCH_SIZE}.",
        )
    ]


if __name__ == "__main__":
    print(*(table.markdown() for table in tables()), sep="\n")
