"""A live schedule in flax.nnx: train, read the rate, edit, save with Orbax, go on.

It prints step, rate and loss, before the edit and at the end. It needs flax and orbax-checkpoint.
"""

import tempfile
from pathlib import Path

import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp
from flax import nnx

from optax_stepping import get_state, manual_stepping, pad, scale_by_stepping, set_schedule

plan = pad(manual_stepping([100, 150], [0.1, 0.02, 0.004], warmup_steps=20), num_stages=8)
inputs = jnp.linspace(-1, 1, 64)[:, None]
targets = jnp.sin(3 * inputs)


def make_trainer():
    rngs = nnx.Rngs(0)
    model = nnx.Sequential(nnx.Linear(1, 16, rngs=rngs), nnx.tanh, nnx.Linear(16, 1, rngs=rngs))
    chain = optax.chain(optax.scale_by_adam(), scale_by_stepping(plan))
    return model, nnx.Optimizer(model, chain, wrt=nnx.Param)


@nnx.jit
def train_step(model, optimizer):
    loss, grads = nnx.value_and_grad(lambda m: jnp.mean((m(inputs) - targets) ** 2))(model)
    optimizer.update(model, grads)
    return loss


model, optimizer = make_trainer()
for _ in range(60):
    loss = train_step(model, optimizer)

live = get_state(optimizer.opt_state)
print("step", live.count, "rate", live.rate, "loss", loss)
optimizer.opt_state = set_schedule(optimizer.opt_state, plan / 2)
path = Path(tempfile.mkdtemp()) / "trainer"
with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(path, nnx.to_pure_dict(nnx.state((model, optimizer))))

model, optimizer = make_trainer()
state = nnx.state((model, optimizer))
with ocp.StandardCheckpointer() as checkpointer:
    nnx.replace_by_pure_dict(state, checkpointer.restore(path, nnx.to_pure_dict(state)))
nnx.update((model, optimizer), state)
for _ in range(140):
    loss = train_step(model, optimizer)
live = get_state(optimizer.opt_state)
print("step", live.count, "rate", live.rate, "loss", loss)
