"""What whole programs do with a schedule: configuration, transfer guards, export, maps over functions."""

import copy
import dataclasses
import itertools
import pickle
from types import SimpleNamespace
from typing import Any

import chex
import equinox as eqx
import hydra.utils
import jax
import jax.numpy as jnp
import numpy as np
import pydantic
import pytest
from flax import nnx
from jax import export
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from omegaconf import OmegaConf
from oracle import shard_map

import optax_stepping as o

PLAN = o.manual_stepping([4, 8], [0.25, 0.5, 0.125], True)
STATE = o.scale_by_stepping(PLAN).init(None)
COUNTS = np.arange(12)


@dataclasses.dataclass
class Config:
    lr: Any


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    lr: o.SteppingSchedule


CONFIGURED = {
    "asdict": lambda: dataclasses.asdict(Config(PLAN))["lr"],
    "astuple": lambda: dataclasses.astuple(Config(PLAN))[0],
    "OmegaConf": lambda: OmegaConf.create({"lr": PLAN}, flags={"allow_objects": True}).lr,
    "pydantic": lambda: Model(lr=PLAN).model_dump()["lr"],
    "copy.replace": lambda: Config(PLAN.__replace__(rates=PLAN.rates)).lr,
}


@pytest.mark.parametrize("how", CONFIGURED)
def test_a_configured_schedule_trains(how):
    schedule = CONFIGURED[how]()
    chex.assert_trees_all_equal(schedule(COUNTS), PLAN(COUNTS))
    targets = {"optax.sgd": "learning_rate", "optax_stepping.scale_by_stepping": "schedule"}
    for target, argument in targets.items():
        optimizer = hydra.utils.instantiate({"_target_": target}, **{argument: schedule})
        updates, _ = optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)))
        chex.assert_trees_all_equal(updates, -PLAN(0) * jnp.ones(2))


class Halving(SimpleNamespace):
    """A scheduler with what from_torch looks for."""

    def step(self):
        self.last_epoch += 1
        self.optimizer.param_groups[0]["lr"] /= 2


def halving():
    optimizer = SimpleNamespace(param_groups=[{"params": [], "lr": 0.5}], step=print)
    return Halving(last_epoch=0, optimizer=optimizer)


TABLE = jnp.asarray(np.cos(np.arange(301) / 100), jnp.float32)
MADE = {
    "manual_stepping": lambda: o.manual_stepping([4, 8], [0.25, 0.5, 0.125], warmup_steps=2),
    "*": lambda: 2 * PLAN, "* array": lambda: PLAN * np.float32(0.5), "/": lambda: PLAN / 3,
    "replace": lambda: PLAN.replace(rates=[0.1, 0.2, 0.3]),
    "shift": lambda: o.shift(PLAN, 3), "stretch": lambda: o.stretch(PLAN, 1.5), "join": lambda: o.join([PLAN, PLAN], [6]),
    "stack": lambda: o.stack([PLAN, o.manual_stepping([], [1])]), "unstack": lambda: o.unstack(o.stack([PLAN, PLAN]))[1],
    "pad": lambda: o.pad(PLAN, 7), "unpad": lambda: o.unpad(o.pad(PLAN, 7)), "set_schedule": lambda: o.set_schedule(STATE, PLAN / 2),
    "describe": lambda: o.describe(o.get_state(STATE)), "to_dict": lambda: o.to_dict(PLAN),
    "from_function": lambda: o.from_function(lambda c: jnp.cos(c / 100), total_steps=301, tolerance=1e-3),
    "from_table": lambda: o.from_table(TABLE, tolerance=1e-3),
    "from_torch": lambda: o.interop.from_torch(halving(), total_steps=3),
    "from_detectron2": lambda: o.interop.from_detectron2({"STEPS": (5,), "MAX_ITER": 9, "WARMUP_ITERS": 2}),
    "from_mmengine": lambda: o.interop.from_mmengine({"type": "MultiStepLR", "milestones": [2]}, base_lr=0.1, steps_per_epoch=2),
    "from_tf_object_detection": lambda: o.interop.from_tf_object_detection("constant_learning_rate { learning_rate: 1 }"),
}  # fmt: skip
ONES = jnp.ones(2)
MESH = Mesh(jax.devices("cpu")[:2], "i")
TRACES = {
    "none": lambda f: f(ONES),
    "jit": lambda f: jax.jit(f)(ONES),
    "vmap": lambda f: jax.vmap(f)(ONES),
    "grad": lambda f: jax.grad(lambda x: f(x).sum())(ONES),
    "nnx.jit": lambda f: nnx.jit(f)(ONES),
    "scan": lambda f: jax.lax.scan(lambda x, _: (f(x), None), ONES, length=2),
    "shard_map": lambda f: sharded(f)(ONES),
    "jit of shard_map": lambda f: jax.jit(sharded(f))(ONES),
}
CASES = set(itertools.product(MADE, TRACES)) - {("replace", "shard_map")}
# These take long.
CASES -= set(itertools.product(["from_function", "from_table"], list(TRACES)[4:]))


def sharded(function):
    return shard_map(function, mesh=MESH, in_specs=P("i"), out_specs=P("i"), check_vma=False)


@pytest.mark.parametrize(("name", "trace"), sorted(CASES))
def test_what_is_made_inside_of_any_trace_is_concrete_and_transfers_nothing(name, trace):
    expected, found = MADE[name](), []

    def make(x):
        found.append(MADE[name]())
        return x

    TRACES[trace](lambda x: x)
    with jax.transfer_guard("disallow" if trace in ("none", "jit") else "allow"):
        if name == "set_schedule" and trace != "none":  # copies, which the program makes
            found.append(jax.jit(MADE[name])())
        else:
            TRACES[trace](make)
    for made in found:
        assert not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(made))
        if name == "describe":
            assert made == expected
        else:
            chex.assert_trees_all_equal(made, expected)


def test_a_function_is_one_leaf():
    """Of a tree of functions that a trainer maps over, as Kauldron's ``schedules``."""
    schedules = {"lr": o.as_function(PLAN), "decay": lambda count: 0.1 * count}
    rates = jax.tree.map(lambda schedule: float(schedule(8)), schedules)
    assert rates == {"lr": 0.125, "decay": 0.8}


def test_a_function_is_an_attribute_of_an_nnx_module():
    class Layer(nnx.Module):
        def __init__(self):
            self.rate = o.as_function(PLAN)
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

    layer = Layer(o.as_function(PLAN), jnp.ones(2))
    gradient = eqx.filter_jit(eqx.filter_grad(loss))(layer)
    chex.assert_trees_all_equal(jax.tree.leaves(gradient), [0.125 * jnp.ones(2)])


def test_a_function_is_copied_pickled_and_compared():
    function = o.as_function(PLAN)
    assert function == o.as_function(PLAN)
    assert {function: 1}[o.as_function(PLAN)] == 1
    for same in (copy.deepcopy(function), pickle.loads(pickle.dumps(function))):
        assert same(8) == 0.125
    assert jax.jit(function)(8) == 0.125


@pytest.mark.parametrize("num_stages", [3, 16, 45, 200])
def test_export_with_a_symbolic_number_of_counts(num_stages):
    schedule = o.manual_stepping(range(1, num_stages), np.linspace(1, 2, num_stages))
    counts = jax.ShapeDtypeStruct(export.symbolic_shape("k"), jnp.int32)
    exported = export.export(jax.jit(lambda s, c: s(c)))(schedule, counts)
    for k in (1, 1000):
        counts = jnp.arange(k, dtype=jnp.int32)
        chex.assert_trees_all_equal(exported.call(schedule, counts), schedule(counts))
