"""One of two processes that train data-parallel: python distributed_process.py ID PORT."""

import os
import sys

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from optax_stepping import manual_stepping, stateful

INPUTS = np.linspace(-1, 1, 48).reshape(16, 3).astype(np.float32)


def main(process_id: int, port: str) -> None:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=process_id)
    schedule = manual_stepping([6, 12], [0.5, 0.25, 0.125], warmup_steps=4)
    optimizer = optax.inject_hyperparams(optax.sgd)(stateful(schedule), momentum=0.9)
    mesh = Mesh(np.array(jax.devices()), "i")
    replicated, over_batch = NamedSharding(mesh, P()), NamedSharding(mesh, P("i"))

    @jax.jit
    def step(params, state, inputs):
        grads = jax.grad(lambda p: jnp.mean((inputs @ p - 1) ** 2))(params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    inputs = jax.make_array_from_callback((16, 3), over_batch, lambda index: INPUTS[index])
    init = jax.jit(lambda: (jnp.zeros(3), optimizer.init(jnp.zeros(3))), out_shardings=replicated)
    params, state = init()
    rates = []
    for _ in range(16):
        params, state = step(params, state, inputs)
        rates.append(np.asarray(state.hyperparams["learning_rate"]).tobytes().hex())
    assert jax.device_count() == 4
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(state))
    text = step.lower(params, state, inputs).compile().as_text()
    assert "all-reduce" in text
    assert not any(word in text for word in ("infeed", "outfeed", "callback"))
    print("result", *rates, np.asarray(params).tobytes().hex())


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
