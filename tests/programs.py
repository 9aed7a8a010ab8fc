"""Programs whose compiled form is inspected, and counts of what is in them."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optax_stepping import SteppingSchedule


def uniform_schedule(num_stages: int, first_ramps: bool = True) -> SteppingSchedule:
    boundaries = 100 * np.arange(1, num_stages)
    ramps = np.zeros(num_stages - 1, bool)
    ramps[:1] = first_ramps
    rates = 1 / np.arange(1, num_stages + 1)
    return SteppingSchedule(
        jnp.asarray(boundaries, jnp.int32), jnp.asarray(rates, jnp.float32), jnp.asarray(ramps)
    )


def count_equations(jaxpr) -> int:
    """Equations of a jaxpr, with those of the jaxprs inside of it."""
    total = 0
    for equation in jaxpr.eqns:
        total += 1 + sum(
            count_equations(inner.jaxpr if hasattr(inner, "jaxpr") else inner)
            for parameter in equation.params.values()
            for inner in (parameter if isinstance(parameter, tuple | list) else [parameter])
            if hasattr(inner, "eqns") or hasattr(inner, "jaxpr")
        )
    return total


def stablehlo(function, *arguments) -> str:
    return jax.jit(function).lower(*arguments).as_text()


def init_mlp():
    sizes = [64, 64, 10]
    return {
        f"{kind}{i}": np.zeros((rows, columns) if kind == "w" else columns, np.float32)
        for i, (rows, columns) in enumerate(zip(sizes[:-1], sizes[1:], strict=True))
        for kind in "wb"
    }


def mlp_loss(params, images, labels):
    hidden = jax.nn.relu(images @ params["w0"] + params["b0"])
    logits = hidden @ params["w1"] + params["b1"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def make_sgd(learning_rate):
    return optax.sgd(learning_rate, momentum=0.9)


def make_adamw(learning_rate):
    return optax.adamw(learning_rate)


def make_injected_sgd(learning_rate):
    return optax.inject_hyperparams(optax.sgd)(learning_rate, momentum=0.9)


OPTIMIZERS = {"sgd": make_sgd, "adamw": make_adamw, "inject_hyperparams": make_injected_sgd}


def train_step(make_optimizer, schedule_of):
    """A whole train step; ``schedule_of(argument)`` is its learning rate."""

    def step(params, opt_state, argument, images, labels):
        optimizer = make_optimizer(schedule_of(argument))
        grads = jax.grad(mlp_loss)(params, images, labels)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    return step


def train_step_arguments(make_optimizer, argument):
    """Shapes and dtypes of the arguments of such a step."""
    params = init_mlp()
    opt_state = make_optimizer(lambda count: 0.1).init(params)
    batch = np.zeros((32, 64), np.float32), np.zeros(32, np.int32)
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), jnp.asarray(leaf).dtype),
        (params, opt_state, argument, *batch),
    )


def entry(hlo: str) -> str:
    """The entry computation of an optimised HLO module."""
    start = hlo.index("\nENTRY")
    return hlo[start : hlo.index("\n}", start)]


def count_ops(hlo: str, *names: str) -> int:
    """How often the ops ``names`` are executed in the entry computation."""
    return len(re.findall(rf" (?:{'|'.join(names)})\(", entry(hlo)))
