"""Tables and functions as stages: exact where they are straight, within a tolerance elsewhere."""

import contextlib
import itertools
import re
import time
from collections import deque

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracle import same

from optax_stepping import from_function, from_table, manual_stepping, pad
from optax_stepping._function import _double_precision as double_precision

DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def cosine(steps, low=0.0):
    return low + (1 - low) * (0.5 + 0.5 * np.cos(np.pi * np.arange(steps) / steps))


def warmup(steps):
    return np.arange(steps) / steps


def rates_of(schedule, total_steps):
    """The rates at all counts, by few compiled programs."""
    padded = pad(schedule, max(64, 2 ** int(schedule.rates.size).bit_length()))
    chunks = [padded(np.arange(start, start + 8192)) for start in range(0, total_steps, 8192)]
    return np.concatenate(chunks)[:total_steps]


def assert_within(schedule, table, tolerance):
    """At every count, exact at the first and the last, and nowhere outside of the range."""
    table, single = np.asarray(table, float), np.asarray(table).astype(schedule.rates.dtype)
    found = rates_of(schedule, len(table))
    assert np.abs(found - table).max() <= tolerance * np.abs(table).max()
    assert single.min() <= found.min() <= found.max() <= single.max()
    assert (found[0], found[-1]) == (single[0], single[-1])


@st.composite
def plans(draw):
    """Boundaries, rates, ramps, and the table; every boundary is a corner or a jump."""
    lengths = draw(st.lists(st.sampled_from([2, 3, 7, 60, 999]), min_size=1, max_size=8))
    levels = st.lists(st.integers(-32, 64), min_size=len(lengths) + 1, max_size=len(lengths) + 1)
    rates = np.array(draw(levels)) * draw(st.sampled_from([1 / 64, 1e-5, 3e10]))
    ramps = [draw(st.booleans()) and a != b for a, b in itertools.pairwise(rates)]
    parts = [
        rate + (target - rate) * ramp * np.arange(length) / length
        for rate, target, ramp, length in zip(rates, rates[1:], ramps, lengths, strict=False)
    ]
    table, boundaries = np.concatenate([*parts, np.full(9, rates[-1])]), np.cumsum(lengths)
    bends = np.abs(np.diff(table, 2))[boundaries - 1]
    assume(bends.min() > 1e-4 * np.abs(table).max())
    return boundaries.tolist(), rates.tolist(), ramps, table


@DTYPES
@given(plan=plans())
@settings(max_examples=150)
def test_holds_and_lines_come_back_as_they_were(dtype, plan):
    boundaries, rates, ramps, table = plan
    found = from_table(table.astype(dtype))
    expected = manual_stepping(boundaries, np.array(rates, dtype), interpolate=ramps)
    assert same(found, expected)


@DTYPES
@pytest.mark.parametrize("steps", [2, 7, 100])
def test_steps_by_epoch_are_a_stage_each(dtype, steps):
    levels = (0.1 * cosine(300)).astype(dtype)
    found = from_table(np.repeat(levels, steps))
    assert same(found, manual_stepping(range(steps, 300 * steps, steps), levels.tolist()))


