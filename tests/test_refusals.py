"""What each function refuses, with its name, value and a remedy; nothing changes. And what it takes."""

import collections
import functools
import inspect
import re
from itertools import product

import chex
import jax
import jax.numpy as jnp
import numpy as np
import omegaconf
import optax
import pytest
from oracle import same

import optax_stepping as o

pytestmark = pytest.mark.not_under("JAX_ENABLE_X64", reason="names float32")

T, V = TypeError, ValueError
M, jit, ints = o.manual_stepping, jax.jit, jnp.array
S = M([10, 20], [0.1, 0.01, 0.001], warmup_steps=5)
BATCH = o.stack([S, S])
GRID, WIDER = (o.stack([o.stack([S] * n)] * 2) for n in (3, 4))
LINK = o.scale_by_stepping(S)
CHAIN = optax.chain(optax.scale_by_adam(), LINK).init(jnp.zeros(2))
TWO = {"encoder": LINK.init(None), "decoder": LINK.init(None)}
PLAIN = optax.sgd(0.1).init(jnp.zeros(2))
NAN, INF = float("nan"), float("inf")
KEYS = jax.random.split(jax.random.key(0))
DURATION = np.timedelta64(5, "ns")
MASKED = np.ma.array([5], mask=[True])

# Of every kind, what is none: the object, and how the message shows it ("..." is anything).
INTEGERS = [
    (5.5, "5.5 of type float; it counts optimizer steps: write a whole number, as in "), (NAN, "nan of type float"),
    (INF, "inf"), (True, "True of type bool"), ("7", "'7' of type str"), (5j, "5j"), (None, "None"), ([5], "[5] of type list"),
]  # fmt: skip
REALS = [("a", "'a' of type str"), (None, "None"), (1j, "1j"), (True, "True of type bool"), ([0.1], "[0.1]"), (len, "<built-in")]  # fmt: skip
LISTS = [
    (5, "5 of type int; write a list such as ["), (None, "None"), ("57", "'57' of type str"), (b"57", "b'57'"), ({5}, "{5} of type set"),
    ({5: 1}, "{5: 1} of type dict"), (iter([5]), "<list_iterator"), ((i for i in [5]), "<generator"), (memoryview(b"57"), "<memory"),
]  # fmt: skip
FLAGS = [(1, "1 of type int"), ("yes", "'yes'"), (None, "None")]
SCHEDULES = [
    (0.1, "0.1 of type float; write manual_stepping(boundaries, rates), or state.schedule"), (None, "None"), ([S], "[SteppingSchedule("),
    ((1, 2, 3), "(1, 2, 3) of type tuple"), (optax.constant_schedule(0.1), "<function"), (o.stateful(S), "stateful("),
]  # fmt: skip
NUMBERS = [(DURATION, "dtype timedelta64[ns]"), (KEYS[0], "dtype key<fry>"), (np.longdouble(3), "dtype float")]  # fmt: skip
SCALARS = [(np.ones(2, int), "shape (2,)"), (jnp.ones((1, 2)), "shape (1, 2)")]
LARGE = [(2**31, "2147483648; write at most 2147483647"), (10**400, "1000...000"), (10**5000, "a value that cannot be shown")]  # fmt: skip
FINITE = [(NAN, "nan"), (INF, "inf"), *LARGE[1:]]
# Where one is expected: the name in the message, and the call.
PLACES = {
    "an integer": (INTEGERS, T, [
        ("boundaries[0]", lambda x: M([x], [1, 2])), ("boundaries[0]", lambda x: o.join([S, S], [x])),
        ("warmup_steps", lambda x: M([9], [1, 2], warmup_steps=x)), ("steps", lambda x: o.shift(S, x)),
        ("num_stages", lambda x: o.pad(S, x)), ("total_steps", lambda x: o.plot(S, x)),
    ]),
    "a real number": (REALS, T, [
        ("rates[1]", lambda x: M([5], [1, x])), ("warmup_init_value", lambda x: M([5], [1, 2], warmup_init_value=x)),
        ("factor", lambda x: o.stretch(S, x)),
    ]),
    "a list, tuple, other sequence or array": (LISTS, T, [
        ("boundaries", lambda x: M(x, [1, 2])), ("rates", lambda x: M([5], x)), ("interpolate", lambda x: M([5], [1, 2], interpolate=x)),
        ("boundaries", lambda x: o.join([S, S], x)), ("schedules", lambda x: o.join(x, [5])), ("schedules", o.stack),
    ]),
    "True or False": (FLAGS, T, [
        ("warmup", lambda x: M([5], [1, 2], x)), ("interpolate[0]", lambda x: M([5], [1, 2], interpolate=[x])),
        ("flip_sign", lambda x: o.scale_by_stepping(S, flip_sign=x)), ("all_stages", lambda x: o.describe(S, all_stages=x)),
        ("grow", lambda x: o.set_schedule(CHAIN, S, grow=x)),
    ]),
    "a SteppingSchedule": (SCHEDULES, T, [
        ("schedules[1]", lambda x: o.join([S, x], [5])), ("schedules[1]", lambda x: o.stack([S, x])), ("schedule", lambda x: o.shift(x, 5)),
        ("schedule", lambda x: o.stretch(x, 5)), ("schedule", lambda x: o.pad(x, 5)), ("schedule", o.unpad), ("batch", o.unstack),
        ("schedule", o.as_function), ("schedule", o.stateful), ("schedule", o.scale_by_stepping), ("schedule", o.to_dict), ("schedule", o.check),
        ("schedule", o.describe), ("schedule", lambda x: o.plot(x, 50)), ("schedule", lambda x: o.set_schedule(CHAIN, x)),
    ]),
}  # fmt: skip
WHOLE, REAL = PLACES["an integer"][2], PLACES["a real number"][2]
PLACES["made of numbers that JAX has"] = NUMBERS, T, WHOLE + REAL
PLACES["a scalar"] = SCALARS, V, WHOLE + REAL
PLACES["finite"] = FINITE, V, REAL
PLACES["fit into int32, the type of Optax's step counts"] = LARGE, V, WHOLE


