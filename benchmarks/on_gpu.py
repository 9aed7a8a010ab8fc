"""What does a step take on a real GPU, where there is one?"""

import jax
import jax.numpy as jnp
import optax

from benchmarks.programs import OPTIMIZERS, optax_schedule, uniform_schedule
from benchmarks.tables import Table, measure

WIDTHS = [64, 4096]


def make_step(learning_rate, width: int):
    optimizer = OPTIMIZERS["sgd"](learning_rate)
    params = jnp.zeros((width, width))
    state = (params, optimizer.init(params))
    inputs = jnp.ones((128, width))

    @jax.jit
    def step(state):
        params, opt_state = state
        grads = jax.grad(lambda p: jnp.mean((inputs @ p - 1) ** 2))(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    return lambda: jax.block_until_ready(step(state))


def tables() -> list[Table]:
    if jax.default_backend() != "gpu":
        return []
    title = "A train step on a real GPU"
    header = ["width of the layer", "constant, µs", "ours, µs", "Optax, µs"]
    rows = []
    for width in WIDTHS:
        rates = {"constant": 0.1, "ours": uniform_schedule(4), "Optax": optax_schedule(4)}
        timings = measure({name: make_step(rate, width) for name, rate in rates.items()})
        rows.append([str(width), *(str(timings[name]) for name in rates)])
    many = jax.tree.map(lambda leaf: jnp.stack([leaf] * 10_000), uniform_schedule(4))
    evaluate = jax.jit(jax.vmap(lambda schedule: schedule(150)))
    timing = measure({"ours": lambda: jax.block_until_ready(evaluate(many))})
    rows.append(["10,000 schedules at once", "", str(timing["ours"]), ""])
    return [Table(title, header, rows)]


if __name__ == "__main__":
    print(*(table.markdown() for table in tables()), sep="\n")
