"""A live schedule in plain JAX: train, read the rate, edit, save with pickle, go on.

It prints step, rate and loss, before the edit and at the end. It needs nothing but JAX and Optax.
"""

import pickle

import jax
import jax.numpy as jnp
import optax

from optax_stepping import get_state, manual_stepping, pad, scale_by_stepping, set_schedule

plan = pad(manual_stepping([100, 150], [0.1, 0.02, 0.004], warmup_steps=20), num_stages=8)
optimizer = optax.chain(optax.scale_by_adam(), scale_by_stepping(plan))
inputs = jnp.linspace(-1, 1, 64)[:, None]
targets = jnp.sin(3 * inputs)


def loss_fn(params):
    hidden = jnp.tanh(inputs @ params["w0"] + params["b0"])
    return jnp.mean((hidden @ params["w1"] - targets) ** 2)


@jax.jit
def train_step(params, opt_state):
    loss, grads = jax.value_and_grad(loss_fn)(params)
    updates, opt_state = optimizer.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, loss


keys = jax.random.split(jax.random.key(0))
params = {"w0": jax.random.normal(keys[0], (1, 16)), "b0": jnp.zeros(16)}
params["w1"] = jax.random.normal(keys[1], (16, 1)) / 4
opt_state = optimizer.init(params)
for _ in range(60):
    params, opt_state, loss = train_step(params, opt_state)

print("step", get_state(opt_state).count, "rate", get_state(opt_state).rate, "loss", loss)
opt_state = set_schedule(opt_state, plan / 2)  # from the next step on, without compiling again
saved = pickle.dumps(jax.device_get((params, opt_state)))

params, opt_state = pickle.loads(saved)
for _ in range(140):
    params, opt_state, loss = train_step(params, opt_state)
print("step", get_state(opt_state).count, "rate", get_state(opt_state).rate, "loss", loss)