def kinds():
    for must, (objects, error, places) in PLACES.items():
        must = must if must.startswith("fit") else f"be {must}"
        for (name, call), (thing, shown) in product(places, objects):
            yield functools.partial(call, thing), error, f"{name} must {must}, got {shown}"


# What is no schedule for its leaves, and what a message says of it.
LEAVES = [
    (S.replace(rates=jnp.ones(2)), V, "have rates of shape (4,) and ramps of shape (3,) for its 3 boundaries, got (2,) and (3,); replace"),
    (S.replace(boundaries=ints([5])), V, "have rates of shape (2,) and ramps of shape (1,) for its 1 boundaries, got (4,)"),
    (S.replace(ramps=jnp.array(True)), V, "...got (4,) and ()"), (S.replace(ramps=S.ramps[None]), V, "...got (4,) and (1, 3)"),
    (S.replace(boundaries=np.array(3)), V, "have a dimension of stages, got boundaries of shape ()"),
    (S.replace(boundaries=np.array([3.5, 8.5, 9])), T, "have integers as boundaries, got float32; write boundaries.astype(jnp.int32)"),
    (S.replace(rates=jnp.ones(4) > 0), T, "have floats as rates, got bool; write rates.astype(jnp.float32)"),
    (S.replace(ramps=jnp.zeros(3)), T, "have bools as ramps, got float32; write ramps.astype(bool)"),
    (o.SteppingSchedule([5], [0.1, 0.2], [False]), T, "have an array as boundaries, got [...] of type list; write manual_stepping("),
    (o.SteppingSchedule(None, S.rates, S.ramps), T, "have an array as boundaries, got None"),
    (o.SteppingSchedule(S.boundaries, [0.1] * 4, S.ramps), T, "have an array as rates, got ["),
]  # fmt: skip
USES = {
    "schedule": [lambda s: s(3), lambda s: s(jnp.arange(3)), lambda s: o.pad(s, 9), lambda s: o.set_schedule(CHAIN, s), lambda s: s * 2],
    "schedules[1]": [lambda s: o.stack([S, s])],
}  # fmt: skip
# What only one function says.
DOORS = {
    "manual_stepping": [
        (lambda: M([10, 20], [0.1, 0.01]), V, "rates must have one entry more than boundaries, got 2 rates for 2 boundaries; write 3 rates: one"),
        (lambda: M([10], [1, 2, 3]), V, "got 3 rates for 1 boundaries; write 2"), (lambda: M([5], []), V, "rates must not be empty, got []; write one"),
        (lambda: M([0, 7], [1, 2, 3]), V, "boundaries[0] must be positive, got 0; the first stage starts at 0 by itself: leave"),
        (lambda: M([-3], [1, 2]), V, "boundaries[0] must be positive, got -3"),
        (lambda: M([20, 10], [1, 2, 3]), V, "boundaries must be strictly increasing, got boundaries[1] = 10 after boundaries[0] = 20; write each"),
        (lambda: M([5, 7, 7], [1, 2, 3, 4]), V, "boundaries[2] = 7 after boundaries[1] = 7"),
        (lambda: M(np.ones((1, 2), int), [1, 2]), V, "boundaries must be one-dimensional, got shape (1, 2); write a list such as [1000, 2000], and"),
        (lambda: M(np.array(3), [1, 2]), V, "boundaries must be one-dimensional, got shape ()"),
        (lambda: M([3], np.ones((2, 1))), V, "rates must be one-dimensional, got shape (2, 1)"),
        (lambda: M(np.array([1.0, 2.5]), [1, 2, 3]), T, "boundaries[1] must be an integer, got 2.5"),
        (lambda: M(np.array(["5"]), [1, 2]), T, "boundaries[0] must be an integer, got '5'"),
        (lambda: M(np.array([True]), [1, 2]), T, "boundaries[0] must be an integer, got True"),
        (lambda: M(np.array([5, 2**40]), [1, 2, 3]), V, "boundaries[1] must fit into int32...got 1099511627776"),
        (lambda: M([3], np.array([1, NAN], "f4")), V, "rates[1] must be finite, got nan of type float; write a number such as 0.1"),
        (lambda: M([3], np.array([1j, 2])), T, "rates[0] must be a real number, got 1j"),
        (lambda: M(np.array([5], "m8[ns]"), [1, 2]), T, "boundaries must be made of numbers that JAX has, got dtype timedelta64[ns]; write [1000,"),
        (lambda: M([5], KEYS), T, "rates must be made of numbers that JAX has, got dtype key<fry>; write [0.1, 0.01]"),
        (lambda: M(MASKED, [1, 2]), T, "boundaries must have no mask, got masked_array(data=[--], mask=[ True]...; write [1000"),
        (lambda: M([3], [1, -1e39]), V, "rates[1] must fit into float32, got -1e+39 of type float; write at most 3.4e+38 in magnitude"),
        (lambda: M([3], [1e-46, 1]), V, "rates[0] must not vanish in float32, got 1e-46; write 0.0"),
        (lambda: M([5], [1, 2], True, warmup_steps=3), V, "warmup and warmup_steps must not be given together, got warmup=True and warmup_steps=3;"),
        (lambda: M([5], [1, 2], warmup_steps=-1), V, "warmup_steps must not be negative, got -1; write 0 for no warmup"),
        (lambda: M([5, 9], [1, 2, 3], warmup_steps=5), V, "warmup_steps must be below the first boundary, got warmup_steps = 5 with boundaries[0] = 5; shorten"),
        (lambda: M([5], [1, 2], warmup_steps=6), V, "warmup_steps = 6 with"),
        (lambda: M([5], [1, 2], interpolate=[True] * 2), V, "interpolate must be one bool, or one for...got 2 for 1 boundaries; write 1 bools"),
        (lambda: M([5, 6], [1, 2, 3], interpolate=[True]), V, "got 1 for 2"),
        (lambda: M([5], [1, 2], interpolate=np.array([1])), T, "interpolate[0] must be True or False, got 1"),
    ],
    "manual_stepping, beside a tracer": [
        (lambda: jit(lambda r: M([3], [r, NAN]))(0.1), V, "rates[1] must be finite, got nan"),
        (lambda: jit(lambda r: M([3, 1], r))(jnp.ones(3)), V, "boundaries[1] = 1 after boundaries[0] = 3"),
        (lambda: jit(lambda b: M(b, [NAN, 1]))(ints([3])), V, "rates[0] must be finite"),
        (lambda: jit(lambda b: M([b, -5, 3], [1, 2, 3, 4]))(5), V, "boundaries[1] must be positive, got -5"),
        (lambda: jit(lambda b: M([b, 5, 3], [1, 2, 3, 4]))(5), V, "boundaries[2] = 3 after boundaries[1] = 5"),
        (lambda: jit(lambda b: M([b, 9], [1, 2, 3], warmup_steps=9))(5), V, "warmup_steps = 9 with boundaries[1] = 9"),
        (lambda: jit(lambda w: M([3], [1, 2], True, warmup_steps=w))(2), V, "warmup and warmup_steps must not be given together"),
        (lambda: jit(lambda i: M([3, 5], [1, 2, 3], interpolate=[i, 2]))(True), T, "interpolate[1] must be True or False, got 2"),
    ],
    "manual_stepping, of a tracer": [
        (lambda: jit(lambda b: M(b, [1, 2]))(ints([0.5])), T, "boundaries must have a dtype of integers, got float32; write boundaries.astype('int32')"),
        (lambda: jit(lambda b: M(b, [1, 2]))(ints([True])), T, "boundaries must have a dtype of integers, got bool"),
        (lambda: jit(lambda b: M(b, [1, 2]))(ints([[3]])), V, "boundaries must be one-dimensional"),
        (lambda: jit(lambda b: M(b, [1, 2]))(ints([5, 6])), V, "got 2 rates for 2 boundaries"),
        (lambda: jit(lambda b: M([b], [1, 2]))(5.0), T, "boundaries[0] must have a dtype of integers, got float32"),
        (lambda: jit(lambda r: M([5], r))(ints([1j, 2])), T, "rates must have a dtype of real numbers, got complex64; write rates.astype("),
        (lambda: jit(lambda r: M([5], r))(ints([True, False])), T, "rates must have a dtype of real numbers, got bool"),
        (lambda: jit(lambda r: M([5], r))(jnp.ones(3)), V, "got 3 rates for 1 boundaries"),
        (lambda: jit(lambda r: M([5], r))(jnp.ones((2, 1))), V, "rates must be one-dimensional"),
        (lambda: jit(lambda r: M([5], [r, 1]))(jnp.ones(2)), V, "rates[0] must be a scalar, got shape (2,)"),
        (lambda: jit(lambda w: M([5], [1, 2], warmup_steps=w))(0.5), T, "warmup_steps must have a dtype of integers, got float32"),
        (lambda: jit(lambda w: M([5], [1, 2], warmup_steps=w))(ints([1, 1])), V, "warmup_steps must be a scalar"),
        (lambda: jit(lambda v: M([5], [1, 2], warmup_init_value=v))(1j), T, "warmup_init_value must have a dtype of real numbers, got complex64"),
        (lambda: jit(lambda w: M([5], [1, 2], w))(True), T, "warmup must be True or False, got"),
        (lambda: jit(lambda i: M([5], [1, 2], interpolate=i))(1), T, "interpolate must have a dtype of bools, got int32; write interpolate.astype('bool')"),
        (lambda: jit(lambda i: M([5], [1, 2], interpolate=[i]))(1), T, "interpolate[0] must have a dtype of bools, got int32"),
        (lambda: jit(lambda i: M([5], [1, 2], interpolate=i))(ints([True] * 2)), V, "got 2 for 1 boundaries"),
    ],
    "a call": [
        *((lambda x=x: S(x), T, f"count must be a number or an array of numbers, got {shown}") for x, shown in (
            ("3", "'3' of type str; write an int, or an array"), (None, "None"), ([3], "[3]"), ((3,), "(3,)"), (3j, "3j"), (S, "SteppingSchedule("), (MASKED, "masked_"))),
        *((lambda x=x: S(x), T, f"count must have an integer or floating dtype, got {shown}") for x, shown in (
            (True, "bool; counts are optimizer steps: write 0, 1, 2"), (np.True_, "bool"), (ints([True]), "bool"), (np.array(["a"]), "<U1"), (np.array([None]), "object"),
            (np.complex64(1), "complex64"), (ints(1j), "complex64"), (np.datetime64("2020"), "datetime64"), (DURATION, "timedelta64"), (KEYS, "key<fry>"))),
        (lambda: jit(S)(True), T, "floating dtype, got bool"), (lambda: jax.vmap(S)(jnp.ones(3, bool)), T, "floating dtype, got bool"),
        (lambda: BATCH(3), V, "schedule must be one schedule, got a batch of schedules (boundaries have shape (2, 3)); evaluate it under jax.vmap"),
        (lambda: jit(lambda s: s(3))(BATCH), V, "got a batch of schedules (boundaries have shape (2, 3))"),
    ],
    "replace": [
        (lambda: S.replace(rates=["a", 0.1]), T, "rates must be an array, or a list of numbers, got dtype <U32; write [0.1, 0.01], or jnp.stack([...])"),
        (lambda: S.replace(rates=[[0.1], 0.1]), T, "list of numbers, got [[0.1], 0.1]"), (lambda: S.replace(rates=None), T, "list of numbers, got None"),
        (lambda: jit(lambda r: S.replace(rates=[r, 0.1]))(0.1), T, "list of numbers, got [...Trace"),
        (lambda: S.replace(rates=MASKED), T, "rates must have no mask, got masked_array"),
        (lambda: S.replace(rates=KEYS), T, "rates must be made of numbers that JAX has, got dtype key<fry>"),
        (lambda: S.replace(boundaries=[5, DURATION]), T, "boundaries[1] must be made of numbers that JAX has, got dtype timedelta64"),
    ],
    "arithmetic": [
        (lambda: S * 1e39, V, "factor must fit into float32, got 1e+39"), (lambda: jit(lambda s: s * 1e39)(S), V, "factor must fit into float32"),
        (lambda: S * 1e38 * 1e3, V, "factor must keep rates within 1.18e-38 .. 3.4e+38, got 1000.0, which makes rates[1] = 1e+37 inf in float32"),
        (lambda: S * 1e-45, V, "which makes rates[1] = 0.1 0.0"), (lambda: S * NAN, V, "factor must be finite, got nan"),
        (lambda: S * 10**400, V, "factor must be finite, got 1000"), (lambda: S / INF, V, "divisor must be finite, got inf"),
        (lambda: S * np.ones(3), V, "factor must be a scalar, got shape (3,); to scale every member of a batch"),
        (lambda: jnp.ones(3) * S, V, "factor must be a scalar"), (lambda: np.ones(3) * S, V, "factor must be a scalar"),
        (lambda: S * DURATION, T, "factor must be made of numbers that JAX has"), (lambda: S * KEYS[0], T, "got dtype key<fry>"),
        (lambda: jit(lambda f: S * f)(1j), T, "factor must be a real number, got dtype complex64"),
        (lambda: S / 0, V, "divisor must not be 0, got 0; write 10"), (lambda: jit(lambda s: s / 0)(S), V, "divisor must not be 0"),
    ],
    "join": [
        (lambda: o.join([], []), V, "schedules must not be empty, got []; write join([schedule, ...], [1000])"),
        (lambda: o.join([S, S], []), V, "boundaries must be one fewer than schedules, got 0 for 2 schedules; write 1: where"),
        (lambda: o.join([S, S], [5, 6]), V, "got 2 for 2 schedules"), (lambda: o.join([S, S], [-5]), V, "boundaries[0] must not be negative, got -5"),
        (lambda: o.join([S] * 4, [3, 7, 5]), V, "boundaries must be strictly increasing, got boundaries[2] = 5 after boundaries[1] = 7; write"),
        (lambda: o.join([S] * 3, [7, 7]), V, "boundaries[1] = 7 after boundaries[0] = 7"),
        (lambda: o.join([S, BATCH], [5]), V, "schedules[1] must be one schedule, got a batch of shape (2,); take its members from unstack(batch), and stack"),
        (lambda: jit(lambda b: o.join([S, S], b))([5]), V, "boundaries must be known, got the traced [...; join outside jit, or join functions"),
        (lambda: jit(lambda b: o.join([S, S], b))(ints([5])), V, "boundaries must be known, got the traced"),
        (lambda: jit(lambda s: o.join([s, S], [5]))(S), V, "schedules[0] must have known boundaries and ramps, got the traced SteppingSchedule("),
    ],
    "shift": [
        (lambda: o.shift(S, -(2**31) - 1), V, "steps must be at least -2147483648, got -2147483649"),
        (lambda: o.shift(GRID, 5), V, "schedule must be one schedule, got a batch of shape (2, 3); take its members from unstack(batch), and stack"),
        (lambda: jit(lambda n: o.shift(S, n))(5), V, "steps must be known, got the traced ...; shift outside jit, or call schedule(count + steps)"),
        *((lambda leaf=leaf: jit(lambda x: o.shift(S.replace(**{leaf: x}), 3))(getattr(S, leaf)), V, "schedule must have known boundaries and ramps, got the traced")
          for leaf in ("boundaries", "ramps")),
    ],
    "stretch": [
        (lambda: o.stretch(S, 0), V, "factor must be positive, got 0 of type int; write 500 or 0.5"), (lambda: o.stretch(S, -0.5), V, "positive, got -0.5"),
        (lambda: o.stretch(S, 2**27), V, "factor must keep boundaries within int32...got 134217728 of type int, which puts boundaries[2] = 20 beyond 2147483647; write a smaller"),
        (lambda: o.stretch(S, 0.1), V, "factor must leave every stage a step, got 0.1 of type float, which puts boundaries[0] = 5 on step 0 and the first stage on 0; write a larger"),
        (lambda: o.stretch(S, 0.125), V, "which puts boundaries[1] = 10 on step 1 and boundaries[0] = 5 on 1"),
        (lambda: o.stretch(o.stack([o.stretch(S, 9), S]), 0.1), V, "which puts boundaries[1, 0] = 5 on step 0 and the first stage on 0"),
        (lambda: o.stretch(S.replace(boundaries=[5, 0, 9]), 2), V, "which puts boundaries[1] = 0 on step 0 and boundaries[0] = 5 on 10"),
        (lambda: jit(lambda f: o.stretch(S, f))(5), V, "factor must be known, got the traced ...; stretch outside jit"),
        (lambda: jit(lambda s: o.stretch(s, 5))(S), V, "schedule must have known boundaries, got the traced SteppingSchedule("),
    ],
    "stack, unstack, pad, unpad": [
        (lambda: o.stack([]), V, "schedules must not be empty, got []; write stack([schedule, ...])"),
        (lambda: o.stack([S, BATCH]), V, "schedules must have one batch shape, got () in schedules[0] and (2,) in schedules[1]; stack single"),
        (lambda: o.stack([GRID, WIDER]), V, "got (2, 3) in schedules[0] and (2, 4) in schedules[1]"),
        (lambda: o.stack([S, S.replace(rates=S.rates.astype("f2"))]), T, "one dtype, got float32 ...float16 in schedules[1]"),
        (lambda: o.stack([S], num_stages=3), V, "num_stages must be at least 4, the stages of a schedule (a warmup counts as one), got 3; write num_stages=4"),
        (lambda: o.pad(S, 3), V, "num_stages must be at least 4"), (lambda: o.pad(S, 0), V, "num_stages must be positive, got 0; write 8"),
        (lambda: o.stack([S], num_stages=4.5), T, "num_stages must be an integer, got 4.5"), (lambda: o.unstack(S), V, "batch must have a batch axis, got the single"),
        (lambda: jit(o.unstack)(BATCH), V, "batch must be known, got the traced SteppingSchedule(...; take it apart outside jit, or map over it with jax.vmap"),
        (lambda: o.pad(o.SteppingSchedule(S.boundaries, S.rates, np.ma.ones(3, bool)), 9), T, "schedule must have an array as ramps, got masked_array("),
        (lambda: jit(o.unpad)(S), V, "schedule must be known, got the traced SteppingSchedule("),
        (lambda: o.unpad(GRID), V, "schedule must be one schedule, got a batch of shape (2, 3); take its members from unstack(batch)"),
    ],
    "in an optimizer": [
        *((call, T, f"the state of a schedule must be a SteppingState, got {shown}") for call, shown in (
            (lambda: o.stateful(S)(3), "3 of type int; where a schedule function is expected, write the schedule itself, optax.adamw(schedule); stateful("),
            (lambda: optax.sgd(o.stateful(S)).update(jnp.zeros(2), PLAIN), "<"), (lambda: LINK.update(jnp.zeros(2), None), "None"),
            (lambda: LINK.update(jnp.zeros(2), PLAIN), "(EmptyState(), EmptyState()) of type tuple; ...to hold a rate, write set_schedule("))),
    ],
    "get_state, set_schedule": [
        (lambda: o.get_state(None), V, "opt_state must hold a SteppingState, got none; make the optimizer with scale_by_stepping(schedule), or"),
        (lambda: o.get_state(PLAIN), V, "opt_state must hold a SteppingState"), (lambda: o.set_schedule(PLAIN, S), V, "opt_state must hold a SteppingState"),
        (lambda: o.get_state(TWO, 3), T, "name must be a word or a tuple of words, got 3 of type int; write "), (lambda: o.get_state(TWO, ["encoder"]), T, "tuple of words, got ['encoder']"),
    ],
    "describe, plot": [
        (lambda: o.describe(BATCH), V, "schedule must be one schedule, got a batch of shape (2,); take its members from unstack(batch)"),
        (lambda: jit(o.describe)(S), V, "schedule must be known, got the traced SteppingSchedule("), (lambda: o.describe(S, 0), V, "total_steps must be positive, got 0; write 4000"),
        (lambda: o.describe(S, 2.5), T, "total_steps must be an integer, got 2.5"), (lambda: o.plot(S, 0), V, "total_steps must be positive, got 0"),
        (lambda: o.plot(S, 50, ax=5), T, "ax must be matplotlib's Axes, got 5 of type int; write ax=fig.add_subplot()"),
        (lambda: o.plot(BATCH, 50, label=["one"]), V, "label must be one, or one for every member, got 1 for 2 schedules; write label=[...] with 2"),
    ],
    "to_dict": [
        (lambda: o.to_dict(o.get_state(CHAIN)), T, "schedule must be a SteppingSchedule, got SteppingState(...state.schedule"),
        (lambda: o.to_dict(BATCH), V, "schedule must be one schedule, got a batch"), (lambda: jit(o.to_dict)(S), V, "schedule must be known, got the traced"),
        (lambda: o.to_dict(S.replace(rates=[NAN] * 4)), V, "rates[0] must be finite, got nan"),
        (lambda: o.to_dict(S.replace(boundaries=[5, 4, 9])), V, "boundaries[1] = 4 after boundaries[0] = 5"),
    ],
    "from_table, from_function": [
        (lambda: o.from_function(abs, total_steps=9, tolerance=0), V, "tolerance must be at least 1e-6, got 0; write 1e-3"),
        (lambda: o.from_function(abs, total_steps=2 * 10**9), V, "total_steps must be at most 100000000, as a table has a rate a step, got 2000000000; write at most 100000000"),
        (lambda: o.from_table([1e39]), V, "rates must be finite and at most 3.4e+38, got 1e+39 at count 0; write a number"),
        (lambda: o.from_function(lambda c: 2 * jnp.cos(c / 200) * (1 + 5e-5 * (jnp.result_type(float) == "float64")), total_steps=300, tolerance=1e-5),
         V, "tolerance must be larger: rates depend on precision, got 1e-05; write tolerance=5.5e-05"),
    ],
    "importers": [
        (lambda: o.interop.from_tf_object_detection(3), T, "config must be a text or a path, got 3 of type int; write a str"),
        (lambda: o.interop.from_torch(3, total_steps=9), T, "scheduler must be a PyTorch scheduler, got 3 of type int; hand in the object"),
        (lambda: o.interop.from_mmengine([], base_lr="a"), T, "base_lr must be a real number, got 'a'"),
        (lambda: o.interop.from_mmengine([], base_lr=1e39), V, "base_lr must fit into float32, got 1e+39"),
        (lambda: o.interop.from_mmengine([], base_lr=0.1, steps_per_epoch=0), V, "steps_per_epoch must be positive, got 0"),
        (lambda: o.interop.from_mmengine([], base_lr=0.1, total_steps=2.5), T, "total_steps must be an integer, got 2.5"),
    ],
}  # fmt: skip
KINDS = [*kinds()] + [
    (functools.partial(use, schedule), error, f"{name} must {words}")
    for name, uses in USES.items() for use, (schedule, error, words) in product(uses, LEAVES)
]  # fmt: skip
ROWS = [*KINDS, *(row for rows in DOORS.values() for row in rows)]


