"""A training process that checkpoints, may be killed at any moment, and resumes.

python training_process.py DIRECTORY STEPS: trains with both forms of a live schedule, each in
float32 and in bfloat16, prints a line per step, and at the end writes the bits of all it has.
"""

import functools
import os
import pickle
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optax_stepping import get_state, manual_stepping, scale_by_stepping, set_schedule, stateful

SCHEDULE = manual_stepping([20, 40, 60], [0.1, 0.05, 0.01, 0.005], warmup_steps=10)
DECAY = manual_stepping([30], [0.1, 0.01])
OPTIMIZERS = {
    "injected": optax.inject_hyperparams(optax.adamw)(
        stateful(SCHEDULE), weight_decay=stateful(DECAY), b2=0.9
    ),
    "chained": optax.chain(
        optax.scale_by_adam(), optax.add_decayed_weights(0.01), scale_by_stepping(SCHEDULE)
    ),
}
INPUTS = jnp.linspace(-1, 1, 40).reshape(8, 5)


@functools.partial(jax.jit, static_argnums=0)
def step(form, params, opt_state):
    def loss_fn(p):
        return jnp.mean((jnp.tanh(INPUTS.astype(p.dtype) @ p) - 0.5) ** 2)

    grads = jax.grad(loss_fn)(params)
    updates, opt_state = OPTIMIZERS[form].update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state


def main(directory: Path, total_steps: int) -> None:
    models = {}
    for form, optimizer in OPTIMIZERS.items():
        for dtype in (jnp.float32, jnp.bfloat16):
            params = jnp.full((5, 3), 0.1, dtype)
            models[form, dtype.__name__] = params, optimizer.init(params)
    done, rates = 0, []
    checkpoint = directory / "checkpoint"
    if checkpoint.exists():
        done, models, rates = pickle.loads(checkpoint.read_bytes())
    for i in range(done, total_steps):
        for (form, dtype), model in models.items():
            params, opt_state = step(form, *model)
            rates.append(np.asarray(live(form, opt_state).rate).tobytes())
            models[form, dtype] = params, edit(form, opt_state) if i == 50 else opt_state
        if i % 3 == 0:
            temporary = directory / "checkpoint.new"
            temporary.write_bytes(pickle.dumps((i + 1, jax.device_get(models), rates)))
            os.replace(temporary, checkpoint)
        print(i, flush=True)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(models)]
    result = [(leaf.dtype.name, leaf.shape, leaf.tobytes()) for leaf in leaves]
    (directory / "result").write_bytes(pickle.dumps((result, rates)))


def live(form, opt_state):
    return get_state(opt_state, "learning_rate" if form == "injected" else None)


def edit(form, opt_state):
    """Halves what is left of the learning rate, as someone might at 3 am."""
    halved = live(form, opt_state).schedule / 2
    return set_schedule(opt_state, halved, "learning_rate" if form == "injected" else None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
