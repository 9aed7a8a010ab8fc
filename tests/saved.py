"""What version 0.1 saves, as data of tests: python tests/saved.py FOLDER writes it."""

import pickle
import sys
from pathlib import Path

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from jax import export

from optax_stepping import manual_stepping, pad, scale_by_stepping

PLAN = pad(manual_stepping([10, 20], [0.1, 0.01, 0.001], warmup_steps=5), 6)
OPTIMIZER = optax.chain(optax.trace(0.9), scale_by_stepping(PLAN))
COUNT = 7


def trained():
    """Parameters and state after some steps."""
    params = {"w": np.ones(3, np.float32)}
    opt_state = OPTIMIZER.init(params)
    for _ in range(COUNT):
        updates, opt_state = OPTIMIZER.update({"w": jnp.full(3, 0.5)}, opt_state)
        params = optax.apply_updates(params, updates)
    return {"params": params, "opt_state": opt_state}


def rate_at(schedule, count):
    return schedule(count)


def write(folder):
    state = trained()
    (folder / "state.pickle").write_bytes(pickle.dumps((PLAN, state), protocol=4))
    (folder / "state.msgpack").write_bytes(flax.serialization.to_bytes(state))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder.resolve() / "orbax", state, force=True)
    program = export.export(jax.jit(rate_at), platforms=["cpu", "cuda", "tpu"])(PLAN, jnp.int32(0))
    (folder / "program.export").write_bytes(program.serialize())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
