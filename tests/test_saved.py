"""What an earlier version has saved (tests/data, written by saved.py) loads, and goes on."""

import pickle
from pathlib import Path

import chex
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from jax import export
from oracle import assert_rates, same
from saved import COUNT, OPTIMIZER, PLAN, trained

from optax_stepping import get_state

pytestmark = pytest.mark.not_under("JAX_ENABLE_X64", reason="was saved in float32")

DATA = Path(__file__).parent / "data"


def from_pickle():
    return pickle.loads((DATA / "state.pickle").read_bytes())[1]


def from_flax():
    return flax.serialization.from_bytes(trained(), (DATA / "state.msgpack").read_bytes())


def from_orbax():
    with ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.restore(DATA / "orbax", trained())


@pytest.mark.parametrize("load", [from_pickle, from_flax, from_orbax])
def test_a_state_loads_and_goes_on(load):
    restored, expected = load(), trained()
    chex.assert_trees_all_equal(restored, expected)
    state = get_state(restored["opt_state"])
    assert state.count == COUNT
    assert_rates(PLAN, [COUNT], np.asarray(state.rate).reshape(1))
    grads = {"w": jnp.ones(3)}
    ours, theirs = (OPTIMIZER.update(grads, s["opt_state"]) for s in (restored, expected))
    chex.assert_trees_all_equal(ours, theirs)


def test_a_pickled_schedule_loads():
    assert same(pickle.loads((DATA / "state.pickle").read_bytes())[0], PLAN)


@pytest.mark.skipif(
    jax.__version_info__ < (0, 10),
    reason="JAX reads programs that are up to six months old, and none of later versions; this one is "
    "of JAX 0.10",
)
def test_an_exported_program_loads_and_runs():
    program = export.deserialize((DATA / "program.export").read_bytes())
    for count in range(25):
        rate = program.call(PLAN, jnp.int32(count))
        assert_rates(PLAN, [count], np.asarray(rate).reshape(1))
    chex.assert_trees_all_equal(program.call(PLAN / 2, jnp.int32(3)), jax.jit(PLAN / 2)(3))
