"""A training process that checkpoints, may be killed at any moment, and resumes.

python training_process.py DIRECTORY STEPS: trains in float32 and in bfloat16 side by side,
prints a line per step, and at the end writes the bits of all it has.
"""

import os
import pickle
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optax_stepping import get_state, manual_stepping, set_schedule, stateful


def main(directory: Path, total_steps: int) -> None:
    schedule = manual_stepping([20, 40, 60], [0.1, 0.05, 0.01, 0.005], warmup_steps=10)
    optimizer = optax.inject_hyperparams(optax.adamw)(
        stateful(schedule), weight_decay=stateful(manual_stepping([30], [0.1, 0.01])), b2=0.9
    )
    inputs = jnp.linspace(-1, 1, 40).reshape(8, 5)

    @jax.jit
    def step(params, opt_state):
        def loss_fn(p):
            return jnp.mean((jnp.tanh(inputs.astype(p.dtype) @ p) - 0.5) ** 2)

        grads = jax.grad(loss_fn)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    params = [jnp.full((5, 3), 0.1, dtype) for dtype in (jnp.float32, jnp.bfloat16)]
    opt_state = [optimizer.init(model) for model in params]
    done, rates = 0, []
    checkpoint = directory / "checkpoint"
    if checkpoint.exists():
        done, params, opt_state, rates = pickle.loads(checkpoint.read_bytes())
    for i in range(done, total_steps):
        stepped = [step(*model) for model in zip(params, opt_state, strict=True)]
        params, opt_state = map(list, zip(*stepped, strict=True))
        rates += [np.asarray(s.hyperparams["learning_rate"]).tobytes() for s in opt_state]
        if i == 50:
            opt_state = [edit(state) for state in opt_state]
        if i % 3 == 0:
            saved = (i + 1, *jax.device_get((params, opt_state)), rates)
            temporary = directory / "checkpoint.new"
            temporary.write_bytes(pickle.dumps(saved))
            os.replace(temporary, checkpoint)
        print(i, flush=True)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves((params, opt_state))]
    result = [(leaf.dtype.name, leaf.shape, leaf.tobytes()) for leaf in leaves]
    (directory / "result").write_bytes(pickle.dumps((result, rates)))


def edit(opt_state):
    """Halves what is left of the learning rate, as someone might at 3 am."""
    halved = get_state(opt_state, "learning_rate").schedule / 2
    return set_schedule(opt_state, halved, "learning_rate")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
