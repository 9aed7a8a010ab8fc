"""Malformed calls over the whole public surface: each is refused by name, and changes nothing."""

import inspect

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optax_stepping as o

pytestmark = pytest.mark.not_under("JAX_ENABLE_X64", reason="names float32")

T, V = TypeError, ValueError
S = o.manual_stepping([10, 20], [0.1, 0.01, 0.001], warmup_steps=5)
BATCH = o.stack([S, S])
CHAIN = optax.chain(optax.scale_by_adam(), o.scale_by_stepping(S)).init(jnp.zeros(2))
TWO = {"encoder": o.scale_by_stepping(S).init(None), "decoder": o.scale_by_stepping(S).init(None)}
MANY = optax.sgd(0.1).init(jnp.zeros(2))
NAN, INF = float("nan"), float("inf")
KEYS = jax.random.split(jax.random.key(0))
NAMES = {name: getattr(o, name) for name in o.__all__} | {
    name: getattr(o.interop, name) for name in o.interop.__all__
}
NAMES |= globals()

# The call, the kind of error, and what its message has to hold: the argument and the value.
CALLS = [
    # manual_stepping
    ("manual_stepping([5], [0.1])", V, "rates", "1 rates for 1 boundaries", "write 2"),
    ("manual_stepping([5], [])", V, "rates"),
    ("manual_stepping([5], 0.1)", T, "rates", "0.1 of type float"),
    ("manual_stepping(5, [0.1, 0.2])", T, "boundaries", "5 of type int"),
    ("manual_stepping('5', [0.1, 0.2])", T, "boundaries", "'5' of type str"),
    ("manual_stepping(b'5', [0.1, 0.2])", T, "boundaries", "b'5' of type bytes"),
    ("manual_stepping({5}, [0.1, 0.2])", T, "boundaries", "{5} of type set"),
    ("manual_stepping(iter([5]), [0.1, 0.2])", T, "boundaries", "iterator"),
    ("manual_stepping([5.5], [0.1, 0.2])", T, "boundaries[0]", "5.5"),
    ("manual_stepping([NAN], [0.1, 0.2])", T, "boundaries[0]", "nan"),
    ("manual_stepping([INF], [0.1, 0.2])", T, "boundaries[0]", "inf"),
    ("manual_stepping([True], [0.1, 0.2])", T, "boundaries[0]", "True"),
    ("manual_stepping([[5]], [0.1, 0.2])", T, "boundaries[0]", "[5]"),
    ("manual_stepping([5j], [0.1, 0.2])", T, "boundaries[0]", "5j"),
    ("manual_stepping([0], [0.1, 0.2])", V, "boundaries[0]", "0"),
    ("manual_stepping([-5], [0.1, 0.2])", V, "boundaries[0]", "-5"),
    ("manual_stepping([5, 5], [1, 2, 3])", V, "boundaries[1]", "5"),
    ("manual_stepping([5, 4], [1, 2, 3])", V, "boundaries[1] = 4", "boundaries[0] = 5"),
    ("manual_stepping([2**31], [1, 2])", V, "boundaries[0]", "2147483648"),
    ("manual_stepping([10**400], [1, 2])", V, "boundaries[0]"),
    ("manual_stepping(np.ones((2, 2), int), [1, 2])", V, "boundaries", "(2, 2)"),
    ("manual_stepping(np.array(['5']), [1, 2])", T, "boundaries", "'5'"),
    ("manual_stepping(np.array([None]), [1, 2])", T, "boundaries", "None"),
    ("manual_stepping([5], [0.1, NAN])", V, "rates[1]", "nan"),
    ("manual_stepping([5], [INF, 0.1])", V, "rates[0]", "inf"),
    ("manual_stepping([5], [1e39, 0.1])", V, "rates[0]", "1e+39"),
    ("manual_stepping([5], [10**400, 0.1])", V, "rates[0]"),
    ("manual_stepping([5], [1e-50, 0.1])", V, "rates[0]", "1e-50"),
    ("manual_stepping([5], ['a', 0.1])", T, "rates[0]", "'a'"),
    ("manual_stepping([5], [None, 0.1])", T, "rates[0]", "None"),
    ("manual_stepping([5], [1j, 0.1])", T, "rates[0]", "1j"),
    ("manual_stepping([5], [[0.1], 0.1])", T, "rates[0]", "[0.1]"),
    ("manual_stepping([5], np.ones((2, 1)))", V, "rates", "(2, 1)"),
    ("manual_stepping([5], [lambda c: c, 0.1])", T, "rates[0]", "lambda"),
    ("manual_stepping([5], [0.1, 0.2], 1)", T, "warmup", "1 of type int"),
    ("manual_stepping([5], [0.1, 0.2], None)", T, "warmup", "None"),
    ("manual_stepping([5], [0.1, 0.2], True, warmup_steps=3)", V, "warmup_steps=3"),
    ("manual_stepping([5], [0.1, 0.2], warmup_steps=5)", V, "warmup_steps = 5"),
    ("manual_stepping([5], [0.1, 0.2], warmup_steps=-1)", V, "warmup_steps", "-1"),
    ("manual_stepping([5], [0.1, 0.2], warmup_steps=2.5)", T, "warmup_steps", "2.5"),
    ("manual_stepping([5], [0.1, 0.2], warmup_steps='2')", T, "warmup_steps", "'2'"),
    ("manual_stepping([5], [0.1, 0.2], warmup_steps=[2])", T, "warmup_steps", "[2]"),
    ("manual_stepping([5], [0.1, 0.2], warmup_steps=2, warmup_init_value=NAN)", V, "warmup_init_value", "nan"),
    ("manual_stepping([5], [0.1, 0.2], warmup_steps=2, warmup_init_value=None)", T, "warmup_init_value", "None"),
    ("manual_stepping([5], [0.1, 0.2], warmup_steps=2, warmup_init_value=[1])", T, "warmup_init_value", "[1]"),
    ("manual_stepping([5], [0.1, 0.2], interpolate=[True, False])", V, "interpolate", "2 for 1"),
    ("manual_stepping([5], [0.1, 0.2], interpolate='yes')", T, "interpolate", "'yes'"),
    ("manual_stepping([5], [0.1, 0.2], interpolate=[1])", T, "interpolate[0]", "1"),
    ("manual_stepping(np.array([5], 'm8[ns]'), [1, 2])", T, "boundaries", "timedelta64[ns]"),
    ("manual_stepping([np.datetime64(5, 'ns')], [1, 2])", T, "boundaries[0]", "datetime64[ns]"),
    ("manual_stepping(np.ma.array([5], mask=[True]), [1, 2])", T, "boundaries", "MaskedArray"),
    ("manual_stepping(memoryview(b'5'), [1, 2])", T, "boundaries", "memoryview"),
    ("manual_stepping([5], KEYS)", T, "rates", "key<"),
    ("manual_stepping([5], [0.1, KEYS[0]])", T, "rates[1]", "key<"),
    ("manual_stepping([5], [0.1, 10**5000])", V, "rates[1]", "cannot be shown"),
    ("manual_stepping([10**5000], [1, 2])", V, "boundaries[0]", "cannot be shown"),
    ("jax.jit(lambda r: manual_stepping([3], [r, NAN]))(0.1)", V, "rates[1]", "nan"),
    ("jax.jit(lambda b: manual_stepping([b, -5, 3], [1, 2, 3, 4]))(5)", V, "boundaries[1]", "-5"),
    ("jax.jit(lambda b: manual_stepping([b, 2**40], [1, 2, 3]))(5)", V, "boundaries[1]", "1099511627776"),
    ("jax.jit(lambda b: manual_stepping([b, 9], [1, 2, 3], warmup_steps=9))(5)", V, "warmup_steps = 9", "boundaries[1] = 9"),
    ("jax.jit(lambda b: manual_stepping(b, [0.1, 0.2]))(jnp.array([0.5]))", T, "boundaries", "float32"),
    ("jax.jit(lambda b: manual_stepping(b, [0.1, 0.2]))(jnp.array([5, 6]))", V, "rates", "2 rates for 2"),
    ("jax.jit(lambda b: manual_stepping([b, b], [0.1, 0.2]))(5)", V, "rates", "2 rates for 2"),
    ("jax.jit(lambda r: manual_stepping([5], r))(jnp.array([1j, 2]))", T, "rates", "complex64"),
    ("jax.jit(lambda w: manual_stepping([5], [1, 2], warmup_steps=w))(0.5)", T, "warmup_steps", "float32"),
    ("jax.jit(lambda w: manual_stepping([5], [1, 2], w))(True)", T, "warmup"),
    ("jax.jit(lambda i: manual_stepping([5], [1, 2], interpolate=i))(1)", T, "interpolate", "int32"),
    ("jax.jit(lambda i: manual_stepping([5], [1, 2], interpolate=[i]))(1)", T, "interpolate", "int32"),
    # a call
    ("S('3')", T, "count", "'3' of type str"),
    ("S(None)", T, "count", "None"),
    ("S([3])", T, "count", "[3] of type list"),
    ("S((3,))", T, "count", "(3,) of type tuple"),
    ("S(True)", T, "count", "bool"),
    ("S(3j)", T, "count", "3j of type complex"),
    ("S(np.array(['a']))", T, "count", "<U1"),
    ("S(np.array([None]))", T, "count", "object"),
    ("S(np.datetime64('2020'))", T, "count", "datetime64"),
    ("S(jnp.array([True]))", T, "count", "bool"),
    ("S(S)", T, "count", "of type SteppingSchedule"),
    ("S(np.timedelta64(5, 'ns'))", T, "count", "timedelta64[ns]"),
    ("S(np.ma.array([5, 9]))", T, "count", "MaskedArray"),
    ("S(KEYS)", T, "count", "key<"),
    ("jax.jit(S)(True)", T, "count", "bool"),
    ("jax.vmap(S)(jnp.ones(3, bool))", T, "count", "bool"),
    ("BATCH(3)", V, "batch", "(2, 3)", "jax.vmap"),
    ("jax.jit(lambda s: s(3))(BATCH)", V, "batch", "(2, 3)"),
    ("S.replace(rates=jnp.ones(2))(3)", V, "rates", "(2,)"),
    ("S.replace(boundaries=S.boundaries.astype(float))(3)", T, "boundaries", "float32"),
    ("S.replace(ramps=jnp.zeros(3))(3)", T, "ramps", "float32"),
    ("S.replace(rates=jnp.ones(4) > 0)(3)", T, "rates", "bool"),
    ("S.replace(boundaries=np.array([1, 2, 2**40]))(3)", V, "boundaries", "1099511627776"),
    ("S.replace(rates=['a', 0.1])", T, "rates", "<U"),
    ("S.replace(rates=[[0.1], 0.1])", T, "rates", "[[0.1], 0.1]"),
    ("S.replace(rates=None)", T, "rates", "None"),
    ("S.replace(rates=np.ma.array([1, 2]))", T, "rates", "MaskedArray"),
    ("S.replace(boundaries=[5, np.timedelta64(9, 'ns')])", T, "boundaries[1]", "timedelta64[ns]"),
    ("S.replace(rates=KEYS)", T, "rates", "key<"),
    ("jax.jit(lambda r: S.replace(rates=[r, 0.1]))(0.1)", T, "rates", "jnp.stack"),
    # arithmetic
    ("S * 'a'", T, "SteppingSchedule"),
    ("S * None", T, "NoneType"),
    ("S * True", T, "bool"),
    ("S * 1j", T, "complex"),
    ("S * [1]", T, "SteppingSchedule"),
    ("S * S", T, "SteppingSchedule"),
    ("S * NAN", V, "factor", "nan"),
    ("S * INF", V, "factor", "inf"),
    ("S * 1e39", V, "factor", "1e+39", "float32"),
    ("S * 1e38 * 1e3", V, "factor", "1000.0", "rates[1]"),
    ("S * 1e-45", V, "factor", "1e-45", "rates[1]"),
    ("S * np.ones(3)", V, "factor", "(3,)"),
    ("S * jnp.ones(3)", V, "factor", "(3,)"),
    ("np.ones(3) * S", V, "factor", "(3,)"),
    ("as_function(0.1)", T, "schedule", "0.1"),
    ("S * 10**400", V, "factor", "100000"),
    ("S * np.timedelta64(5, 'ns')", T, "factor", "timedelta64[ns]"),
    ("S * KEYS[0]", T, "factor", "key<"),
    ("jax.jit(lambda f: S * f)(1j)", T, "factor", "complex64"),
    ("jax.jit(lambda s: s * 1e39)(S)", V, "factor", "1e+39"),
    ("jax.jit(lambda s: s / 0)(S)", V, "divisor", "0"),
    ("S / 0", V, "divisor must not be 0"),
    ("S / 'a'", T, "str"),
    ("S / NAN", V, "divisor", "nan"),
    ("2 / S", T, "SteppingSchedule"),
    ("S + 1", T, "SteppingSchedule"),
    ("S - S", T, "SteppingSchedule"),
    ("-S", T, "SteppingSchedule"),
    ("S ** 2", T, "SteppingSchedule"),
    ("S < S", T, "SteppingSchedule"),
    ("S[0]", T, "SteppingSchedule"),
    ("len(S)", T, "SteppingSchedule"),
    ("list(S)", T, "SteppingSchedule"),
    # join
    ("join([], [])", V, "schedules"),
    ("join(S, [5])", T, "schedules", "SteppingSchedule"),
    ("join([S, 0.1], [5])", T, "schedules[1]", "0.1"),
    ("join([S, lambda c: 0.1], [5])", T, "schedules[1]", "function"),
    ("join([S, S], [])", V, "boundaries", "0 for 2"),
    ("join([S, S], [5, 6])", V, "boundaries", "2 for 2"),
    ("join([S, S], 5)", T, "boundaries", "5 of type int"),
    ("join([S, S], [5.5])", T, "boundaries[0]", "5.5"),
    ("join([S, S], [-5])", V, "boundaries[0]", "-5"),
    ("join([S, S], [None])", T, "boundaries[0]", "None"),
    ("join([S, S, S], [5, 5])", V, "boundaries[1] = 5"),
    ("join([S, S], [2**31])", V, "boundaries[0]", "2147483648"),
    ("join([S, BATCH], [5])", V, "schedules[1]", "(2,)"),
    ("jax.jit(lambda b: join([S, S], b).rates)([5])", V, "boundaries"),
    ("jax.jit(lambda s: join([s, S], [5]).rates)(S)", V, "schedules[0]", "traced"),
    # shift
    ("shift(S, 2.5)", T, "steps", "2.5"),
    ("shift(S, None)", T, "steps", "None"),
    ("shift(S, [1])", T, "steps", "[1]"),
    ("shift(S, 2**31)", V, "steps", "2147483648"),
    ("shift(S, -(2**40))", V, "steps", "-1099511627776"),
    ("shift(S, np.ones(2, int))", V, "steps", "(2,)"),
    ("shift(0.1, 5)", T, "schedule", "0.1"),
    ("shift(BATCH, 5)", V, "schedule", "(2,)"),
    ("jax.jit(lambda n: shift(S, n).rates)(5)", V, "steps", "traced"),
    # stretch
    ("stretch(0.1, 5)", T, "schedule", "0.1"),
    ("stretch(S, 0)", V, "factor", "0 of type int"),
    ("stretch(S, -0.5)", V, "factor", "-0.5"),
    ("stretch(S, True)", T, "factor", "True"),
    ("stretch(S, NAN)", V, "factor", "nan"),
    ("stretch(S, INF)", V, "factor", "inf"),
    ("stretch(S, '2')", T, "factor", "'2'"),
    ("stretch(S, 2j)", T, "factor", "2j"),
    ("stretch(S, None)", T, "factor", "None"),
    ("stretch(S, [2])", T, "factor", "[2]"),
    ("stretch(S, np.ones(2))", V, "factor", "(2,)"),
    ("stretch(S, 2**27)", V, "factor", "134217728", "boundaries[2] = 20 beyond 2147483647"),
    ("stretch(S, 10**400)", V, "factor", "1000000"),
    ("stretch(S, 0.1)", V, "factor", "0.1", "boundaries[0] = 5 on step 0 and the first stage on 0"),
    ("stretch(S, 0.125)", V, "boundaries[1] = 10 on step 1 and boundaries[0] = 5 on 1"),
    ("stretch(stack([stretch(S, 9), S]), 0.1)", V, "boundaries[1, 0] = 5 on step 0 and the first"),
    ("stretch(S.replace(boundaries=[5, 0, 9]), 2)", V, "boundaries[1] = 0 on step 0 and boundaries[0] = 5 on 10"),
    ("jax.jit(lambda f: stretch(S, f).rates)(5)", V, "factor", "traced"),
    ("jax.jit(lambda s: stretch(s, 5).rates)(S)", V, "schedule", "traced"),
    # stack, unstack, pad, unpad
    ("stack([])", V, "schedules"),
    ("stack(S)", T, "schedules", "SteppingSchedule"),
    ("stack(iter([S]))", T, "schedules", "iterator"),
    ("stack([S, 0.1])", T, "schedules[1]", "0.1"),
    ("stack([S, BATCH])", V, "schedules[1]", "(2,)"),
    ("stack([S], num_stages=3)", V, "num_stages", "3", "4"),
    ("stack([S], num_stages=0)", V, "num_stages", "0"),
    ("stack([S], num_stages=4.5)", T, "num_stages", "4.5"),
    ("stack([S], num_stages=True)", T, "num_stages", "True"),
    ("stack([S], num_stages='8')", T, "num_stages", "'8'"),
    ("unstack(S)", V, "batch", "single"),
    ("unstack([S])", T, "batch", "list"),
    ("jax.jit(lambda b: unstack(b)[0].rates)(BATCH)", V, "batch", "traced"),
    ("pad(S, 3)", V, "num_stages", "3"),
    ("pad(S, None)", T, "num_stages", "None"),
    ("pad(S, 2**31)", V, "num_stages", "2147483648"),
    ("pad(0.1, 5)", T, "schedule", "0.1"),
    ("pad(S.replace(rates=[0.1, 0.2]), 5)", V, "schedule", "(2,)"),
    ("pad(SteppingSchedule([5], [0.1, 0.2], [False]), 5)", T, "boundaries", "[5] of type list"),
    ("stack([S, SteppingSchedule(None, S.rates, S.ramps)])", T, "schedules[1]", "None"),
    ("unpad(BATCH)", V, "schedule", "(2,)"),
    ("unpad(None)", T, "schedule", "None"),
    ("jax.jit(lambda s: unpad(s).rates)(S)", V, "schedule", "traced"),
    # in the optimizer state
    ("stateful(0.1)", T, "schedule", "0.1"),
    ("stateful(stateful(S))", T, "schedule", "StatefulStepping"),
    ("stateful(S)(3)", T, "SteppingState", "3"),
    ("optax.sgd(stateful(S)).update(jnp.zeros(2), MANY)", T, "state"),
    ("scale_by_stepping(0.1)", T, "schedule", "0.1"),
    ("scale_by_stepping([S])", T, "schedule", "list"),
    ("scale_by_stepping(optax.constant_schedule(0.1))", T, "schedule", "function"),
    ("scale_by_stepping(S, flip_sign=1)", T, "flip_sign", "1"),
    ("scale_by_stepping(S).update(jnp.zeros(2), None)", T, "SteppingState", "None"),
    ("scale_by_stepping(S).update(jnp.zeros(2), MANY)", T, "SteppingState"),
    ("get_state(None)", V, "opt_state"),
    ("get_state(MANY)", V, "opt_state", "scale_by_stepping"),
    ("get_state(TWO)", V, "name", "opt_state['encoder']", "opt_state['decoder']"),
    ("get_state(TWO, 'head')", V, "name", "'head'", "opt_state['encoder']"),
    ("get_state(TWO, 3)", T, "name", "3"),
    ("get_state(TWO, ['encoder'])", T, "name", "['encoder']"),
    ("get_state(TWO, ('encoder', 'decoder'))", V, "name", "('encoder', 'decoder')"),
    ("set_schedule(CHAIN, 0.1)", T, "schedule", "0.1"),
    ("set_schedule(CHAIN, None)", T, "schedule", "None"),
    ("set_schedule(CHAIN, BATCH)", V, "schedule", "(2,)"),
    ("set_schedule(CHAIN, pad(S, 9))", V, "schedule", "9 stages", "pad"),
    ("set_schedule(TWO, S)", V, "name", "opt_state['encoder']"),
    ("set_schedule(CHAIN, S, grow=1)", T, "grow", "1 of type int"),
    ("set_schedule(MANY, S)", V, "opt_state"),
    # for people
    ("describe(BATCH)", V, "schedule", "(2,)"),
    ("describe(0.1)", T, "schedule", "0.1"),
    ("describe(S, 0)", V, "total_steps", "0"),
    ("describe(S, 2.5)", T, "total_steps", "2.5"),
    ("describe(S, '90')", T, "total_steps", "'90'"),
    ("describe(S, all_stages=1)", T, "all_stages", "1"),
    ("jax.jit(lambda s: describe(s))(S)", V, "schedule", "traced"),
    ("plot(S, 0)", V, "total_steps", "0"),
    ("plot(S, None)", T, "total_steps", "None"),
    ("plot(0.1, 50)", T, "schedule", "0.1"),
    ("plot(S, 50, ax=5)", T, "ax must be matplotlib's Axes", "5 of type int"),
    ("plot(BATCH, 50, label=['one'])", V, "label", "2"),
    ("to_dict(0.1)", T, "schedule", "0.1"),
    ("to_dict(get_state(CHAIN))", T, "schedule", "SteppingState", "state.schedule"),
    ("to_dict(BATCH)", V, "schedule", "(2,)", "unstack"),
    ("jax.jit(lambda s: to_dict(s)['rates'])(S)", V, "schedule", "traced"),
    ("to_dict(S.replace(rates=S.rates * jnp.nan))", V, "rates[0]", "nan"),
    ("to_dict(S.replace(boundaries=[5, 4, 9]))", V, "boundaries[1] = 4", "boundaries[0] = 5"),
    ("check(0.1)", T, "schedule", "0.1"),
    ("check(S.replace(rates=S.rates + jnp.inf))", V, "rates[0]", "inf"),
    # importers
    ("from_table([])", V, "rates", "(0,)"),
    ("from_table([0.1, NAN])", V, "rates", "nan at count 1"),
    ("from_table('a')", T, "rates", "'a'"),
    ("from_table([0.1], tolerance=0)", V, "tolerance", "0"),
    ("from_table([0.1], num_stages=0)", V, "num_stages", "0"),
    ("from_function(3, total_steps=9)", T, "function", "3"),
    ("from_function(S, total_steps=0)", V, "total_steps", "0"),
    ("from_function(lambda c: 'a', total_steps=9)", T, "function", "'a'"),
    ("from_tf_object_detection(3)", T, "config", "3"),
    ("from_tf_object_detection('nonsense {')", V, "config"),
    ("from_tf_object_detection('nowhere.config')", V, "nowhere.config"),
    ("from_torch(3, total_steps=9)", T, "scheduler", "3 of type int", "from_function"),
    ("from_detectron2(3)", T, "cfg", "3"),
    ("from_detectron2('nowhere.yaml')", V, "nowhere.yaml"),
    ("from_mmengine(3, base_lr=0.1)", T, "param_scheduler", "3"),
    ("from_mmengine([], base_lr=0.1, steps_per_epoch=0)", V, "steps_per_epoch", "0"),
    ("from_mmengine([], base_lr='a')", T, "base_lr", "'a'"),
    ("from_mmengine([], base_lr=1e39)", V, "base_lr", "1e+39"),
    ("from_mmengine([], base_lr=0.1, total_steps=2.5)", T, "total_steps", "2.5"),
]  # fmt: skip


