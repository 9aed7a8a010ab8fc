"""Bad arguments are refused at construction, by name, position and value."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import omegaconf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import assert_rates, same

from optax_stepping import manual_stepping

pytestmark = pytest.mark.not_under("JAX_ENABLE_X64", reason="names float32")

VALUE_ERRORS = {
    "too few rates": (
        ([1000, 2000], [0.1, 0.01]),
        r"rates .* got 2 rates for 2 boundaries; write 3",
    ),
    "too many rates": (([1000], [0.1, 0.01, 0.001]), r"rates .* got 3 rates for 1 boundaries"),
    "no rates": (([], []), r"rates must not be empty"),
    "no rates, boundaries": (([3], []), r"rates must not be empty"),
    "unsorted": (([2000, 1000], [1, 2, 3]), r"boundaries\[1\] = 1000 after boundaries\[0\] = 2000"),
    "equal": (([5, 7, 7], [1, 2, 3, 4]), r"boundaries\[2\] = 7 after boundaries\[1\] = 7"),
    "zero": (([0, 7], [1, 2, 3]), r"boundaries\[0\] must be positive, got 0; the first"),
    "negative": (([-3, 7], [1, 2, 3]), r"boundaries\[0\] must be positive, got -3"),
    "beyond int32": (([2**31], [1, 2]), r"boundaries\[0\] must fit into int32.* got 2147483648"),
    "beyond int64": (([10**30], [1, 2]), r"boundaries\[0\] must fit into int32.* got 1000000"),
    "beyond int32, array": (
        (np.array([5, 2**40]), [1, 2, 3]),
        r"boundaries\[1\] must fit .* got 1099511627776",
    ),
    "2-D boundaries": ((np.ones((1, 2), int), [1, 2]), r"boundaries must be one-dim.*\(1, 2\)"),
    "2-D rates": (([3], np.ones((1, 2))), r"rates must be one-dimensional, got shape \(1, 2\)"),
    "0-D boundaries": ((np.array(3), [1, 2]), r"boundaries must be one-dimensional"),
    "nested rates": (([3], [np.ones(2), np.ones(2)]), r"rates\[0\] must be a scalar"),
    "NaN rate": (([3], [1, float("nan")]), r"rates\[1\] must be finite, got nan"),
    "infinite rate": (([3], [np.inf, 1]), r"rates\[0\] must be finite, got inf"),
    "NaN in an array": (
        ([3], np.array([1, np.nan], np.float32)),
        r"rates\[1\] must be finite, got nan",
    ),
    "rate beyond float32": (
        ([3], [1, 1e39]),
        r"rates\[1\] must fit into float32, got 1e\+39",
    ),
    "rate below float32": (
        ([3], [1e-46, 1]),
        r"rates\[0\] must not vanish in float32, got 1e-46",
    ),
}
TYPE_ERRORS = {
    "float boundaries": (
        ([1000.5], [1, 2]),
        r"boundaries\[0\] must be an integer, got 1000\.5 of type float; .* whole number",
    ),
    "float array": (
        (np.array([1.0, 2.5]), [1, 2, 3]),
        r"boundaries\[1\] must be an integer, got 2\.5",
    ),
    "NaN boundary": (([float("nan")], [1, 2]), r"boundaries\[0\] must be an integer, got nan"),
    "bool boundary": (
        ([True], [1, 2]),
        r"boundaries\[0\] must be an integer, got True of type bool",
    ),
    "bool array": ((np.array([True]), [1, 2]), r"boundaries\[0\] must be an integer, got True"),
    "string boundary": (
        (["7"], [1, 2]),
        r"boundaries\[0\] must be an integer, got '7' of type str",
    ),
    "None boundary": (([None], [1, 2]), r"boundaries\[0\] must be an integer, got None"),
    "None": (
        (None, [1, 2]),
        r"boundaries must be a list, tuple, other sequence or array, got None",
    ),
    "string": (("12", [1, 2, 3]), r"boundaries must be a list, .* got '12' of type str"),
    "integer": ((12, [1, 2]), r"boundaries must be a list"),
    "generator": (((b for b in [1]), [1, 2]), r"boundaries must be a list, .* of type generator"),
    "dict": (({1: 0.5}, [1, 2]), r"boundaries must be a list, .* of type dict"),
    "set": (({1}, [1, 2]), r"boundaries must be a list, .* of type set"),
    "rates generator": (([1], (r for r in [1, 2])), r"rates must be a list, .* of type generator"),
    "rates dict": (([1], {0: 1, 1: 2}), r"rates must be a list, .* of type dict"),
    "rates None": (([1], None), r"rates must be a list"),
    "complex rate": (([1], [1j, 2]), r"rates\[0\] must be a real number, got 1j of type complex"),
    "complex array": (([1], np.array([1j, 2])), r"rates\[0\] must be a real number"),
    "string rate": (([1], ["a", 2]), r"rates\[0\] must be a real number, got 'a'"),
    "bool rate": (([1], [True, 2]), r"rates\[0\] must be a real number, got True of type bool"),
    "None rate": (([1], [None, 2]), r"rates\[0\] must be a real number, got None"),
}
OPTION_ERRORS = {
    "both warmups": (
        {"warmup": True, "warmup_steps": 3},
        ValueError,
        r"got warmup=True and warmup_steps=3",
    ),
    "negative steps": (
        {"warmup_steps": -1},
        ValueError,
        r"warmup_steps must not be negative, got -1",
    ),
    "steps at the boundary": (
        {"warmup_steps": 10},
        ValueError,
        r"warmup_steps = 10 with boundaries\[0\] = 10",
    ),
    "steps beyond": ({"warmup_steps": 11}, ValueError, r"warmup_steps = 11"),
    "float steps": ({"warmup_steps": 5.5}, TypeError, r"warmup_steps must be an integer, got 5\.5"),
    "bool steps": ({"warmup_steps": True}, TypeError, r"warmup_steps must be an integer, got True"),
    "None steps": ({"warmup_steps": None}, TypeError, r"warmup_steps must be an integer, got None"),
    "array steps": ({"warmup_steps": np.array([3])}, ValueError, r"warmup_steps must be a scalar"),
    "NaN value": (
        {"warmup_steps": 5, "warmup_init_value": float("nan")},
        ValueError,
        r"warmup_init_value must be finite, got nan",
    ),
    "NaN value unused": ({"warmup_init_value": float("nan")}, ValueError, r"warmup_init_value"),
    "string value": (
        {"warmup_steps": 5, "warmup_init_value": "0"},
        TypeError,
        r"warmup_init_value",
    ),
    "warmup a number": ({"warmup": 1}, TypeError, r"warmup must be True or False, got 1"),
    "warmup a string": ({"warmup": "yes"}, TypeError, r"warmup must be True or False, got 'yes'"),
    "interpolate short": ({"interpolate": [True]}, ValueError, r"got 1 for 2 boundaries; write 2"),
    "interpolate long": ({"interpolate": [True] * 3}, ValueError, r"got 3 for 2 boundaries"),
    "interpolate numbers": (
        {"interpolate": [1, 0]},
        TypeError,
        r"interpolate\[0\] must be True or F",
    ),
    "interpolate array": ({"interpolate": np.array([1, 0])}, TypeError, r"interpolate\[0\]"),
    "interpolate None": ({"interpolate": None}, TypeError, r"interpolate must be a list"),
    "interpolate string": ({"interpolate": "linear"}, TypeError, r"interpolate must be a list"),
    "interpolate dict": ({"interpolate": {}}, TypeError, r"interpolate must be a list"),
}


@pytest.mark.parametrize("case", VALUE_ERRORS)
def test_value_errors(case):
    arguments, message = VALUE_ERRORS[case]
    with pytest.raises(ValueError, match=message):
        manual_stepping(*arguments)


@pytest.mark.parametrize("case", TYPE_ERRORS)
def test_type_errors(case):
    arguments, message = TYPE_ERRORS[case]
    with pytest.raises(TypeError, match=message):
        manual_stepping(*arguments)


@pytest.mark.parametrize("case", OPTION_ERRORS)
def test_option_errors(case):
    options, error, message = OPTION_ERRORS[case]
    with pytest.raises(error, match=message):
        manual_stepping([10, 20], [0.1, 0.2, 0.3], **options)


def test_a_ramp_higher_than_float32_can_hold():
    ramp = manual_stepping([10], [-3e38, 3e38], interpolate=True)
    assert_rates(ramp, range(12), ramp(np.arange(12)))


def test_what_is_fine():
    plain = manual_stepping([3, 5], [1.0, 2.0, 3.0])
    for boundaries in (
        (3, 5),
        range(3, 6, 2),
        collections.deque([3, 5]),
        omegaconf.OmegaConf.create([3, 5]),
        [3.0, 5.0],
        np.array([3.0, 5.0]),
        [np.int64(3), np.uint8(5)],
        np.array([3, 5], np.uint16),
        jnp.array([3, 5]),
        [jnp.int32(3), 5],
    ):
        for rates in (
            [1, 2, 3],
            range(1, 4),
            omegaconf.OmegaConf.create([1.0, 2, 3]),
            (1.0, 2, np.float64(3)),
            np.arange(1, 4),
            jnp.arange(1.0, 4.0),
        ):
            assert same(manual_stepping(boundaries, rates), plain)
    half = manual_stepping([3, 5], jnp.arange(1, 4, dtype=jnp.bfloat16))
    assert same(half, plain)
    assert manual_stepping([2**31 - 1], [1, 2]).boundaries[0] == 2**31 - 1
    for empty in ([], (), np.array([]), jnp.array([], jnp.int32)):
        assert manual_stepping(empty, [0.1], True).boundaries.shape == (0,)
    ramp = manual_stepping([3], [1, 2], interpolate=[True])
    assert same(manual_stepping([3], [1, 2], np.True_), ramp)
    assert same(manual_stepping([3], [1, 2], interpolate=jnp.array(True)), ramp)
    assert same(jax.jit(lambda i: manual_stepping([3], [1, 2], interpolate=i))(True), ramp)
    warmed = manual_stepping([9], [1, 2], warmup_steps=4)
    for steps in (np.int64(4), jnp.int32(4), 4.0, np.float32(4)):
        assert same(manual_stepping([9], [1, 2], warmup_steps=steps), warmed)
    unused = manual_stepping([9], [1, 2], warmup_steps=0, warmup_init_value=0.5)
    assert same(unused, manual_stepping([9], [1, 2]))


def test_leaves_are_strongly_typed_arrays():
    for schedule in (
        manual_stepping([3], [1, 2]),
        manual_stepping([], [1.0]),
        manual_stepping(np.array([3, 9]), np.ones(3), warmup_steps=2),
        jax.jit(lambda: manual_stepping([3], [1, 2]))(),
        jax.jit(lambda b, r, w: manual_stepping(b, r, warmup_steps=w))(
            jnp.array([3]), 2.0 * jnp.ones(2), 1
        ),
    ):
        for leaf, dtype in zip(
            jax.tree.leaves(schedule), (jnp.int32, jnp.float32, jnp.bool_), strict=True
        ):
            assert isinstance(leaf, jax.Array)
            assert leaf.dtype == dtype
            assert not leaf.weak_type


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (
            (jnp.array([3.0]), jnp.ones(2)),
            {},
            TypeError,
            "boundaries must be integers, got dtype float32",
        ),
        (
            (jnp.array([True]), jnp.ones(2)),
            {},
            TypeError,
            "boundaries must be integers, got dtype bool",
        ),
        (
            (jnp.array([3]), jnp.ones(2, complex)),
            {},
            TypeError,
            "rates must be real numbers, got dtype complex",
        ),
        ((jnp.array([3]), jnp.array([True, False])), {}, TypeError, "rates must be real numbers"),
        ((jnp.array([3]), jnp.ones(3)), {}, ValueError, "got 3 rates for 1 boundaries"),
        ((jnp.array([[3]]), jnp.ones(2)), {}, ValueError, "boundaries must be one-dimensional"),
        ((jnp.array([3]), jnp.ones((2, 1))), {}, ValueError, "rates must be one-dimensional"),
        (
            (jnp.array([3]), jnp.ones(2)),
            {"warmup_steps": jnp.ones(())},
            TypeError,
            "warmup_steps must be an integer",
        ),
        (
            (jnp.array([3]), jnp.ones(2)),
            {"warmup_steps": jnp.ones(2, int)},
            ValueError,
            "warmup_steps must be a s",
        ),
        (
            (jnp.array([3]), jnp.ones(2)),
            {"warmup_init_value": jnp.ones((), complex)},
            TypeError,
            "warmup_init_value",
        ),
        (
            (jnp.array([3]), jnp.ones(2)),
            {"interpolate": jnp.ones(1)},
            TypeError,
            "interpolate must be bools",
        ),
        (
            (jnp.array([3]), jnp.ones(2)),
            {"interpolate": jnp.ones(2, bool)},
            ValueError,
            "got 2 for 1",
        ),
    ],
)
def test_traced_arguments_are_checked_for_shape_and_dtype(arguments, options, error, message):
    with pytest.raises(error, match=message):
        jax.jit(lambda args, opts: manual_stepping(*args, **opts))(arguments, options)


def test_the_known_arguments_are_checked_beside_traced_ones():
    with pytest.raises(ValueError, match=r"boundaries\[1\] = 1 after"):
        jax.jit(lambda rates: manual_stepping([3, 1], rates))(jnp.ones(3))
    with pytest.raises(ValueError, match=r"rates\[0\] must be finite, got nan"):
        jax.jit(lambda boundaries: manual_stepping(boundaries, [jnp.nan, 1]))(jnp.array([3]))
    with pytest.raises(ValueError, match="not be given together"):
        jax.jit(lambda steps: manual_stepping([3], [1, 2], True, warmup_steps=steps))(2)


def test_traced_numbers_inside_of_lists():
    def build(first, rate):
        return manual_stepping([first, 2 * first], [rate, rate / 10, 0.001])

    made = jax.jit(build)(10, 0.5)
    assert same(made, manual_stepping([10, 20], [0.5, 0.05, 0.001]))
    with pytest.raises(ValueError, match=r"rates\[0\] must be a scalar, got shape \(2,\)"):
        jax.jit(build)(10, jnp.ones(2))
    with pytest.raises(TypeError, match=r"boundaries\[0\] must be an integer, got dtype float32"):
        jax.jit(build)(10.0, 0.5)


@pytest.mark.parametrize(
    ("entries", "error", "message"),
    [
        (["a"], TypeError, r"boundaries\[1\] must be an integer, got 'a'"),
        ([-5], ValueError, r"boundaries\[1\] must be positive, got -5"),
        ([2**40], ValueError, r"boundaries\[1\] must fit into int32"),
        ([5.5], TypeError, r"boundaries\[1\] must be an integer, got 5.5"),
        ([5, 3], ValueError, r"boundaries\[2\] = 3 after boundaries\[1\] = 5"),
    ],
)
def test_known_boundaries_beside_a_traced_one(entries, error, message):
    rates = [0.1] * (len(entries) + 2)
    with pytest.raises(error, match=message):
        jax.jit(lambda first: manual_stepping([first, *entries], rates))(10)


@pytest.mark.parametrize(
    ("rate", "error", "message"),
    [
        (jnp.nan, ValueError, r"rates\[1\] must be finite"),
        (1e39, ValueError, r"rates\[1\] must fit into float32"),
        (None, TypeError, r"rates\[1\] must be a real number, got None"),
    ],
)
def test_a_known_rate_beside_a_traced_one(rate, error, message):
    with pytest.raises(error, match=message):
        jax.jit(lambda first: manual_stepping([3], [first, rate]))(0.1)


def test_known_and_traced_flags():
    made = jax.jit(lambda ramp: manual_stepping([3, 5], [1, 2, 3], interpolate=[ramp, True]))(True)
    assert same(made, manual_stepping([3, 5], [1, 2, 3], interpolate=True))
    with pytest.raises(TypeError, match=r"interpolate\[1\] must be True or False, got 2"):
        jax.jit(lambda ramp: manual_stepping([3, 5], [1, 2, 3], interpolate=[ramp, 2]))(True)


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.complex_numbers(),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.lists(st.floats(), max_size=3),
)


def mostly(strategy):
    """Usually what is expected, now and then anything."""
    return st.integers(0, 9).flatmap(lambda i: ODD if i == 0 else strategy)


@st.composite
def calls(draw):
    """Arguments of which many are right, so that the later ones are reached, too."""
    n = draw(st.integers(0, 3))
    steps = sorted(draw(st.sets(st.integers(1, 2**31 - 1), min_size=n, max_size=n)))
    boundaries = [draw(mostly(st.just(step))) for step in steps]
    rates = [draw(mostly(st.floats(-(2.0**90), 2.0**90, width=32))) for _ in range(n + 1)]
    options = {
        "warmup": draw(mostly(st.booleans())),
        "warmup_steps": draw(mostly(st.sampled_from([0, 0, 1, 2.0]))),
        "warmup_init_value": draw(mostly(st.floats(-1, 1, width=32))),
        "interpolate": draw(
            mostly(st.one_of(st.booleans(), st.lists(st.booleans(), min_size=n, max_size=n)))
        ),
    }
    return draw(mostly(st.just(boundaries))), draw(mostly(st.just(rates))), options


OUTCOMES = collections.Counter()


@settings(max_examples=600)
@given(calls())
def check_anything(call):
    boundaries, rates, options = call
    try:
        schedule = manual_stepping(boundaries, rates, **options)
    except (ValueError, TypeError) as error:
        message = str(error)
        named = [name for name in ("boundaries", "rates", *options) if message.startswith(name)]
        assert named, message
        OUTCOMES[max(named, key=len)] += 1
    else:
        assert np.isfinite(schedule(3))
        OUTCOMES["success"] += 1


def test_anything_is_a_schedule_or_a_named_error():
    check_anything()
    arguments = {"boundaries", "rates", "warmup", "warmup_steps", "warmup_init_value"}
    assert OUTCOMES.keys() >= arguments | {"interpolate", "success"}, OUTCOMES
    assert OUTCOMES["success"] > 60, OUTCOMES


@pytest.mark.parametrize(
    ("length", "shown"), [(198, "x" * 198 + "'"), (199, "x" * 149 + " ... " + "x" * 39 + "'")]
)
def test_a_long_value_is_shown_in_part(length, shown):
    with pytest.raises(TypeError, match=f"got '{shown} of type str"):
        manual_stepping("x" * length, [1, 2])
