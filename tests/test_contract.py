"""Whatever is done to a schedule function can be done to a schedule."""

import copy
import functools
import inspect
import pickle
import subprocess
import sys
import weakref

import chex
import cloudpickle
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState
from jax import export, lax
from oracle import enable_x64

from optax_stepping import SteppingSchedule, manual_stepping, scale_by_stepping, stack, stateful

OURS = manual_stepping([4, 8], [0.25, 0.5, 0.125], True)


def closure(count):
    """The same rates, as an Optax schedule."""
    ramp = optax.linear_schedule(0.25, 0.5, 4)
    steps = optax.piecewise_constant_schedule(0.5, {4: 0.25})
    return optax.join_schedules([ramp, steps], [4])(count)


def custom_vjp(schedule):
    @jax.custom_vjp
    def rate(count):
        return schedule(count)

    rate.defvjp(lambda count: (schedule(count), None), lambda _, g: (g,))
    return jax.grad(rate)(3.0)


USES = {
    "call": lambda s: s(3), "jit": lambda s: jax.jit(s)(3),
    "jit twice": lambda s: (jax.jit(s)(3), jax.jit(s)(5)),
    "jit of a partial": lambda s: jax.jit(functools.partial(s))(3),
    "vmap": lambda s: jax.vmap(s)(jnp.arange(12)), "pmap": lambda s: jax.pmap(s)(jnp.arange(2)),
    "grad": lambda s: jax.grad(s)(3.5) * 0, "value_and_grad": lambda s: jax.value_and_grad(s)(3.0)[0],
    "jacfwd": lambda s: jax.jacfwd(s)(9.0), "hessian": lambda s: jax.hessian(s)(9.0),
    "eval_shape": lambda s: jnp.zeros(jax.eval_shape(s, 5).shape),
    "eval_shape twice": lambda s: len([jax.eval_shape(s, 5), jax.eval_shape(s, 5)]),
    "make_jaxpr": lambda s: len(jax.make_jaxpr(s)(3).out_avals), "checkpoint": lambda s: jax.checkpoint(s)(3),
    "named_call": lambda s: jax.named_call(s, name="rate")(3),
    "cond": lambda s: lax.cond(True, s, lambda c: s(c + 1), 3),
    "switch": lambda s: lax.switch(0, [s, lambda c: 2 * s(c)], 3),
    "map": lambda s: lax.map(s, jnp.arange(12)),
    "scan": lambda s: lax.scan(lambda c, _: (c + 1, s(c)), 0, length=12)[1],
    "while_loop": lambda s: lax.while_loop(lambda c: s(c) < 0.5, lambda c: c + 1, 0),
    "vectorize": lambda s: jnp.vectorize(s)(jnp.arange(12).reshape(3, 4)),
    "pure_callback": lambda s: jax.pure_callback(
        lambda c: np.float32(s(c)), jax.ShapeDtypeStruct((), jnp.float32), 3
    ),
    "custom_vjp": custom_vjp, "export": lambda s: export.export(jax.jit(s))(jnp.int32(0)).call(jnp.int32(3)),
    "partial": lambda s: functools.partial(s, 3)(), "cache": lambda s: functools.cache(s)(3),
    "weakref": lambda s: weakref.ref(s)()(3), "dict key": lambda s: {s: 1}[s], "set": lambda s: len({s, s}),
    "copy": lambda s: copy.copy(s)(3), "deepcopy": lambda s: copy.deepcopy(s)(3),
    "cloudpickle": lambda s: pickle.loads(cloudpickle.dumps(s))(3),
    "signature": lambda s: "count" in inspect.signature(s).parameters,
    "format": lambda s: len("%s" % s) * 0,  # noqa: UP031
    "nnx.jit": lambda s: nnx.jit(s)(3), "eqx.filter_jit": lambda s: eqx.filter_jit(s)(3),
    "join_schedules": lambda s: optax.join_schedules([s, s], [6])(8),
    "scale_by_schedule": lambda s: optax.scale_by_schedule(s).update(
        jnp.ones(2), optax.scale_by_schedule(s).init(None)
    )[0],
    "inject_hyperparams": lambda s: (
        optax.inject_hyperparams(optax.sgd)(s).init(jnp.ones(2)).hyperparams["learning_rate"]
    ),
    "static argument": lambda s: [
        f(s, 3) for f in [jax.jit(chex.assert_max_traces(lambda f, c: f(c), n=1), static_argnums=0)] * 2
    ],
    "assert_max_traces": lambda s: jax.jit(chex.assert_max_traces(lambda c: s(c), n=1))(3),
    "tree of functions": lambda s: jax.tree.map(lambda f: f(3), {"a": getattr(s, "__call__", s)}),  # noqa: B004
}  # fmt: skip


