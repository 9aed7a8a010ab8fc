"""The rate at every count is the one of the definition."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from oracle import assert_rates, counts_around, enable_x64, schedules

from optax_stepping import manual_stepping

INT32_MAX = 2**31 - 1

CASES = {
    "constant": manual_stepping([], [0.1]), "one step": manual_stepping([1], [0.1, 0.01]),
    "steps": manual_stepping([10, 25, 60], [0.1, 0.05, 0.01, 0.005]),
    "adjacent": manual_stepping([1, 2, 3, 4], [0.1, 0.3, 0.2, 0.0, 0.4]),
    "warmup": manual_stepping([10, 25, 60], [0.001, 0.1, 0.01, 0.005], warmup=True),
    "falling warmup": manual_stepping([10, 25], [0.1, 0.001, 0.01], warmup=True),
    "warmup of a constant": manual_stepping([], [0.1], warmup=True),
    "warmup steps": manual_stepping([25, 60], [0.1, 0.01, 0.005], warmup_steps=7),
    "warmup value": manual_stepping([25], [0.1, 0.01], warmup_steps=7, warmup_init_value=0.3),
    "trapezoid": manual_stepping([13, 50, 77], [0.0, 1.0, 1.0, 0.1], interpolate=True),
    "mixed": manual_stepping([13, 50, 77], [0.3, 1, 0.1, 2], interpolate=[False, True, False]),
    "negative": manual_stepping([13, 50], [-0.1, -0.01, -0.5], interpolate=True),
    "through zero": manual_stepping([13, 50], [-0.1, 0.2, -0.7], interpolate=True),
    "huge": manual_stepping(
        [1_000_003, 2**24 + 5, 2**30, INT32_MAX], [1, 3e-3, 7, 1e-6, 5], interpolate=True
    ),
    "huge held": manual_stepping([2**24 + 1, 2**31 - 2, INT32_MAX], [1, 2, 3, 4]),
    "longest ramp": manual_stepping([INT32_MAX], [1e-4, 0.1], warmup=True),
    "many": manual_stepping(
        range(2, 272, 3), [1 / (i + 1) for i in range(91)], interpolate=[True, False, False] * 30
    ),
}  # fmt: skip


EVALUATIONS = {
    "one by one": lambda s, counts: np.stack([s(count) for count in counts[:60].tolist()]),
    "one by one, jitted": lambda s, counts: np.stack([jax.jit(s)(count) for count in counts[:60]]),
    "array": lambda s, counts: s(counts),
    "array, jitted": jax.jit(lambda s, counts: s(counts)),
    "vmap": lambda s, counts: jax.vmap(s)(counts),
    "scan": jax.jit(lambda s, counts: jax.lax.scan(lambda s, count: (s, s(count)), s, counts)[1]),
    "NumPy": lambda s, counts: s(np.asarray(counts)),
}


@pytest.mark.parametrize("how", EVALUATIONS)
@pytest.mark.parametrize("case", CASES)
def test_the_rate_at_every_count_on_every_backend(how, case, backend):
    schedule = jax.device_put(CASES[case], jax.devices(backend)[0])
    counts = counts_around(np.asarray(schedule.boundaries).tolist())
    # As many of each, so that few programs are compiled.
    counts += [counts[-1]] * (280 - len(counts))
    rates = EVALUATIONS[how](schedule, jnp.array(counts, jnp.int32))
    assert_rates(schedule, counts[: len(rates)], rates)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 4), (2, 0, 3), (1, 2, 3, 4)])
@pytest.mark.parametrize("case", ["constant", "mixed", "many"])
def test_shape_of_counts_is_kept(case, shape):
    schedule, counts = CASES[case], np.arange(np.prod(shape, dtype=int)).reshape(shape)
    for rates in (schedule(jnp.asarray(counts)), schedule(counts)):
        chex.assert_shape(rates, shape)
        assert_rates(schedule, counts, rates)


@pytest.mark.parametrize("case", ["constant", "mixed", "huge", "longest ramp", "many"])
def test_last_rate_holds_for_ever(case):
    schedule, last = CASES[case], CASES[case].rates[-1]
    for count in (INT32_MAX, 2**31, 2**40, 2**63, 10**30, float("inf"), 1e300):
        assert schedule(count) == last
    for count in (2.0**31, 3e9, 1e30, np.inf):
        assert schedule(jnp.float32(count)) == schedule(jnp.array([count], jnp.float32))[0] == last


NORMAL = st.floats(2.0**-100, 2.0**100, width=32)
RATES = st.one_of(NORMAL, NORMAL.map(lambda rate: -rate), st.just(0.0))
STEPS = st.integers(1, 50) | st.integers(1, INT32_MAX)
SCHEDULES = schedules(STEPS, RATES, sizes=(4, 4))


@given(SCHEDULES, st.lists(st.integers(-3, INT32_MAX), min_size=8, max_size=8), st.data())
def test_any_schedule_at_any_count(schedule, counts, data):
    for boundary in np.asarray(schedule.boundaries).tolist():
        counts.append(min(boundary + data.draw(st.integers(-3, 3)), INT32_MAX))
    assert_rates(schedule, counts, schedule(np.array(counts)))
    assert_rates(schedule, counts, np.stack([schedule(count) for count in counts]))


@given(
    start=st.integers(1, 2**30),
    length=st.one_of(st.integers(1, 300), st.integers(1, 2**30)),
    ends=st.tuples(NORMAL, NORMAL),
    offset=st.integers(0, 2**30),
    count_dtype=st.sampled_from([jnp.int32, jnp.uint32]),
)
@example(start=1, length=1, ends=(1.0, 2.0), offset=0, count_dtype=jnp.int32)
@example(start=2, length=2**30, ends=(1.0, 1e-7), offset=2**30 - 300, count_dtype=jnp.int32)
def test_ramps_are_monotone(start, length, ends, offset, count_dtype):
    a, b = ends
    schedule = manual_stepping([start, start + length], [0.0, a, b], interpolate=[False, True])
    first = start + min(offset, length)
    counts = np.minimum(np.arange(first, first + 256), start + length)
    rates = np.asarray(schedule(jnp.asarray(counts, count_dtype)))
    steps = np.diff(rates)
    assert (steps >= 0).all() if b >= a else (steps <= 0).all()
    assert_rates(schedule, counts, rates)


@given(SCHEDULES, st.floats(0, 2.0**33))
@example(manual_stepping([10, 20, 30, 40], [1, 2, 3, 4, 5], interpolate=True), 9.5)
@example(manual_stepping([2**24, 2**24 + 1, 2**30, INT32_MAX], [1, 2, 3, 4, 5]), 2.0**24 - 0.5)
def test_fractional_counts_on_the_host(schedule, count):
    assert_rates(schedule, [count] * 2, [schedule(count), schedule(np.float64(count))])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float8_e4m3fn"])
def test_fractional_counts_on_the_device(dtype):
    schedule = manual_stepping([10, 20], [0.5, 0.1, 0.7], interpolate=True)
    counts = jnp.asarray([0.0, 0.25, 9.5, 10.0, 12.0, 19.0, 20.0, 64.0, -0.5, -3.0], dtype)
    for call in (schedule, jax.jit(schedule)):
        assert_rates(schedule, counts, call(counts))
        assert_rates(schedule, counts, np.stack([call(count) for count in counts]))


@pytest.mark.not_under("JAX_DEBUG_NANS", reason="makes NaN")
@pytest.mark.parametrize("count", [float("nan"), np.float32("nan"), np.float64("nan")])
def test_nan_gives_nan(count):
    schedule = manual_stepping([10], [0.1, 0.01])
    assert np.isnan(schedule(count))
    assert np.isnan(schedule(jnp.array([count]))).all()
    assert np.isnan(jax.jit(schedule.__call__)(count))


@pytest.mark.parametrize("bits", [4, 8, 16, 32, 64])
@pytest.mark.parametrize("sign", ["", "u"])
def test_every_integer_dtype(sign, bits):
    schedule = manual_stepping([3, 5, 100, 200, 2**30], [1, 2, 3, 4, 5, 6], interpolate=True)
    jitted = jax.jit(schedule)
    dtype = f"{sign}int{bits}"
    info = jnp.iinfo(dtype)
    counts = (-2, -1, 0, 1, 2, 3, 4, 5, 7, 99, 127, 255, 2**31, 2**40, 2**63)
    counts = [c for c in counts if info.min <= c <= info.max] + [int(info.max), int(info.min)]
    for count in counts:
        scalar = np.array(count).astype(dtype) if count < 2**63 else np.uint64(count)
        assert_rates(schedule, [count], schedule(scalar))
        assert_rates(schedule, [count], schedule(scalar.reshape(1)))
        if scalar.dtype.itemsize < 8:
            assert_rates(schedule, [count], schedule(jnp.asarray(scalar)))
            assert_rates(schedule, [count], jitted(jnp.asarray(scalar)))


def test_under_x64():
    """float64 rates, exact counts, and still no new dtype."""
    counts = [-1, 0, 3, 9, 10, 11, 2**24 + 1, 2**30, 2**31 - 2, INT32_MAX]
    with enable_x64(True):
        schedule = manual_stepping([10, INT32_MAX], [0.1, 1e-9, 0.3], interpolate=True)
        assert (schedule.boundaries.dtype, schedule.rates.dtype) == (jnp.int32, jnp.float64)
        assert_rates(schedule, counts, schedule(jnp.array(counts)))
        for kind in (int, jnp.int64):
            assert_rates(schedule, counts, np.stack([schedule(kind(count)) for count in counts]))
        assert schedule(jnp.int64(2**40)) == schedule(jnp.uint64(2**63)) == 0.3
        assert schedule(jnp.float64(2**31 - 1.5)) == schedule(2**31 - 2)
        for shape, dtype in (((), jnp.float32), ((3,), jnp.bfloat16)):
            assert (schedule(jnp.zeros(shape, int)) * jnp.ones((), dtype)).dtype == dtype
        assert manual_stepping([5], [1e-300, 1e300])(5) == 1e300
        traced = jax.jit(lambda boundaries: manual_stepping(boundaries, [1, 2]))
        assert traced(jnp.array([2**40])).boundaries[0] == INT32_MAX
