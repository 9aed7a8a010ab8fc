"""A live schedule in a flax TrainState: train, read the rate, edit, save as bytes, go on.

It prints step, rate and loss, before the edit and at the end. It needs flax.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import serialization
from flax.training.train_state import TrainState

from optax_stepping import get_state, manual_stepping, pad, scale_by_stepping, set_schedule

plan = pad(manual_stepping([100, 150], [0.1, 0.02, 0.004], warmup_steps=20), num_stages=8)
optimizer = optax.chain(optax.scale_by_adam(), scale_by_stepping(plan))
inputs = jnp.linspace(-1, 1, 64)[:, None]
targets = jnp.sin(3 * inputs)
model = nn.Sequential([nn.Dense(16), nn.tanh, nn.Dense(1)])


@jax.jit
def create_train_state(key):
    return TrainState.create(apply_fn=model.apply, params=model.init(key, inputs), tx=optimizer)


@jax.jit
def train_step(state):
    def loss_fn(params):
        return jnp.mean((state.apply_fn(params, inputs) - targets) ** 2)

    loss, grads = jax.value_and_grad(loss_fn)(state.params)
    return state.apply_gradients(grads=grads), loss


state = create_train_state(jax.random.key(0))
for _ in range(60):
    state, loss = train_step(state)

live = get_state(state.opt_state)
print("step", live.count, "rate", live.rate, "loss", loss)
state = state.replace(opt_state=set_schedule(state.opt_state, plan / 2))
saved = serialization.to_bytes(state)

state = serialization.from_bytes(create_train_state(jax.random.key(1)), saved)
for _ in range(140):
    state, loss = train_step(state)
print("step", state.step, "rate", get_state(state.opt_state).rate, "loss", loss)
