"""Tables and functions of rates as stages: exact where they are held or straight, else within a tolerance."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import enable_x64

from optax_stepping import from_function, from_table, manual_stepping

pytestmark = pytest.mark.not_under("JAX_ENABLE_X64", reason="compares with float32 rates")
CURVES = {
    "cosine": optax.cosine_decay_schedule(1.0, 4000),
    "warmup, cosine": optax.warmup_cosine_decay_schedule(0.0, 1.0, 400, 4000),
    "onecycle": optax.cosine_onecycle_schedule(4000, 1.0),
    "restarts": optax.sgdr_schedule(
        [{"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 80, "decay_steps": 800}] * 5
    ),
    "exponential": optax.exponential_decay(1.0, 4000, 0.01),
    "polynomial": optax.polynomial_schedule(1.0, 0.0, 2, 4000),
    "inverse square root": lambda c: jnp.minimum(c / 400, (400 / jnp.maximum(c, 400)) ** 0.5),
}
# The fewest stages within 1e-3, and a fifth more.
MOST = {
    "cosine": 18, "warmup, cosine": 19, "onecycle": 35, "restarts": 90, "exponential": 19, "polynomial": 15,
    "inverse square root": 20,
}  # fmt: skip


@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("name", CURVES)
def test_a_curve_within_its_tolerance_at_every_count(name, tolerance):
    function, counts = CURVES[name], np.arange(4001)
    schedule = from_function(function, total_steps=4001, tolerance=tolerance)
    with enable_x64(True):
        exact = np.array(jax.vmap(function)(counts), float)
    single, found = np.array(jax.vmap(function)(counts), float), np.array(schedule(counts), float)
    limit = tolerance * np.abs(exact).max()
    assert np.abs(found - exact).max() <= limit
    assert np.abs(found - single).max() <= limit
    assert found.min() >= exact.min() - 1e-9
    assert found.max() <= np.float32(exact.max())
    np.testing.assert_allclose(found[[0, -1]], exact[[0, -1]], rtol=1e-6, atol=1e-9)
    if tolerance == 1e-3:
        assert schedule.rates.size <= MOST[name]


@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]))
@settings(max_examples=60)
def test_stages_come_back_from_their_table(seed, dtype):
    rng = np.random.default_rng(seed)
    number = int(rng.integers(1, 12))
    boundaries = np.cumsum(rng.integers(8, 300, number)).tolist()
    levels = rng.permutation(np.linspace(0.05, 1.0, number + 1)).tolist()
    ramps = (rng.random(number) < 0.5).tolist()
    counts = np.arange(boundaries[-1] + 20)
    table = np.empty(len(counts))
    for i, (start, end) in enumerate(
        zip([0, *boundaries], [*boundaries, len(counts)], strict=True)
    ):
        share = (np.arange(start, end) - start) / (end - start)
        target = levels[i + 1] if i < number and ramps[i] else levels[i]
        table[start:end] = levels[i] + (target - levels[i]) * share
    expected = manual_stepping(boundaries, levels, interpolate=ramps)
    found = from_table(table.astype(dtype))
    assert found.boundaries.tolist() == boundaries
    assert found.ramps.tolist() == ramps
    np.testing.assert_allclose(found(counts), expected(counts), rtol=1e-6)


@pytest.mark.parametrize(
    ("rates", "boundaries", "levels", "ramps"),
    [
        ([0.5], [], [0.5], []),
        ([1, 1, 2], [2], [1, 2], [False]),
        (range(5), [4], [0, 4], [True]),
        ([1.0, 0.5] * 3, [1, 2, 3, 4, 5], [1.0, 0.5] * 3, [False] * 5),
        (
            jnp.repeat(jnp.array([1, 0.5, 0.25], jnp.bfloat16), 7),
            [7, 14],
            [1, 0.5, 0.25],
            [False] * 2,
        ),
    ],
)
def test_small_tables(rates, boundaries, levels, ramps):
    expected = manual_stepping(boundaries, levels, interpolate=ramps)
    chex.assert_trees_all_equal(from_table(rates), expected)


def test_landmarks_stay_where_they_are():
    def function(count):
        warmup = optax.linear_schedule(0.0, 1.0, 5000)
        plateau = [optax.cosine_decay_schedule(1.0, 3000, 0.1), lambda count: 0.1]
        return optax.join_schedules([warmup, *plateau], [5000, 8000])(count)

    schedule = from_function(function, total_steps=9000, tolerance=1e-3)
    assert schedule.boundaries[0] == 5000
    assert schedule.boundaries[-1] == 8000
    assert schedule(8000) == schedule(8999)
    assert schedule(5000) == 1.0


def test_stairs_by_epoch_are_a_stage_each():
    table = 0.5 * (1 + np.cos(np.pi * (np.arange(3000) // 100) / 30))
    schedule = from_table(table)
    assert schedule.boundaries.tolist() == list(range(100, 3000, 100))
    np.testing.assert_array_equal(schedule(np.arange(3000)), table.astype(np.float32))


def test_few_steps_without_a_line_are_a_stage_each():
    table = np.cos(np.arange(200))
    np.testing.assert_array_equal(from_table(table)(np.arange(200)), table.astype(np.float32))


def test_a_line_that_a_recursion_drifts_on_is_one_stage():
    table = np.empty(1001)
    table[0] = 0.1
    for count in range(1, 1001):
        table[count] = table[count - 1] * (1 - 1 / (1001 - count))
    chex.assert_shape(from_table(table[:900]).rates, (2,))


def test_held_rates_have_the_bits_of_the_function():
    function = optax.piecewise_constant_schedule(0.1, {300: 0.3, 700: 0.7})
    schedule, counts = from_function(function, total_steps=1000), np.arange(1000)
    assert schedule.boundaries.tolist() == [300, 700]
    np.testing.assert_array_equal(schedule(counts), jax.vmap(function)(counts))


def test_functions_of_every_form():
    expected = np.float32(0.1 * 0.5 ** (np.arange(90) // 30))
    forms = [
        lambda count: 0.1 * 0.5 ** (count // 30),
        lambda count: [0.1, 0.05, 0.025][count // 30],  # only single ints
        lambda count: 0.1 if count < 30 else 0.05 if count < 60 else 0.025,
        lambda count: np.float64(0.1) * 0.5 ** (int(count) // 30),
        manual_stepping([30, 60], [0.1, 0.05, 0.025]),
    ]
    for function in forms:
        schedule = from_function(function, total_steps=90)
        np.testing.assert_allclose(schedule(np.arange(90)), expected, rtol=2e-7)


def test_long_single_precision_curves_and_lines():
    counts = np.arange(1_000_000)
    curve = (0.5 + 0.5 * np.cos(np.pi * counts / 1e6)).astype(np.float32)
    schedule = from_table(curve, tolerance=1e-3)
    assert schedule.rates.size <= 18
    assert np.abs(np.asarray(schedule(counts), float) - curve).max() <= 1e-3
    line = (counts / 1e6).astype(np.float32)
    assert from_table(line).rates.size == 2


def test_num_stages_pads_or_says_what_fits():
    cosine = CURVES["warmup, cosine"]
    padded = from_function(cosine, total_steps=4001, tolerance=1e-3, num_stages=32)
    assert padded.rates.size == 32
    with pytest.raises(ValueError, match=r"num_stages must be at least 17.*tolerance=") as refusal:
        from_function(cosine, total_steps=4001, tolerance=1e-3, num_stages=9)
    fitting = float(str(refusal.value).rpartition("tolerance=")[2].rstrip("."))
    assert from_function(cosine, total_steps=4001, tolerance=fitting, num_stages=9).rates.size == 9


def test_a_curve_needs_a_tolerance():
    with pytest.raises(ValueError, match=r"curve from step 400 to step 4000.*tolerance=1e-3.* 15 "):
        from_function(CURVES["warmup, cosine"], total_steps=4001)


@pytest.mark.parametrize("where", ["jit", "vmap", "guard"])
def test_converted_anywhere_with_concrete_leaves(where):
    cosine, found = CURVES["cosine"], []

    def convert(_=0):
        found.append(from_function(cosine, total_steps=4001, tolerance=1e-2))
        found.append(from_table([0.1] * 5 + [0.2]))

    members = jnp.arange(2)
    with jax.transfer_guard("disallow"):
        if where == "guard":
            convert()
        else:
            {"jit": jax.jit, "vmap": jax.vmap}[where](convert)(members)
    assert not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(found))
    expected = from_function(cosine, total_steps=4001, tolerance=1e-2)
    chex.assert_trees_all_equal(found, [expected, manual_stepping([5], [0.1, 0.2])])


def test_a_traced_peak_is_told_to_multiply():
    def train(peak):
        return from_function(lambda count: peak * 0.5, total_steps=9)(3)

    with pytest.raises(ValueError, match=r"convert it for a peak of 1, then multiply"):
        jax.jit(train)(0.1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: from_table([]), ValueError, r"rates must be one-dimensional and not empty"),
        (lambda: from_table(np.ones((2, 2))), ValueError, r"got shape \(2, 2\)"),
        (lambda: from_table([0.1, np.nan]), ValueError, "rates must be finite, got nan at count 1"),
        (lambda: from_table("abc"), TypeError, "rates must be a list"),
        (lambda: from_table([0.1, "a"]), TypeError, r"rates\[1\] must be a real number, got 'a'"),
        (lambda: from_table([0.1, 1e39]), ValueError, r"at most 3.4e\+38, got 1e\+39 at count 1"),
        (lambda: from_table([0.1], tolerance=True), TypeError, "tolerance must be a real number"),
        (lambda: from_table([0.1], tolerance=-1), ValueError, "tolerance must be at least 1e-6"),
        (lambda: from_table([0.1], tolerance=np.inf), ValueError, "tolerance must be finite"),
        (lambda: from_table([0.1], tolerance=1e-7), ValueError, "at least 1e-6, got 1e-07"),
        (
            lambda: from_function(0.1, total_steps=9),
            TypeError,
            "function must be callable, got 0.1",
        ),
        (lambda: from_function(lambda c: [0.1], total_steps=9), TypeError, "a real number"),
        (lambda: from_function(lambda c: np.ones(2), total_steps=9), ValueError, r"shape \(2,\)"),
        (lambda: from_function(lambda c: "a", total_steps=9), TypeError, "got 'a' .*at count 0"),
        (lambda: from_function(lambda c: 1 / (c - 3), total_steps=9), ValueError, "at count 3"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
