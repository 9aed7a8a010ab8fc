"""A live schedule in Equinox: train, read the rate, edit, save the leaves, go on.

It prints step, rate and loss, before the edit and at the end. It needs equinox.
"""

import io

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from optax_stepping import get_state, manual_stepping, pad, scale_by_stepping, set_schedule

plan = pad(manual_stepping([100, 150], [0.1, 0.02, 0.004], warmup_steps=20), num_stages=8)
optimizer = optax.chain(optax.scale_by_adam(), scale_by_stepping(plan))
inputs = jnp.linspace(-1, 1, 64)[:, None]
targets = jnp.sin(3 * inputs)


def make_run(key):
    model = eqx.nn.MLP(1, 1, width_size=16, depth=1, activation=jnp.tanh, key=key)
    return model, optimizer.init(eqx.filter(model, eqx.is_inexact_array))


@eqx.filter_jit
def train_step(model, opt_state):
    def loss_fn(model):
        return jnp.mean((jax.vmap(model)(inputs) - targets) ** 2)

    loss, grads = eqx.filter_value_and_grad(loss_fn)(model)
    updates, opt_state = optimizer.update(grads, opt_state)
    return eqx.apply_updates(model, updates), opt_state, loss


model, opt_state = make_run(jax.random.key(0))
for _ in range(60):
    model, opt_state, loss = train_step(model, opt_state)

print("step", get_state(opt_state).count, "rate", get_state(opt_state).rate, "loss", loss)
opt_state = set_schedule(opt_state, plan / 2)
saved = io.BytesIO()
eqx.tree_serialise_leaves(saved, (model, opt_state))

saved.seek(0)
model, opt_state = eqx.tree_deserialise_leaves(saved, make_run(jax.random.key(1)))
for _ in range(140):
    model, opt_state, loss = train_step(model, opt_state)
print("step", get_state(opt_state).count, "rate", get_state(opt_state).rate, "loss", loss)