@pytest.mark.not_under("JAX_NUMPY_DTYPE_PROMOTION", reason="Optax's closures mix ints and floats")
@pytest.mark.parametrize("use", USES)
def test_ours_and_a_closure(use):
    results = []
    for schedule in (OURS, closure):
        chex.clear_trace_counter()
        results.append(jax.tree.map(np.asarray, USES[use](schedule)))
    chex.assert_trees_all_equal(*results)


def test_jit_again_and_after_a_failure():
    """In a process of its own: what does not take weak references crashes it."""
    code = (
        "import jax, optax_stepping\n"
        "s = optax_stepping.manual_stepping([5], [0.1, 0.2])\n"
        "f = jax.jit(s); g = jax.jit(s); f(1); g(2)\n"
        "try: f('a')\n"
        "except TypeError: pass\n"
        "else: raise SystemExit('accepted')\n"
        "jax.eval_shape(s, 5); jax.eval_shape(s, 5)\n"
        "print(float(jax.jit(s)(7)))\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (process.returncode, process.stdout[:3]) == (0, "0.2"), process.stderr


def test_arithmetic():
    counts = jnp.arange(12)
    for scaled, factor in (
        (OURS * 2, 2), (2 * OURS, 2), (OURS / 2, 0.5), (np.float32(2) * OURS, 2), (jnp.float32(3) * OURS, 3),
    ):  # fmt: skip
        np.testing.assert_array_equal(scaled(counts), factor * OURS(counts))
    assert jax.jit(lambda f: (f * OURS)(9))(3.0) == 3 * OURS(9)
    assert jax.grad(lambda f: (OURS * f)(9))(1.0) == 0.125
    batch = stack([OURS, OURS])
    np.testing.assert_array_equal((batch * 2).rates, 2 * batch.rates)


@pytest.mark.parametrize(
    "make",
    [
        optax.sgd, optax.inject_hyperparams(optax.sgd), scale_by_stepping,
        lambda schedule: optax.inject_hyperparams(optax.sgd)(stateful(schedule)),
    ],
)  # fmt: skip
def test_a_train_state_made_inside_of_jit_steps_on(make):
    @jax.jit
    def create():
        tx = make(manual_stepping([4, 8], [0.25, 0.5, 0.125], True))
        return TrainState.create(apply_fn=None, params={"w": jnp.ones(2)}, tx=tx)

    # The optimizer is static in the state's type, as TrainState has it.
    state = create()
    for _ in range(3):
        state = state.apply_gradients(grads={"w": jnp.ones(2)})
    assert np.isfinite(state.params["w"]).all()


def test_counts_that_define_jax_array():
    class Count:
        def __jax_array__(self):
            return jnp.int32(9)

    assert OURS(Count()) == 0.125


def test_a_field_is_replaced_but_not_set():
    with pytest.raises(AttributeError, match=r"a schedule .*, got rates = .*replace\(rates="):
        OURS.rates = OURS.rates / 2
    with pytest.raises(AttributeError, match=r"a schedule .*, got del rates"):
        del OURS.rates
    assert OURS.replace(rates=jnp.array([1, 2, 3]))(5) == 2


WIDE = np.array([4, 2**31])


@pytest.mark.parametrize(
    "make",
    [
        lambda wide: OURS.replace(boundaries=wide),
        lambda wide: OURS.replace(boundaries=wide.astype(np.uint32)),
        lambda wide: OURS.replace(boundaries=wide.tolist()),
        lambda wide: SteppingSchedule(wide, OURS.rates, OURS.ramps),
        lambda wide: jax.tree.map(lambda leaf: wide if leaf.dtype == jnp.int32 else leaf, OURS),
        lambda wide: pickle.loads(pickle.dumps(OURS)).replace(boundaries=-wide - 1),
    ],
)
def test_boundaries_that_int32_cannot_hold_are_refused(make):
    with pytest.raises(ValueError, match=r"boundaries\[1\] must fit into int32"):
        make(WIDE)


def test_boundaries_of_other_widths_never_wrap():
    for dtype in (np.int64, np.uint32, np.uint64):
        last = OURS.replace(boundaries=np.array([4, 2**31 - 1], dtype))
        assert [last(2**31 - 2), last(2**31 - 1)] == [0.5, 0.125]
        assert manual_stepping([], [0.5]).replace(boundaries=np.array([], dtype))(3) == 0.5
    with enable_x64(True):
        wide = SteppingSchedule(jnp.asarray(WIDE), OURS.rates, OURS.ramps)
        with pytest.raises(ValueError, match="int32"):
            wide.replace(boundaries=wide.boundaries)
        assert wide(2**31 - 2) == jax.jit(wide)(2**31 - 2) == 0.5


def test_the_program_of_a_jitted_schedule_has_a_name():
    assert "module @jit_stepping_schedule" in jax.jit(OURS).lower(0).as_text()