def everything():
    return S, BATCH, CHAIN, TWO, MANY


BEFORE = jax.tree.map(np.array, everything())


@pytest.mark.parametrize(("call", "error", "words"), [(c, e, w) for c, e, *w in CALLS])
def test_a_malformed_call(call, error, words):
    with pytest.raises(error) as refusal:
        eval(call, dict(NAMES))
    assert type(refusal.value) is error
    message = str(refusal.value)
    assert all(word in message for word in words), message
    assert len(message) < 600, message
    assert "\n" not in message, message
    chex.assert_trees_all_equal(everything(), BEFORE)


FUNCTIONS = {*o.__all__, *o.interop.__all__} - {"interop", "SteppingSchedule", "SteppingState"}


def test_there_are_enough():
    calls = [call for call, *_ in CALLS]
    assert len(set(calls)) == len(calls) >= 150
    for name in FUNCTIONS:
        assert any(f"{name}(" in call for call in calls), name


BY_NAME = {
    "describe": ["all_stages"],
    "from_function": ["total_steps", "tolerance", "num_stages"],
    "from_table": ["tolerance", "num_stages"],
    "manual_stepping": ["warmup_steps", "warmup_init_value", "interpolate"],
    "scale_by_stepping": ["flip_sign"],
    "set_schedule": ["grow"],
    "stack": ["num_stages"],
    "from_detectron2": ["tolerance"],
    "from_mmengine": ["base_lr", "steps_per_epoch", "total_steps", "tolerance"],
    "from_tf_object_detection": ["total_steps", "tolerance"],
    "from_torch": ["total_steps", "param_group", "steps_per_epoch", "warmup", "tolerance"],
}


def test_what_is_given_by_name_only():
    for name in FUNCTIONS:
        parameters = inspect.signature(NAMES[name]).parameters.values()
        by_name = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        assert by_name == BY_NAME.get(name, []), name
        assert not any(p.kind is p.POSITIONAL_ONLY for p in parameters), name
