"""What does it cost to turn a schedule into stages, and what is gained?"""

import functools
import time

import jax
import numpy as np
import optax

from benchmarks.tables import Table, measure, ratio
from optax_stepping import from_function, from_table, stack

MEMBERS, STEPS = 64, 1000


def curve(steps: int) -> np.ndarray:
    warmup = np.linspace(0, 1, steps // 20, endpoint=False)
    return np.append(warmup, 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, steps - warmup.size)))


def lines(steps: int) -> np.ndarray:
    corners = np.array([0, 0.05, 0.5, 0.6, 0.9]) * steps
    return np.interp(np.arange(steps), corners, [0, 1, 0.6, 0.6, 0])


def speed() -> Table:
    rows = []
    for steps in (10_000, 1_000_000):
        for shape, table in (
            ("warmup and cosine", curve(steps)),
            ("lines and holds", lines(steps)),
        ):
            for dtype in (np.float64, np.float32):
                rates = table.astype(dtype)
                stages = from_table(rates, tolerance=1e-3).rates.size  # and compiles the check
                convert = {"from_table": lambda r=rates: from_table(r, tolerance=1e-3)}
                seconds = measure(convert, rounds=3)["from_table"].median / 1e6
                name = np.dtype(dtype).name
                rows.append([f"{steps:,}", shape, name, str(stages), f"{seconds:.3f}"])
    return Table(
        "from_table at a tolerance of 1e-3",
        ["steps", "rates", "dtype", "stages", "seconds"],
        rows,
        "The first call with a curve also compiles the program that checks the errors, once for "
        "every power of two of stages.",
    )


def many_lengths() -> Table:
    lengths = [500 + 7 * i for i in range(MEMBERS)]
    closures = [optax.warmup_cosine_decay_schedule(0.0, 1.0, 50, length) for length in lengths]

    def total(schedule):
        return jax.lax.fori_loop(0, STEPS, lambda i, total: total + schedule(i), 0.0)

    start = time.perf_counter()
    options = {"total_steps": STEPS, "tolerance": 1e-3, "num_stages": 20}
    schedules = stack([from_function(closure, **options) for closure in closures])
    converted = time.perf_counter() - start
    ways = {
        "ours, vmapped": [(jax.vmap(total), schedules)],
        "Optax, all in one program": [(lambda: jax.numpy.stack([*map(total, closures)]),)],
        "Optax, a program each": [(functools.partial(total, closure),) for closure in closures],
    }
    seconds, runs = {}, {}
    for name, functions in ways.items():
        start = time.perf_counter()
        programs = [
            (jax.jit(f).lower(*arguments).compile(), arguments) for f, *arguments in functions
        ]
        seconds[name] = time.perf_counter() - start
        runs[name] = lambda programs=programs: jax.block_until_ready([f(*x) for f, x in programs])
    timings = measure(runs, rounds=5)
    ours, *_ = ways
    for run in runs.values():
        found = np.concatenate([np.ravel(total) for total in run()])
        np.testing.assert_allclose(found, np.ravel(runs[ours]()), atol=1e-3 * STEPS)
    return Table(
        f"{MEMBERS} warmup-cosines of different lengths, {STEPS:,} steps",
        ["how", "trace and compile, s", "run, µs (low to high)", "compile / ours", "run / ours"],
        [
            [
                name,
                f"{seconds[name]:.2f}",
                str(timings[name]),
                ratio(seconds[name], seconds[ours]),
                ratio(timings[name].median, timings[ours].median),
            ]
            for name in ways
        ],
        f"The programs sum the rates. Ours are at most 1e-3 off; to convert them took "
        f"{converted:.2f} s, once. The next {MEMBERS} run in the same program.",
    )


def tables() -> list[Table]:
    return [speed(), many_lengths()]


if __name__ == "__main__":
    print(*(table.markdown() for table in tables()), sep="\n")
