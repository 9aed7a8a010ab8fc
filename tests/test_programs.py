"""What whole programs do with a schedule: configuration, transfer guards, export, maps over functions."""

import copy
import dataclasses
import pickle
from typing import Any

import chex
import equinox as eqx
import hydra.utils
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pydantic
import pytest
from flax import nnx
from jax import export
from omegaconf import OmegaConf

from optax_stepping import (
    SteppingSchedule,
    as_function,
    describe,
    get_state,
    join,
    manual_stepping,
    pad,
    scale_by_stepping,
    set_schedule,
    shift,
    stack,
    stretch,
    to_dict,
    unpad,
    unstack,
)

PLAN = manual_stepping([4, 8], [0.25, 0.5, 0.125], True)
STATE = scale_by_stepping(PLAN).init(None)
COUNTS = np.arange(12)


@dataclasses.dataclass
class Config:
    lr: Any


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    lr: SteppingSchedule


CONFIGURED = {
    "asdict": lambda: dataclasses.asdict(Config(PLAN))["lr"],
    "astuple": lambda: dataclasses.astuple(Config(PLAN))[0],
    "deepcopy": lambda: copy.deepcopy(Config(PLAN)).lr,
    "pickle": lambda: pickle.loads(pickle.dumps(Config(PLAN))).lr,
    "OmegaConf": lambda: OmegaConf.create({"lr": PLAN}, flags={"allow_objects": True}).lr,
    "pydantic": lambda: Model(lr=PLAN).model_dump()["lr"],
    "copy.replace": lambda: Config(PLAN.__replace__(rates=PLAN.rates)).lr,
}


@pytest.mark.parametrize("how", CONFIGURED)
def test_a_configured_schedule_trains(how):
    schedule = CONFIGURED[how]()
    chex.assert_trees_all_equal(schedule(COUNTS), PLAN(COUNTS))
    optimizer = optax.sgd(schedule)
    updates, _ = optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)))
    chex.assert_trees_all_equal(updates, -PLAN(0) * jnp.ones(2))


@pytest.mark.parametrize(
    ("target", "argument"),
    [("optax.sgd", "learning_rate"), ("optax_stepping.scale_by_stepping", "schedule")],
)
def test_hydra_hands_a_schedule_on(target, argument):
    optimizer = hydra.utils.instantiate({"_target_": target}, **{argument: PLAN})
    updates, _ = optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)))
    chex.assert_trees_all_equal(updates, -PLAN(0) * jnp.ones(2))


EDITS = {
    "manual_stepping": lambda: manual_stepping([4, 8], [0.25, 0.5, 0.125], True),
    "*": lambda: 2 * PLAN,
    "* array": lambda: PLAN * np.float32(0.5),
    "/": lambda: PLAN / 3,
    "replace": lambda: PLAN.replace(rates=[0.1, 0.2, 0.3]),
    "shift": lambda: shift(PLAN, 3),
    "stretch": lambda: stretch(PLAN, 1.5),
    "join": lambda: join([PLAN, PLAN], [6]),
    "stack": lambda: stack([PLAN, manual_stepping([], [1])]),
    "unstack": lambda: unstack(stack([PLAN, PLAN]))[1],
    "pad": lambda: pad(PLAN, 7),
    "unpad": lambda: unpad(pad(PLAN, 7)),
    "set_schedule": lambda: set_schedule(STATE, PLAN / 2),
    "describe": lambda: describe(get_state(STATE)),
    "to_dict": lambda: to_dict(PLAN),
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("where", ["eager", "inside jit"])
def test_edits_under_a_transfer_guard(name, where):
    expected, found = EDITS[name](), []
    with jax.transfer_guard("disallow"):
        if where == "eager":
            found.append(EDITS[name]())
        elif name == "set_schedule":  # copies, which are made when the program runs
            found.append(jax.jit(EDITS[name])())
        else:
            jax.jit(lambda: found.append(EDITS[name]()))()
    assert not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(found))
    if name in ("describe", "to_dict"):
        assert found == [expected]
    else:
        chex.assert_trees_all_equal(*found, expected)


def test_a_function_is_one_leaf():
    """Of a tree of functions that a trainer maps over, as Kauldron's ``schedules``."""
    schedules = {"lr": as_function(PLAN), "decay": lambda count: 0.1 * count}
    rates = jax.tree.map(lambda schedule: float(schedule(8)), schedules)
    assert rates == {"lr": 0.125, "decay": 0.8}


def test_a_function_is_an_attribute_of_an_nnx_module():
    class Layer(nnx.Module):
        def __init__(self):
            self.rate = as_function(PLAN)
            self.weight = nnx.Param(jnp.ones(2))

        def __call__(self, count):
            return self.rate(count) * self.weight[...]

    layer = Layer()
    chex.assert_trees_all_equal(nnx.jit(lambda m, c: m(c))(layer, 8), 0.125 * jnp.ones(2))
    assert len(jax.tree.leaves(nnx.state(layer))) == 1


def test_a_function_in_an_equinox_module_is_not_trained():
    class Layer(eqx.Module):
        rate: Any
        weight: jax.Array

    def loss(layer):
        return jnp.sum(layer.rate(8) * layer.weight)

    layer = Layer(as_function(PLAN), jnp.ones(2))
    gradient = eqx.filter_jit(eqx.filter_grad(loss))(layer)
    chex.assert_trees_all_equal(jax.tree.leaves(gradient), [0.125 * jnp.ones(2)])


def test_a_function_is_copied_pickled_and_compared():
    function = as_function(PLAN)
    assert function == as_function(PLAN)
    assert {function: 1}[as_function(PLAN)] == 1
    for same in (copy.deepcopy(function), pickle.loads(pickle.dumps(function))):
        assert same(8) == 0.125
    assert jax.jit(function)(8) == 0.125


@pytest.mark.parametrize("num_stages", [3, 16, 45, 200])
def test_export_with_a_symbolic_number_of_counts(num_stages):
    schedule = manual_stepping(range(1, num_stages), np.linspace(1, 2, num_stages))
    counts = jax.ShapeDtypeStruct(export.symbolic_shape("k"), jnp.int32)
    exported = export.export(jax.jit(lambda s, c: s(c)))(schedule, counts)
    for k in (1, 5, 1000):
        counts = jnp.arange(k, dtype=jnp.int32)
        chex.assert_trees_all_equal(exported.call(schedule, counts), schedule(counts))
