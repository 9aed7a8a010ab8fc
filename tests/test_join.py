"""Schedules joined, shifted and stretched have the rates of their parts, at every count."""

from fractions import Fraction

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_rates, exact_rate, schedule_arguments, schedules

from optax_stepping import join, manual_stepping, pad, shift, stack, stretch

INT32_MAX = 2**31 - 1
STEPS = st.one_of(st.integers(1, 30), st.integers(1, 30), st.integers(1, INT32_MAX))
RATES = st.floats(-1, 1, width=16).map(lambda rate: rate + 0.0)  # join takes -0.0 for 0.0
SCHEDULES = schedules(STEPS, RATES)


@given(st.lists(SCHEDULES, min_size=1, max_size=3), st.data())
def test_join_means_what_optax_means(members, data):
    size = len(members) - 1
    starts = st.lists(st.integers(0, 60), min_size=size, max_size=size, unique=True)
    starts = sorted(data.draw(starts))
    joined = join(members, starts)
    theirs = optax.join_schedules(members, starts)
    counts = [*range(90), 10**6, INT32_MAX]
    for count, rate in zip(counts, np.asarray(joined(np.array(counts))), strict=True):
        member = sum(start <= count for start in starts)
        since = count - (starts[member - 1] if member else 0)
        assert_rates(members[member], [since], [rate])
        np.testing.assert_allclose(rate, theirs(count), rtol=1e-6, atol=1e-7)


@given(SCHEDULES, SCHEDULES, st.integers(INT32_MAX - 20, INT32_MAX))
def test_the_last_count_where_counting_stops(first, second, step):
    joined, late = join([first, second], [step]), shift(second, -step)
    for count in range(INT32_MAX - 20, INT32_MAX + 1):
        member, since = (first, count) if count < step else (second, count - step)
        assert_rates(member, [since], [joined(count)])
        assert_rates(second, [max(count - step, 0)], [late(count)])


@given(SCHEDULES, st.one_of(st.integers(-60, 60), st.integers(-INT32_MAX, INT32_MAX)))
def test_shift_means_counting_from_elsewhere(schedule, steps):
    shifted = shift(schedule, steps)
    counts = [*range(70), INT32_MAX // 2, INT32_MAX]
    for count, rate in zip(counts, np.asarray(shifted(np.array(counts))), strict=True):
        if count + steps <= INT32_MAX:
            assert_rates(schedule, [count + steps], [rate])


def test_traced_rates():
    def rates(factor):
        base = manual_stepping([10, 20], [0.25, 0.5, 0.125], interpolate=[True, False])
        return shift(join([base * factor, base], [5]), 3)(jnp.arange(30))

    np.testing.assert_allclose(jax.jit(rates)(2.0), rates(2.0), rtol=5e-7)
    chain = jax.grad(lambda factor: rates(factor)[1])(1.0)
    np.testing.assert_allclose(chain, 0.35, rtol=1e-6)


def test_what_is_left_needs_little_room():
    plan = manual_stepping([10, 20, 30], [0.4, 0.3, 0.2, 0.1])
    assert shift(plan, 25).rates.shape == (2,)
    assert shift(plan, 100).rates.shape == (1,)
    assert shift(plan, 0).rates.shape == (4,)
    assert join([plan, plan], [15]).rates.shape == (6,)
    ramp = manual_stepping([4], [0.0, 1.0], interpolate=True)
    assert join([ramp, plan], [1]).rates.tolist() == [0, *plan.rates.tolist()]


PLAN = manual_stepping([10], [0.2, 0.1])


@pytest.mark.parametrize(("ramp", "last"), [(False, 3.0), (True, 3.5)])
def test_what_is_delayed_beyond_int32_ends_there(ramp, last):
    plan = manual_stepping([10, 20, INT32_MAX], [1, 2, 3, 4], interpolate=[False, False, ramp])
    late = shift(plan, -(2**30))
    counts = [0, 2**30 + 9, 2**30 + 10, 2**30 + 19, 2**30 + 20, INT32_MAX]
    assert [late(count) for count in counts[:-1]] == [1, 1, 2, 2, 3]
    np.testing.assert_allclose(late(INT32_MAX), last, rtol=2e-7)


@pytest.mark.parametrize("steps", [4, -4])
def test_padding_is_left_out_of_traced_rates(steps):
    padded = pad(PLAN, 8)
    moved = jax.jit(lambda rates: shift(padded.replace(rates=rates), steps))
    counts = np.arange(20)
    assert moved(padded.rates).boundaries.size <= 2
    np.testing.assert_array_equal(moved(padded.rates)(counts), PLAN(counts + steps))


@given(st.integers(2, 10**6), st.data())
def test_a_ramp_that_is_cut_is_rounded_once(length, data):
    plan = manual_stepping([length], [0.1, 0.7], interpolate=True)
    steps = data.draw(st.integers(1, length - 1))
    boundaries, rates, ramps = schedule_arguments(plan)
    exact = exact_rate(boundaries, rates, ramps, steps)
    assert shift(plan, steps).rates[0] == plan.rates.dtype.type(float(exact))


@given(
    SCHEDULES,
    st.one_of(
        st.integers(1, 10**6),
        st.fractions(Fraction(1, 64), 1000, max_denominator=64),
        st.floats(1e-3, 1e6),
        st.integers(1, 40).map(lambda n: n / 20),
    ),
)
def test_stretch_multiplies_steps_exactly(schedule, factor):
    """A half goes to the even step, as Python rounds fractions."""
    exact = Fraction(repr(factor)) if isinstance(factor, float) else Fraction(factor)
    steps = [round(step * exact) for step in schedule.boundaries.tolist()]
    if steps != sorted({*steps} - {0}) or max(steps, default=0) > INT32_MAX:
        with pytest.raises(ValueError, match=r"^factor must (leave|keep) .* puts boundaries\["):
            stretch(schedule, factor)
        return
    expected = schedule.replace(boundaries=jnp.array(steps, jnp.int32))
    chex.assert_trees_all_equal(stretch(schedule, factor), expected, strict=True)


@pytest.mark.parametrize("make", [float, np.float32, jnp.float32, np.array])
def test_a_float_factor_is_the_number_it_prints_as(make):
    plan = manual_stepping([25, 10**9 + 5], [1, 2, 3])
    assert stretch(plan, make(0.1)).boundaries.tolist() == [2, 10**8]


def test_padding_and_stacks_are_stretched():
    plans = [PLAN, manual_stepping([3, 8], [0.3, 0.2, 0.1], interpolate=[True, False])]
    chex.assert_trees_all_equal(
        stretch(stack([stack(plans)] * 2), 1.5),
        stack([stack([stretch(plan, 1.5) for plan in plans])] * 2),
    )
    chex.assert_trees_all_equal(stretch(pad(PLAN, 5), 7), pad(stretch(PLAN, 7), 5))


def test_traced_rates_and_ramps_are_stretched():
    def stretched(rates, ramps):
        return stretch(PLAN.replace(rates=rates, ramps=ramps), Fraction(5, 2))

    chex.assert_trees_all_equal(
        jax.jit(stretched)(PLAN.rates, PLAN.ramps), stretch(PLAN, 2.5), strict=True
    )