def everything():
    return S, BATCH, CHAIN, TWO, PLAIN


BEFORE = jax.tree.map(np.array, everything())


@pytest.mark.parametrize(("call", "error", "words"), ROWS, ids=[words for *_, words in ROWS])
def test_refused_by_name(call, error, words):
    with pytest.raises(error) as refusal:
        call()
    message = str(refusal.value)
    assert type(refusal.value) is error
    assert re.search(re.escape(words).replace(r"\.\.\.", ".*"), message), message
    assert re.fullmatch(r".+ must .+, got .+; .+\.", message), message
    assert len(message) < 600, message
    chex.assert_trees_all_equal(everything(), BEFORE)


@pytest.mark.parametrize(
    "call",
    [
        lambda: S * "a", lambda: S * None, lambda: S * True, lambda: S * 1j, lambda: S * [1], lambda: S * S, lambda: S / "a",
        lambda: 2 / S, lambda: S + 1, lambda: S - S, lambda: -S, lambda: S**2, lambda: S < S, lambda: S[0], lambda: len(S), lambda: list(S),
    ],
)  # fmt: skip
def test_what_python_refuses_of_a_type_without_it(call):
    with pytest.raises(TypeError, match="SteppingSchedule"):
        call()


def test_a_base_that_is_no_path(tmp_path):
    (tmp_path / "a.yaml").write_text("_BASE_: [1, 2]\nSOLVER: {BASE_LR: 0.1}\n")
    with pytest.raises(TypeError, match=r"_BASE_ must be a path, got 1 of type int"):
        o.interop.from_detectron2(str(tmp_path / "a.yaml"))


