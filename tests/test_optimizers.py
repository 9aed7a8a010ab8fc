"""In every Optax optimizer, alone, injected and composed, a schedule does what a closure does.

The whole program of a step is compared for all of them here. Trainings take long, op by op: a few
are here, tests/slow/test_every_optimizer.py has the others.
"""

import inspect
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.extend.core import Primitive
from optax import contrib

from optax_stepping import manual_stepping

STEPS = 8
DTYPES = pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
SCHEDULE = manual_stepping(
    [3, 4, 6], [0.0317, 0.05, 0.01, 0.005], warmup_steps=2, warmup_init_value=0.0071
)
RATES = np.asarray(jax.vmap(SCHEDULE)(jnp.arange(STEPS)))
REQUIRED = {
    # Its line search comes after the rate, and takes long, op by op.
    "lbfgs": {"linesearch": None},
    "dpsgd": {"l2_norm_clip": 1.0, "noise_multiplier": 0.1, "seed": 0},
    "noisy_sgd": {"key": jax.random.key(0)},
    "schedule_free": {"base_optimizer": optax.sgd(1.0)},
}
# These take a number and no schedule, whichever it is; one goes in by injection.
NUMBER_ONLY = {"optimistic_adam", "rprop", "scale_by_rprop", "sm3"}
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning"),
    pytest.mark.not_under("JAX_NUMPY_DTYPE_PROMOTION", reason="Optax raises floats to ints"),
]
op_by_op = pytest.mark.not_under("JAX_CHECK_TRACER_LEAKS", reason="takes hours, op by op")


def closure(count):
    """The same rates as a chain of comparisons with Python numbers."""
    rate = float(RATES[-1])
    for step, value in enumerate(RATES.tolist()):
        rate = jnp.where(count == step, value, rate)
    return rate


# Every public factory with a learning rate, by inspection of its signature.
FACTORIES = {
    name: factory
    for module in (optax, contrib)
    for name, factory in vars(module).items()
    if not name.startswith(("_", "scale_by_learning_rate"))
    and inspect.isfunction(factory)
    and "learning_rate" in inspect.signature(factory).parameters
}
OPTIMIZERS = {
    "chain": lambda rate: optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam(), optax.scale_by_learning_rate(rate)),
    "scale_by_schedule": lambda rate: optax.chain(optax.scale_by_adam(), optax.scale_by_schedule(lambda count: -rate(count))),
    "multi_transform": lambda rate: optax.multi_transform({"w": optax.adam(rate), "b": optax.sgd(0.1)}, {"w": "w", "b": "b"}),
    "partition": lambda rate: optax.partition(
        {"w": optax.inject_hyperparams(optax.sgd)(rate), "b": optax.sgd(rate)}, {"w": "w", "b": "b"}
    ),
    "MultiSteps": lambda rate: optax.MultiSteps(optax.adam(rate), every_k_schedule=2).gradient_transformation(),
    "apply_if_finite": lambda rate: optax.apply_if_finite(optax.adam(rate), 3),
    "masked": lambda rate: optax.masked(optax.sgd(rate), {"w": True, "b": False}),
    "join_schedules": lambda rate: optax.sgd(optax.join_schedules([optax.constant_schedule(0.1), rate], [2])),
    "join_schedules first": lambda rate: optax.sgd(optax.join_schedules([rate, optax.cosine_decay_schedule(0.05, 10)], [5])),
    "weight decay": lambda rate: optax.adamw(rate, weight_decay=rate),
    "inject several": lambda rate: optax.inject_hyperparams(optax.adamw)(
        learning_rate=rate, b1=lambda count: 0.5 + rate(count), b2=0.9, weight_decay=rate
    ),
}  # fmt: skip
for name, factory in FACTORIES.items():
    # Everything but the learning rate keeps its own kind of value.
    static = set(inspect.signature(factory).parameters) - {"learning_rate"}
    injected = optax.inject_hyperparams(factory, static_args=static)
    more = REQUIRED.get(name, {})
    for form, make in ((name, factory), (f"{name}, injected", injected)):
        OPTIMIZERS[form] = lambda rate, make=make, more=more: make(learning_rate=rate, **more)
TAKING_SCHEDULES = OPTIMIZERS.keys() - NUMBER_ONLY


INPUTS = np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)


