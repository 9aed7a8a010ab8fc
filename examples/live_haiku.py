"""A live schedule in Haiku: train, read the rate, edit, save with pickle, go on.

It prints step, rate and loss, before the edit and at the end. It needs dm-haiku.
"""

import pickle

import haiku as hk
import jax
import jax.numpy as jnp
import optax

from optax_stepping import get_state, manual_stepping, pad, scale_by_stepping, set_schedule

plan = pad(manual_stepping([100, 150], [0.1, 0.02, 0.004], warmup_steps=20), num_stages=8)
optimizer = optax.chain(optax.scale_by_adam(), scale_by_stepping(plan))
inputs = jnp.linspace(-1, 1, 64)[:, None]
targets = jnp.sin(3 * inputs)
model = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP([16, 1], activation=jnp.tanh)(x)))


@jax.jit
def train_step(params, opt_state):
    def loss_fn(params):
        return jnp.mean((model.apply(params, inputs) - targets) ** 2)

    loss, grads = jax.value_and_grad(loss_fn)(params)
    updates, opt_state = optimizer.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, loss


params = model.init(jax.random.key(0), inputs)
opt_state = optimizer.init(params)
for _ in range(60):
    params, opt_state, loss = train_step(params, opt_state)

print("step", get_state(opt_state).count, "rate", get_state(opt_state).rate, "loss", loss)
opt_state = set_schedule(opt_state, plan / 2)
saved = pickle.dumps(jax.device_get((params, opt_state)))

params, opt_state = pickle.loads(saved)
for _ in range(140):
    params, opt_state, loss = train_step(params, opt_state)
print("step", get_state(opt_state).count, "rate", get_state(opt_state).rate, "loss", loss)