@pytest.mark.parametrize(
    ("length", "shown"), [(198, "x" * 198 + "'"), (199, "x" * 149 + " ... " + "x" * 39 + "'")]
)
def test_a_long_value_is_shown_in_part(length, shown):
    with pytest.raises(TypeError, match=f"got '{shown} of type str"):
        o.manual_stepping("x" * length, [1, 2])


BY_NAME = {
    "describe": ["all_stages"], "from_function": ["total_steps", "tolerance", "num_stages"],
    "from_table": ["tolerance", "num_stages"], "manual_stepping": ["warmup_steps", "warmup_init_value", "interpolate"],
    "scale_by_stepping": ["flip_sign"], "set_schedule": ["grow"], "stack": ["num_stages"], "from_detectron2": ["tolerance"],
    "from_mmengine": ["base_lr", "steps_per_epoch", "total_steps", "tolerance"],
    "from_tf_object_detection": ["total_steps", "tolerance"],
    "from_torch": ["total_steps", "param_group", "steps_per_epoch", "warmup", "tolerance"],
}  # fmt: skip


def test_what_is_given_by_name_only():
    for module in (o, o.interop):
        for name in {*module.__all__} - {"interop", "SteppingSchedule", "SteppingState"}:
            parameters = inspect.signature(getattr(module, name)).parameters.values()
            by_name = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
            assert by_name == BY_NAME.get(name, []), name
            assert not any(p.kind is p.POSITIONAL_ONLY for p in parameters), name


