"""Frameworks that cannot be installed here: their published formulas, stepped in plain Python.

The Object Detection API (object_detection/utils/learning_schedules.py), big_vision (utils.py) and
Scenic (train_lib/lr_schedules.py).
"""

import math
import re

import numpy as np
import optax
import pytest
from agreement import assert_agrees
from hypothesis import given, settings
from hypothesis import strategies as st

from optax_stepping import join, manual_stepping
from optax_stepping.interop import from_tf_object_detection

RATES = st.floats(2.0**-20, 1.0, width=32)


def object_detection_manual(step, boundaries, rates, warmup):
    """With a warmup, an entry for every step before the first boundary, then the search."""
    if warmup and boundaries:
        slope = (rates[1] - rates[0]) / boundaries[0]
        expanded = [rates[0] + slope * early for early in range(boundaries[0])]
        boundaries, rates = [*range(boundaries[0]), *boundaries], [*expanded, *rates[1:]]
    else:
        boundaries = [0, *boundaries]
    return rates[max(i if step >= b else 0 for i, b in enumerate(boundaries))]


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=5, unique=True).map(sorted),
    st.lists(RATES, min_size=6, max_size=6),
    st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_manual_steps(boundaries, rates, warmup):
    rates = rates[: len(boundaries) + 1]
    entries = "".join(
        f"schedule {{ step: {step} learning_rate: {rate!r} }}"
        for step, rate in zip(boundaries, rates[1:], strict=True)
    )
    config = (
        f"manual_step_learning_rate {{ initial_learning_rate: {rates[0]!r} {entries} "
        f"warmup: {str(warmup).lower()} }}"
    )
    counts = range(boundaries[-1] + 3)
    theirs = [object_detection_manual(count, boundaries, rates, warmup) for count in counts]
    assert_agrees(from_tf_object_detection(config), counts, theirs)
    for total_steps in (1, boundaries[0], boundaries[-1], boundaries[-1] + 2):
        short = from_tf_object_detection(config, total_steps)
        assert_agrees(short, range(total_steps), theirs[:total_steps])


def object_detection_exponential(step, base, steps, factor, burnin_rate, burnin, floor):
    rate = base * factor ** ((step - burnin) // steps)
    return max((burnin_rate or base) if step < burnin else rate, floor)


@given(
    base=RATES, steps=st.integers(1, 90), factor=st.floats(0.5, 1.0, width=32),
    burnin_rate=st.just(0.0) | RATES, burnin=st.integers(0, 120), floor=st.just(0.0) | RATES,
)  # fmt: skip
@settings(deadline=None, max_examples=150)
def test_exponential_decay(base, steps, factor, burnin_rate, burnin, floor):
    config = (
        f"exponential_decay_learning_rate {{ initial_learning_rate: {base!r} decay_steps: {steps} "
        f"decay_factor: {factor!r} burnin_learning_rate: {burnin_rate!r} burnin_steps: {burnin} "
        f"min_learning_rate: {floor!r} }}"
    )
    counts = range(900)
    arguments = (base, steps, factor, burnin_rate, burnin, floor)
    theirs = np.array([object_detection_exponential(count, *arguments) for count in counts])
    normal = theirs >= np.finfo(np.float32).tiny
    for total_steps in (900, None) if factor < 0.9 or floor else (900,):
        schedule = from_tf_object_detection(config, total_steps)
        assert_agrees(schedule, np.flatnonzero(normal), theirs[normal])


def test_the_defaults_of_the_exponential_decay():
    schedule = from_tf_object_detection("exponential_decay_learning_rate { }")
    counts = [0, 3_999_999, 4_000_000, 7_999_999, 8_000_000, 2_000_000_000]
    theirs = [0.002 * 0.95 ** (count // 4_000_000) for count in counts]
    assert_agrees(schedule, counts, theirs)


def advised(config):
    """The Optax schedule that a refusal's message writes out."""
    with pytest.raises(ValueError, match="use optax") as refusal:
        from_tf_object_detection(config)
    expression = re.search(r"use (optax\..*)\.$", str(refusal.value))[1]
    return eval(expression, {"optax": optax})


@pytest.mark.parametrize(("warmup", "hold"), [(0, 0), (20, 0), (20, 30), (0, 30)])
def test_the_advice_for_a_cosine_has_its_rates(warmup, hold):
    base, start, total = 0.04, 0.013, 200
    schedule = advised(
        f"cosine_decay_learning_rate {{ learning_rate_base: {base} total_steps: {total} "
        f"warmup_learning_rate: {start} warmup_steps: {warmup} hold_base_rate_steps: {hold} }}"
    )
    for count in range(230):
        phase = math.pi * (count - warmup - hold) / (total - warmup - hold)
        rate = 0.5 * base * (1 + math.cos(phase))
        if hold > 0 and count <= warmup + hold:
            rate = base
        if count < warmup:
            rate = (base - start) / warmup * count + start
        rate = 0.0 if count > total else rate
        np.testing.assert_allclose(schedule(count), rate, rtol=2e-6, atol=1e-8)


@pytest.mark.parametrize("burnin", [0, 25])
def test_the_advice_for_a_smooth_exponential_has_its_rates(burnin):
    schedule = advised(
        "exponential_decay_learning_rate { initial_learning_rate: 0.1 decay_steps: 30 "
        f"decay_factor: 0.5 staircase: false burnin_steps: {burnin} burnin_learning_rate: 0.02 }}"
    )
    for count in range(200):
        rate = 0.1 * 0.5 ** ((count - burnin) / 30)
        np.testing.assert_allclose(schedule(count), 0.02 if count < burnin else rate, rtol=2e-6)


@given(
    st.lists(st.integers(1, 200), min_size=1, max_size=5, unique=True).map(sorted),
    st.lists(st.floats(2.0**-7, 1.0, width=32), min_size=5, max_size=5),
)
@settings(deadline=None, max_examples=50)
def test_big_vision_and_scenic(steps, factors):
    """The calls of the README's table. big_vision switches at a step, Scenic one later."""
    base, factors = 0.5, factors[: len(steps)]
    counts = np.arange(220)

    def stair(step, warmup):
        index = np.searchsorted(steps, step + 1)
        rate = base * [1.0, *factors][index]
        return rate * min(1.0, step / warmup) if warmup else rate

    rates = [base, *(base * factor for factor in factors)]
    assert_agrees(manual_stepping(steps, rates), counts, [stair(step, 0) for step in counts])
    warmup = steps[0] - 1
    if warmup:
        ours = manual_stepping(steps, rates, warmup_steps=warmup)
        assert_agrees(ours, counts, [stair(step, warmup) for step in counts])

    def piecewise_constant(step):
        return base * [1.0, *factors][sum(event < step for event in steps)]

    ours = manual_stepping([step + 1 for step in steps], rates)
    assert_agrees(ours, counts, [piecewise_constant(step) for step in counts])
    delayed = join([manual_stepping([], [base]), manual_stepping(steps, rates)], [1])
    assert_agrees(delayed, counts, [piecewise_constant(step) for step in counts])