def test_recursions_keep_their_milestones():
    """PyTorch multiplies the rate of the step before; then SequentialLR sets it anew."""
    rates, factor = [0.1 * 1e-3], 1e-3
    for step in range(1, 5000):
        rates.append(rates[-1] * (1 + (1 - factor) / (5000 * factor + (step - 1) * (1 - factor))))
    found = from_table(rates + [0.1] * 3000 + [0.1 * 0.1] * 1000)
    assert found.boundaries.tolist() == [5000, 8000]
    cycle = [0.01 + 0.09 * max(0, 1 - abs(c / 300 - 2 * (1 + c // 600) + 1)) for c in range(9001)]
    assert from_table(cycle).boundaries.tolist() == [*range(300, 9001, 300)]


@pytest.mark.parametrize("steps", [300, 3000, 300_000])
def test_a_plateau_before_and_after_a_curve_is_exact(steps):
    table = np.concatenate([np.ones(40), cosine(steps, 0.1), np.full(40, 0.1)])
    found = from_table(table, tolerance=1e-3)
    assert found.boundaries[0] in (39, 40)
    assert found.boundaries[-1] == steps + 40
    assert (found(np.array([39, steps + 40])) == table[[39, -40]].astype(found.rates.dtype)).all()


def test_up_to_256_steps_are_a_stage_each():
    found = from_table(np.tile([0.1, 0.2], 128))
    assert same(found, manual_stepping(range(1, 256), [0.1, 0.2] * 128))
    with pytest.raises(
        ValueError, match=r"from step 0 to step 257; .*=1e-3, which takes 258 ramps"
    ):
        from_table(np.tile([0.1, 0.2], 129))
    found = from_table(np.tile([0.1, 0.2], 129), tolerance=1e-3)
    assert same(found, manual_stepping(range(1, 258), [0.1, 0.2] * 129))
    assert from_table(cosine(200)).rates.size == 200


# Stages within 1e-2, 1e-3, 1e-4, 1e-5, as measured when the greedy cone was chosen.
FEWEST = {
    "warmup, cosine": (np.append(warmup(500), cosine(9500)), [7, 16, 45, 139]),
    "one cycle": (np.concatenate([1.04 - cosine(3000), cosine(7000) + 0.04]), [10, 29, 86, 276]),
    "restarts": (np.tile(cosine(2000), 5), [26, 75, 220, 710]),
    "exponential": (0.01 ** (np.arange(10_000) / 10_000), [6, 16, 47, 147]),
    "warmup, inverse square root": (np.append(warmup(500), (np.arange(500, 10_000) / 500) ** -0.5), [7, 17, 49, 152]),
    "root": ((1 - np.arange(10_001) / 10_000) ** 0.9, [3, 7, 18, 55]),
    "square": ((1 - np.arange(10_001) / 10_000) ** 2, [5, 12, 37, 115]),
}  # fmt: skip


@DTYPES
@pytest.mark.parametrize("name", FEWEST)
def test_curves_take_few_ramps(dtype, name):
    table, fewest = FEWEST[name]
    for tolerance, number in zip([1e-2, 1e-3, 1e-4, 1e-5], fewest, strict=True):
        found = from_table(table.astype(dtype), tolerance=tolerance)
        assert found.rates.size <= 1.2 * number
        assert_within(found, table.astype(dtype), tolerance)
        assert ("warmup" in name) <= (found.boundaries[0] == 500)


@DTYPES
def test_length_and_noise_add_few_ramps(dtype):
    table = np.append(warmup(20_000), cosine(280_000)).astype(dtype)
    noisy = table * (1 + 2.0**-24 * np.sin(np.arange(300_000) ** 2))
    for rates in (table, noisy):
        found = from_table(rates, tolerance=1e-5)
        assert found.rates.size <= 1.2 * 139
        assert found.boundaries[0] == 20_000


SHAPES = {
    "hold": lambda t: 0 * t, "line": lambda t: t, "cosine": lambda t: 0.5 - 0.5 * np.cos(np.pi * t), "root": np.sqrt,
    "power": lambda t: t**4, "exponential": lambda t: 1 - 1e-3**t, "sigmoid": lambda t: 1 / (1 + np.exp(30 - 60 * t)),
    "restarts": lambda t: np.cos(12 * t % np.pi), "stairs": lambda t: np.floor(7 * t) / 7,
    "rough": lambda t: np.sin(np.arange(t.size) ** 2 % 97),
}  # fmt: skip
RATES = st.floats(0, 1, allow_subnormal=False)
PART = st.tuples(st.sampled_from(sorted(SHAPES)), st.sampled_from([1, 2, 5, 30, 200, 3000]), RATES, RATES)  # fmt: skip


@DTYPES
@given(parts=st.lists(PART, min_size=1, max_size=4), exponent=st.integers(-6, -1))
@settings(max_examples=80)
def test_any_curve_is_within_the_tolerance_at_every_count(dtype, parts, exponent):
    table = [a + (b - a) * SHAPES[shape](np.arange(n) / n) for shape, n, a, b in parts]
    table = np.concatenate(table).astype(dtype)
    assume(np.abs(table).max() > 1e-3)
    assert_within(from_table(table, tolerance=10.0**exponent), table, 10.0**exponent)


def test_jumps_and_corners_on_curves_are_exact():
    table = np.concatenate([0.3 + 0.7 * cosine(500), 0.5 * cosine(500), 1 - 0.5 * cosine(500)])
    found = rates_of(from_table(table, tolerance=1e-2), 1500)
    for count in (0, 499, 500, 999, 1000, 1499):
        assert found[count] == table[count].astype(found.dtype)


NUMBERS = [0, 2, 4, 6, 6, 6, 1]


@pytest.mark.parametrize(
    "rates",
    [
        tuple(NUMBERS),
        deque(NUMBERS),
        [*map(np.float16, NUMBERS)],
        [*map(jnp.bfloat16, NUMBERS)],
        *(np.array(NUMBERS, dtype) for dtype in (np.float64, np.float32, np.int8, np.uint64)),
        *(jnp.array(NUMBERS, dtype) for dtype in (jnp.float32, jnp.bfloat16, jnp.int32)),
    ],
    ids=lambda rates: f"{type(rates).__name__} {getattr(rates, 'dtype', '')}",
)
def test_rates_of_any_kind(rates):
    expected = manual_stepping([3, 6], [0, 6, 1], interpolate=[True, False])
    assert same(from_table(rates), expected)


@pytest.mark.parametrize("rates", [[0.1], [0.1] * 5, [0.0] * 300, [1e-30], [1e-60], [2**70]])
def test_a_constant_is_one_stage(rates):
    found = from_table(rates)
    assert found.rates.tolist() == [found.rates.dtype.type(rates[0])]


def test_num_stages_pads_and_says_what_would_fit():
    table = np.append(warmup(50), cosine(951))
    assert from_table([0.1, 0.2], num_stages=4).boundaries.tolist() == [0, 0, 1]
    stairs = optax.exponential_decay(0.3, 10, 0.7, staircase=True)
    found = from_function(stairs, total_steps=40, num_stages=6)
    assert same(found, pad(from_function(stairs, total_steps=40), 6))
    with pytest.raises(ValueError, match="num_stages must be at least") as refusal:
        from_table(table, tolerance=1e-4, num_stages=12)
    needed, tolerance = re.findall(r"num_stages=(\d+) or tolerance=(\S+)\.", str(refusal.value))[0]
    assert from_table(table, tolerance=1e-4, num_stages=int(needed)).rates.size == int(needed)
    assert from_table(table, tolerance=float(tolerance), num_stages=12).rates.size == 12
    with pytest.raises(ValueError, match=r"at least 4 .* got 2; write num_stages=4\.$"):
        from_table(np.repeat([1, 2, 4, 8], 3), num_stages=2)


def test_refused_curves_say_where_they_are_and_how_many_ramps_they_take():
    table = np.concatenate([warmup(50), cosine(900), np.zeros(50), cosine(300)])
    with pytest.raises(ValueError, match="from step 50 to step 950; ") as refusal:
        from_table(table)
    ramps = int(re.search(r"tolerance=1e-3, which takes (\d+) ramps", str(refusal.value))[1])
    assert from_table(table, tolerance=1e-3).ramps.sum() - 1 <= ramps <= 34


SHAPE = optax.warmup_cosine_decay_schedule(0.0, 1.0, 50, 1000)


OPTAX = {
    "constant": (optax.constant_schedule(0.1), 50, []),
    "pieces": (optax.piecewise_constant_schedule(0.3, {10: 0.1, 30: 0.7}), 40, [10, 30]),
    "lines": (optax.piecewise_interpolate_schedule("linear", 0.3, {10: 0.1, 30: 0.7}), 40, [10, 30]),
    "linear": (optax.linear_schedule(0.1, 0.2, 277, 33), 400, [33, 310]),
    "one cycle": (optax.linear_onecycle_schedule(100, 0.3), 110, [30, 85, 100]),
    "warmup": (optax.warmup_constant_schedule(0.0, 0.1, 70), 100, [70]),
    "staircase": (optax.exponential_decay(0.1, 100, 0.7, 55, staircase=True, end_value=0.03), 600, [155, 255, 355, 455]),
    "nested": (
        optax.join_schedules([optax.linear_schedule(0, 0.3, 40), optax.piecewise_constant_schedule(0.3, {9: 0.5})], [40]),
        90, [40, 49],
    ),
    "by epoch": (lambda c: 0.1 * (1 - (c // 50) / 8), 400, [*range(50, 400, 50)]),
    "Python": (lambda c: 0.1 if c < 30 else 0.01 if c < 70 else 0.001, 90, [30, 70]),
    "NumPy": (lambda c: np.interp(c, [0, 30, 70], [0, 1, 0.5]), 90, [30, 70]),
    "a schedule": (manual_stepping([30, 70], [0.1, 0.7, 0.3], warmup=True), 90, [30, 70]),
    "of arrays": (lambda c: 0.01 * c.astype(jnp.float32), 40, [39]),
    "of a precision": (lambda c: jnp.where(jnp.result_type(float) == "float64", 0.5, 0.25) * (1 + c // 20), 40, [20]),
    "of one precision": (lambda c: jax.lax.cond(c < 9, lambda: jnp.float32(0.3), lambda: 0.25 * (c // 20 + 1)), 40, [9, 20]),
}  # fmt: skip


PROMOTES = pytest.mark.not_under("JAX_NUMPY_DTYPE_PROMOTION", reason="Optax multiplies bools")
LIMITS = dict.fromkeys(["lines", "one cycle", "cosine cycle"], PROMOTES)
LIMITS["of one precision"] = pytest.mark.not_under("JAX_ENABLE_X64", reason="it fails there itself")


def names(table):
    return [pytest.param(name, marks=LIMITS.get(name, ())) for name in table]


@pytest.mark.parametrize("name", names(OPTAX))
def test_straight_functions_are_exact(name):
    function, total_steps, boundaries = OPTAX[name]
    found = from_function(function, total_steps=total_steps)
    assert found.boundaries.tolist() == boundaries
    take = jnp.asarray if name == "of arrays" else int
    own = np.array([function(take(count)) for count in range(total_steps)], found.rates.dtype)
    rates, held = rates_of(found, total_steps), np.append(~np.asarray(found.ramps), True)
    np.testing.assert_allclose(rates, own, rtol=0, atol=2.0**-22 * own.max())
    for start, end, is_held in zip([0, *boundaries], [*boundaries, None], held, strict=True):
        assert not is_held or (rates[start:end] == own[start:end]).all()


CURVES = {
    "warmup, cosine": (optax.warmup_cosine_decay_schedule(0, 3e-4, 50, 900, 1e-5), [50, 900]),
    "warmup, exponential": (optax.warmup_exponential_decay_schedule(0, 0.1, 50, 300, 0.5), [50]),
    "power": (optax.polynomial_schedule(0.1, 0.001, 3, 700), [700]),
    "cosine cycle": (optax.cosine_onecycle_schedule(800, 0.1), [800]),
    "restarts": (
        optax.sgdr_schedule([{"init_value": 0.0, "peak_value": p, "decay_steps": 300, "warmup_steps": 20} for p in (0.3, 0.2, 0.1)]),
        [20, 300, 320, 600, 620],
    ),
    "inverse square root": (lambda c: min(c / 100, (100 / max(c, 1)) ** 0.5), [100]),
}  # fmt: skip


@pytest.mark.parametrize("name", names(CURVES))
def test_curved_functions_are_within_the_tolerance_in_both_precisions(name):
    function, landmarks = CURVES[name]
    in_a_loop = map if name == "inverse square root" else jax.lax.map
    own = []
    for precision in (contextlib.nullcontext(), double_precision()):
        with precision, jax.numpy_dtype_promotion("standard"):
            own.append(np.array([*in_a_loop(function, np.arange(1000))], float))
    for tolerance in (1e-2, 1e-4):
        found = from_function(function, total_steps=1000, tolerance=tolerance)
        assert set(landmarks) <= set(found.boundaries.tolist())
        rates = rates_of(found, 1000)
        assert rates[-1] == own[0][-1].astype(rates.dtype)
        assert np.abs(rates - own).max() <= tolerance * np.max(own)
        assert rates.min() >= 0


def test_a_function_under_x64():
    with double_precision():
        found = from_function(optax.linear_schedule(0.1, 0.2, 30), total_steps=50)
        assert same(found, manual_stepping([30], [0.1, 0.2], interpolate=True))


def test_calls_are_one_by_one_where_a_tracer_would_give_other_rates():
    kinds = set()

    def function(count):
        kinds.add(type(count).__name__)
        return 0.1 * (count // 10) if isinstance(count, int) else jnp.sum(count) * 0.1

    found = from_function(function, total_steps=30)
    assert found.boundaries.tolist() == [10, 20]
    assert "int" in kinds


def test_long_work_says_how_far_it_is(monkeypatch, capsys):
    clock = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    from_function(lambda count: 0.1 if count < 30 else 0.2, total_steps=40)
    assert "from_function: 11 of 40 counts, 29 s to go" in capsys.readouterr().err


def traced(convert):
    return lambda: jax.jit(convert)(1.0)


class Unreadable:
    def __array__(self, *_, **__):
        raise ValueError


T, V = TypeError, ValueError


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: from_table([]), V, r"one-dimensional and not empty, got shape \(0,\)"),
        (lambda: from_table(np.ones((2, 3))), V, r"one-dimensional.* got shape \(2, 3\)"),
        (lambda: from_table([[0.1], [0.1, 0.2]]), T, r"rates\[0\] must be a real number"),
        (lambda: from_table([0.1, np.nan]), V, re.escape(f"rates must be finite and at most {jnp.finfo(jnp.result_type(float)).max:.3g}, got nan at count 1")),
        (lambda: from_table([0.1, 1e39 * 1e300]), V, "rates must be .* at count 1; write"),
        (lambda: from_table("0.1"), T, "rates must be a list, .* got '0.1' of type str"),
        (lambda: from_table([0.1, "x"]), T, r"rates\[1\] must be a real number, got 'x'"),
        (lambda: from_table([0.1, None]), T, r"rates\[1\] must be a real number, got None"),
        (lambda: from_table(np.array([0.1, None])), T, r"rates\[1\] must be a real number, got None"),
        (lambda: from_table(Unreadable()), V, r"rates must be one number a step, got .*Unreadable.*; write \[0\.1, 0\.1"),
        (lambda: from_table([True]), T, r"rates\[0\] must be a real number, got True"),
        (lambda: from_table(0.1), T, "rates must be a list"),
        (traced(lambda p: from_table([p, 1.0])), V, "rates must be known, .*multiply"),
        (lambda: from_table([1], tolerance=0), V, "tolerance must be at least 1e-6, got 0"),
        (lambda: from_table([1], tolerance=-1e-3), V, "tolerance must be at least 1e-6"),
        (lambda: from_table([1], tolerance=9e-7), V, "tolerance must be at least 1e-6"),
        (lambda: from_table([1], tolerance=np.inf), V, "tolerance must be finite"),
        (lambda: from_table([1], tolerance=True), T, "tolerance must be a real number"),
        (lambda: from_table([1], num_stages=0), V, "num_stages must be positive"),
        (lambda: from_function(0.1, total_steps=9), T, "function must be callable"),
        (lambda: from_function(abs, total_steps=0), V, "total_steps must be positive"),
        (lambda: from_function(abs, total_steps=1.5), T, "total_steps must be an integer"),
        (lambda: from_function(lambda c: jnp.ones(3), total_steps=9), V, r"function must return a scalar, got shape \(3,\) at count 0"),
        (lambda: from_function(lambda c: None, total_steps=9), T, "function must return a real number, got None .*at count 0"),
        (lambda: from_function(lambda c: "0.1", total_steps=9), T, "function must return a real number, got '0.1'"),
        (lambda: from_function(lambda c: c > 3, total_steps=9), T, "function must return a real number, got False"),
        (lambda: from_function(lambda c: 1 / (c - 5), total_steps=9), V, "got ZeroDivisionError: division by zero, at count 5"),
        (lambda: from_function(lambda c: jnp.where(c == 7, jnp.inf, 0.1), total_steps=9), V, "a finite rate at every count, got inf at count 7"),
        (traced(lambda p: from_function(lambda c: p * SHAPE(c), total_steps=9)), V, r"known values only.*for a peak of 1.*from_function\(...\) \* peak"),
        (traced(lambda p: from_function(lambda c: 0.1 if p > c else 0.2, total_steps=9)), V, "known values only"),
    ],
)  # fmt: skip
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