PLAN = M([3, 5], [1.0, 2.0, 3.0])
STEPS = [
    (3, 5), range(3, 6, 2), collections.deque([3, 5]), omegaconf.OmegaConf.create([3, 5]), [3.0, 5.0], np.array([3.0, 5.0]),
    [np.int64(3), np.uint8(5)], np.array([3, 5], np.uint16), jnp.array([3, 5]), [jnp.int32(3), 5],
]  # fmt: skip
LEVELS = [
    [1, 2, 3], range(1, 4), omegaconf.OmegaConf.create([1.0, 2, 3]), (1.0, 2, np.float64(3)), np.arange(1, 4),
    jnp.arange(1.0, 4.0), jnp.arange(1, 4, dtype=jnp.bfloat16),
]  # fmt: skip
RAMP, WARMED = M([3], [1, 2], interpolate=[True]), M([9], [1, 2], warmup_steps=4)
TAKEN = [
    *((functools.partial(M, steps, levels), PLAN) for steps, levels in product(STEPS, LEVELS)),
    *((functools.partial(M, none, [1], True), M([], [1])) for none in ((), np.array([]), jnp.array([], jnp.int32))),
    (lambda: M([3], [1, 2], np.True_), RAMP), (lambda: M([3], [1, 2], interpolate=jnp.array(True)), RAMP),
    (lambda: jit(lambda i: M([3], [1, 2], interpolate=i))(True), RAMP),
    (lambda: jit(lambda i: M([3, 5], [1, 2, 3], interpolate=[i, True]))(True), M([3, 5], [1, 2, 3], interpolate=True)),
    (lambda: jit(lambda b, r: M([b, 2 * b], [r, r / 4, 0.001]))(10, 0.5), M([10, 20], [0.5, 0.125, 0.001])),
    *((functools.partial(M, [9], [1, 2], warmup_steps=n), WARMED) for n in (np.int64(4), jnp.int32(4), 4.0, np.float32(4))),
    (lambda: M([9], [1, 2], warmup_init_value=0.5), M([9], [1, 2])),
    (lambda: o.join([S, S], np.array([7])), o.join([S, S], [7])), (lambda: o.join([S, S], jnp.array([7])), o.join([S, S], [7])),
    (lambda: S * 0, S.replace(rates=np.zeros(4))),
]  # fmt: skip


@pytest.mark.parametrize(("call", "expected"), TAKEN)
def test_what_is_meant_is_taken(call, expected):
    assert same(call(), expected)


def test_the_ends_of_what_is_taken():
    assert M([2**31 - 1], [1, 2]).boundaries[0] == 2**31 - 1
    largest = float(np.finfo(np.float32).max)
    assert M([5], [-largest, largest])(7) == (M([], [1.0]) * largest)(7) == largest
    first = M([5], [0.1, 0.01], warmup_steps=1, warmup_init_value=0.02)
    assert [first(0), first(1)] == [np.float32(0.02), np.float32(0.1)]


@pytest.mark.parametrize("dtype", [">i2", ">i4", ">i8", ">f2", ">f4", ">f8"])
def test_bytes_in_the_other_order(dtype):
    """Which a program that is compiled already would read wrongly."""
    counts = np.array([5, 15, 25])
    assert S(counts).tolist() == S(counts.astype(dtype)).tolist()
    if "i" in dtype:
        moved = S.replace(boundaries=np.array([5, 10, 20], dtype))
        assert moved(counts).tolist() == S(counts).tolist()