def init_params(dtype):
    rng = np.random.default_rng(0)
    return {"w": jnp.asarray(rng.normal(size=(4, 3)), dtype), "b": jnp.zeros(3, dtype)}


def loss_fn(params):
    outputs = INPUTS.astype(params["w"].dtype) @ params["w"] + params["b"][None]
    return jnp.mean(jnp.square(outputs - 1).astype(jnp.float32)).astype(params["w"].dtype)


value_and_grad = jax.jit(jax.value_and_grad(loss_fn))


def make(name, rate):
    """The functions init and update, with all that any optimizer asks for."""
    optimizer = optax.with_extra_args_support(OPTIMIZERS[name](rate))

    def update(params, state, value, grads):
        extra = {"value": value, "grad": grads, "value_fn": loss_fn}
        if "lbfgs" not in name:
            extra |= {"loss": value, "obj_fn": loss_fn}
        if "dpsgd" in name:  # a gradient per example
            grads = jax.tree.map(lambda g: jnp.stack([g, 2 * g]), grads)
        return optimizer.update(grads, state, params, **extra)

    return optimizer.init, update


# A schedule in a program: one equation, of the type that the schedule returns.
RATE = Primitive("rate")
RATE.def_abstract_eval(lambda count, result: result)


def program(name, schedule, dtype):
    """The equations of the first step, without the addresses of objects."""

    def rate(count):
        return RATE.bind(count, result=jax.make_jaxpr(schedule)(count).out_avals[0])

    def step(params, value, grads):
        init, update = make(name, rate)
        return update(params, init(params), value, grads)

    params = init_params(dtype)
    equations = str(jax.make_jaxpr(step)(params, *value_and_grad(params)))
    assert " = rate[" in equations
    return re.sub(r" at 0x\w+", "", equations)


@DTYPES
@pytest.mark.parametrize("name", sorted(TAKING_SCHEDULES))
def test_the_program_is_the_one_with_a_closure(name, dtype):
    """But for the rate: the same equations read it, and it is of the same type."""
    assert program(name, SCHEDULE, dtype) == program(name, closure, dtype)


def jitted(schedule):
    """Schedules run as they do in eager code, also in an optimizer that runs op by op."""
    function = jax.jit(schedule)

    def rate(count):
        with jax.disable_jit(False):
            return function(count)

    return rate


def train(name, rate, dtype):
    """Params and state after all steps, and the injected rates that were used, if any.

    The optimizer runs op by op: which products and sums a compiler fuses depends on what stands
    beside them, and shows in the last bit.
    """
    init, update = make(name, rate)
    params = init_params(dtype)
    state, rates = init(params), []
    for _ in range(STEPS):
        value, grads = value_and_grad(params)
        with jax.disable_jit():
            updates, state = update(params, state, value, grads)
        rates.append(getattr(state, "hyperparams", {}).get("learning_rate", 0.0))
        params = optax.apply_updates(params, updates)
    return (params, state), np.stack(rates)


OURS, THEIRS = jitted(SCHEDULE), jitted(closure)


def assert_trained_as_with_a_closure(name, dtype):
    (ours, our_rates), (theirs, their_rates) = (train(name, rate, dtype) for rate in (OURS, THEIRS))
    chex.assert_trees_all_equal(ours, theirs, strict=True)
    np.testing.assert_array_equal(our_rates, their_rates)
    chex.assert_tree_all_finite(ours[0])
    if "injected" in name:
        np.testing.assert_array_equal(our_rates, np.asarray(RATES, dtype).astype(our_rates.dtype))


@op_by_op
@pytest.mark.parametrize(
    ("name", "dtype"),
    [("chain", jnp.float32), ("partition", jnp.bfloat16), ("adamw, injected", jnp.bfloat16)],
)
def test_some_trainings(name, dtype):
    assert_trained_as_with_a_closure(name, dtype)


def test_the_search_finds_the_optimizers():
    assert {"sgd", "adam", "adamw", "lion", "lamb", "prodigy", "muon"} <= FACTORIES.keys()
    assert NUMBER_ONLY | REQUIRED.keys() <= FACTORIES.keys()


@pytest.mark.parametrize("name", sorted(NUMBER_ONLY))
def test_what_takes_a_number_only_refuses_any_schedule(name):
    for schedule in (SCHEDULE, closure):
        with pytest.raises((TypeError, ValueError)):
            train(name, schedule, jnp.float32)
