"""Rates by the definition: plain Python and exact fractions, one count at a time."""

import bisect
import math
from fractions import Fraction

import jax
import numpy as np
from hypothesis import strategies as st

from optax_stepping import manual_stepping

try:
    enable_x64 = jax.enable_x64
except AttributeError:  # before jax 0.8
    from jax.experimental import enable_x64  # noqa: F401

try:
    shard_map = jax.shard_map
except AttributeError:  # before jax 0.6
    from jax.experimental.shard_map import shard_map as old_shard_map

    def shard_map(function, check_vma=True, **options):
        return old_shard_map(function, check_rep=check_vma, **options)


def stage_at(boundaries, count) -> tuple[int, int, int]:
    """The stage that is in force at ``count``, where it starts, and the whole step under way."""
    step = math.floor(max(count, 0))
    stage = bisect.bisect_right(boundaries, step)
    return stage, boundaries[stage - 1] if stage else 0, step


def exact_rate(boundaries, rates, ramps, count) -> Fraction:
    """The real rate at ``count`` (a fraction is a step under way)."""
    stage, start, step = stage_at(boundaries, count)
    rate = Fraction(float(rates[stage]))
    if stage == len(boundaries) or not ramps[stage]:
        return rate
    share = Fraction(step - start, boundaries[stage] - start)
    return rate + (Fraction(float(rates[stage + 1])) - rate) * share


def ulps(actual, exact: Fraction, scale=0.0) -> float:
    """The distance of ``actual`` from ``exact`` in ulp of the larger of exact and scale."""
    dtype = np.asarray(actual).dtype.type
    unit = np.spacing(dtype(max(abs(float(exact)), abs(float(scale)), np.finfo(dtype).tiny)))
    return float(abs(Fraction(float(actual)) - exact) / Fraction(float(unit)))


def schedule_arguments(schedule):
    """Boundaries, rates and ramps of a schedule as lists of Python numbers."""
    leaves = (schedule.boundaries, schedule.rates, schedule.ramps)
    return tuple(np.asarray(leaf).tolist() for leaf in leaves)


def random_schedule(rng, num_boundaries=4):
    boundaries = np.cumsum(rng.integers(1, 1000, num_boundaries))
    ramps = rng.random(num_boundaries) < 0.5
    return manual_stepping(boundaries, rng.random(num_boundaries + 1) + 0.01, interpolate=ramps)


STEPS, RATES = st.integers(1, 2**31 - 1), st.floats(-1, 1, width=16)


@st.composite
def schedules(draw, steps=STEPS, rates=RATES, sizes=(0, 4)):
    """Any schedules with so many boundaries."""
    low, high = sizes
    boundaries = draw(st.lists(steps, min_size=low, max_size=high, unique=True).map(sorted))
    n = len(boundaries)
    rates = draw(st.lists(rates, min_size=n + 1, max_size=n + 1))
    ramps = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    return manual_stepping(boundaries, rates, interpolate=ramps)


def same(a, b):
    """Whether two schedules have the same leaves: values, shapes and dtypes."""
    leaves, others = jax.tree.leaves(a), jax.tree.leaves(b)
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        x.dtype == y.dtype and np.array_equal(x, y) for x, y in zip(leaves, others, strict=True)
    )


def assert_rates(schedule, counts, actual, tiny=0):
    """Checks rates against the definition: bit for bit where held, 4 ulp on ramps.

    Gives the largest error of a ramp. Rates below ``tiny`` may be flushed to zero.
    """
    worst = 0.0
    boundaries, rates, ramps = schedule_arguments(schedule)
    dtype = np.asarray(schedule.rates).dtype.type
    counts = np.asarray(counts).ravel().tolist()
    for count, rate in zip(counts, np.asarray(actual).ravel(), strict=True):
        stage, start, step = stage_at(boundaries, count)
        ramp = [*ramps, False][stage]
        if not ramp or step == start:
            held = dtype(rates[stage])
            assert rate == held, (count, rate, held)
            # But for the sign of zero: a ramp from -0.0 starts with 0.0.
            assert rate.tobytes() == held.tobytes() or ramp, (count, rate)
            continue
        exact = exact_rate(boundaries, rates, ramps, count)
        low, high = sorted(rates[stage : stage + 2])
        scale = max(-low, high) if low < 0 < high else 0.0
        assert low <= rate <= high, (count, rate, low, high)
        if abs(exact) < tiny:
            assert abs(Fraction(float(rate)) - exact) <= tiny, (count, rate)
        else:
            worst = max(worst, ulps(rate, exact, scale))
        assert worst <= 4, (count, rate, float(exact))
    return worst


def counts_around(boundaries, end=None) -> list[int]:
    """Every count from -2 to beyond the last boundary, or those around huge boundaries."""
    last = boundaries[-1] if boundaries else 0
    if last < 300:
        return list(range(-2, last + 3))
    near = [-2, -1, 0, 1, 2]
    for boundary in boundaries:
        near += [boundary + offset for offset in range(-2, 3)]
    near += [last // 7, last // 3, last // 2, last - last // 5]
    return sorted({min(count, 2**31 - 1) for count in near})
