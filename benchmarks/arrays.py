"""What do many counts at once cost?"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.programs import uniform_schedule
from benchmarks.tables import Table, measure, ratio

STAGES = [1, 2, 3, 4, 13, 16, 32, 33, 64, 1024, 8192]
COUNTS = 1_000_000


def evaluate(schedule, counts):
    return schedule(counts)


def evaluate_mapped(schedule, counts):
    return jax.vmap(schedule)(counts)


def compiled(function, schedule, counts):
    """The call on arrays that are there already, and its memory over its result."""
    program = jax.jit(function).lower(schedule, counts).compile()
    memory = program.memory_analysis()
    extra = memory.temp_size_in_bytes / memory.output_size_in_bytes
    return lambda: program(schedule, counts).block_until_ready(), extra


def spread_schedule(stages: int, last: int):
    """Stages of equal length up to ``last``."""
    spread = np.linspace(0, last, stages + 1)[1:-1].astype(np.int32)
    return uniform_schedule(stages).replace(boundaries=jnp.asarray(spread))


def a_million() -> Table:
    counts = np.arange(COUNTS, dtype=np.int32)
    shuffled = np.random.default_rng(0).permutation(counts)
    on_device = jnp.asarray(counts)
    rows = []
    for stages in STAGES:
        schedule = spread_schedule(stages, COUNTS)
        boundaries, rates = np.asarray(schedule.boundaries), np.asarray(schedule.rates)
        ours, extra = compiled(evaluate, schedule, on_device)
        functions = {
            "ours": ours,
            "numpy": lambda b=boundaries, r=rates: r.take(np.searchsorted(b, counts, "right")),
            "shuffled": lambda b=boundaries, r=rates: r.take(np.searchsorted(b, shuffled, "right")),
        }
        if stages <= 64:
            theirs = jax.jit(
                optax.piecewise_constant_schedule(1.0, dict.fromkeys(boundaries.tolist(), 0.9))
            )
            functions["Optax"] = lambda f=theirs: jnp.asarray(f(on_device)).block_until_ready()
        timings = measure(functions, rounds=7)
        row = [str(stages), f"{timings['ours'].median:,.0f}"]
        row += [
            ratio(timings["ours"].median, timings[name].median) if name in timings else ""
            for name in ("Optax", "numpy", "shuffled")
        ]
        rows.append([*row, f"{extra:.2f}"])
    return Table(
        "A million counts at once, on the CPU",
        ["stages", "ours, µs", "ours / Optax", "ours / numpy, counts in order",
         "ours / numpy, counts shuffled", "memory beside the result / result"],
        rows,
        "Below 1, ours is faster. Optax's closure knows its numbers while it is compiled; numpy is "
        "`searchsorted` and `take`.",
    )  # fmt: skip


def mapped() -> Table:
    counts = jnp.arange(100_000)
    rows = []
    for stages in (4, 64, 1024):
        schedule = spread_schedule(stages, 100_000)
        array, array_extra = compiled(evaluate, schedule, counts)
        vmap, vmap_extra = compiled(evaluate_mapped, schedule, counts)
        timings = measure({"array": array, "vmap": vmap}, rounds=7)
        rows.append(
            [
                str(stages),
                f"{timings['array'].median:,.0f}",
                ratio(timings["vmap"].median, timings["array"].median),
                f"{array_extra:.2f}",
                f"{vmap_extra:.2f}",
            ]
        )
    return Table(
        "100,000 counts, as an array and under vmap",
        ["stages", "array, µs", "vmap / array", "memory / result, array", "memory / result, vmap"],
        rows,
    )


def tables() -> list[Table]:
    return [a_million(), mapped()]


if __name__ == "__main__":
    print(*(table.markdown() for table in tables()), sep="\n")
