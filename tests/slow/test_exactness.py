"""Random schedules at random counts against exact fractions, a million pairs a run.

PAIRS=10000000 python -m pytest tests/slow/test_exactness.py makes it ten million.
"""

import os

import jax.numpy as jnp
import numpy as np
import pytest
from oracle import assert_rates, enable_x64
from test_bits import compare_modes

from optax_stepping import manual_stepping

INT32_MAX = 2**31 - 1
PAIRS = int(os.environ.get("PAIRS", "1000000"))
COUNTS = 1000
# Few sizes, so that few programs are compiled.
NUM_BOUNDARIES = [0, 1, 2, 3, 5, 9, 31, 32, 33, 64, 299]
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
DTYPES = [*INTEGERS, "float16", "bfloat16", "float32", "float64"]


def random_boundaries(rng, number):
    kind = rng.integers(3)
    if kind == 0:  # adjacent ones
        return list(range(first := int(rng.integers(1, INT32_MAX - number)), first + number))
    highest = [INT32_MAX, 10 * number + 5][kind - 1]
    spread = {min(int(highest ** rng.random() + 1), INT32_MAX) for _ in range(number)}
    while len(spread) < number:
        spread.add(int(rng.integers(1, highest)))
    boundaries = sorted(spread)
    if kind == 1 and number:
        boundaries[-1] = INT32_MAX
    return boundaries


def random_rates(rng, number, dtype):
    """Zero, the smallest normal numbers, huge ones, one sign or both, equal neighbours."""
    info = np.finfo(dtype)
    smallest, largest = np.log10(float(info.tiny) * 1.01), np.log10(float(info.max) / 4)
    lowest = rng.uniform(smallest, largest - 4)
    exponents = rng.uniform(lowest, min(lowest + rng.choice([0.1, 3, 60]), largest), number)
    rates = 10.0**exponents * rng.choice([[1, 1, 1, 1], [1, 1, -1, 0]][rng.integers(2)], number)
    rates = rates.astype(dtype)
    rates[1:] = np.where(rng.random(number - 1) < 0.1, rates[:-1], rates[1:])
    return rates


def random_counts(rng, boundaries, dtype):
    edges = [0, INT32_MAX, *boundaries]
    near = rng.choice(edges, COUNTS) + rng.integers(-2, 3, COUNTS)
    starts = np.array([0, *boundaries, min(2 * max(edges[2:], default=5), INT32_MAX)])
    stage = rng.integers(0, len(starts) - 1, COUNTS)
    inside = starts[stage] + rng.random(COUNTS) * (starts[stage + 1] - starts[stage])
    counts = np.where(rng.random(COUNTS) < 0.4, near, inside).astype(np.int64)
    info = jnp.finfo(dtype) if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype)
    low, high = max(int(info.min), -5), min(int(info.max), INT32_MAX)
    return np.sort(np.clip(counts, low, high)).astype(dtype)


def assert_monotone(boundaries, rates, counts, actual):
    stages = np.searchsorted(boundaries, counts.astype(float).clip(0), side="right")
    directions = np.sign(np.diff(rates, append=rates[-1]))[stages[1:]]
    assert (np.diff(actual) * directions >= 0)[stages[1:] == stages[:-1]].all()


@pytest.mark.parametrize(("dtype", "pairs"), [(np.float32, PAIRS), (np.float64, PAIRS // 5)])
def test_random_pairs(dtype, pairs):
    rng = np.random.default_rng(0)
    worst = 0.0
    with enable_x64(dtype == np.float64):
        for _ in range(pairs // COUNTS):
            boundaries = random_boundaries(rng, int(rng.choice(NUM_BOUNDARIES)))
            rates = random_rates(rng, len(boundaries) + 1, dtype)
            ramps = rng.random(len(boundaries)) < rng.choice([0.0, 0.5, 1.0])
            counts = random_counts(rng, boundaries, jnp.dtype(rng.choice(DTYPES)))
            schedule = manual_stepping(boundaries, rates, interpolate=ramps)
            actual = np.asarray(schedule(counts))
            assert actual.dtype == dtype
            worst = max(worst, assert_rates(schedule, counts, actual, np.finfo(dtype).tiny))
            assert_monotone(boundaries, rates, counts, actual)
    print(f"{pairs:,} pairs of {dtype.__name__}: worst ramp {worst:.2f} ulp")


def test_the_same_bits_of_every_schedule_in_every_mode(backend):
    compare_modes(backend, every=1)
