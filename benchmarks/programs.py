"""Programs whose compiled form is inspected, and counts of what is in them."""

from collections.abc import Callable

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
    """Equations of a jaxpr, with those of the jaxprs inside it."""
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


def init_mlp(hidden: int = 64):
    shapes = {"w0": (64, hidden), "b0": hidden, "w1": (hidden, 10), "b1": 10}
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


def mlp_loss(params, images, labels):
    hidden = jax.nn.relu(images @ params["w0"] + params["b0"][None])
    logits = hidden @ params["w1"] + params["b1"][None]
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def make_plain_sgd(learning_rate):
    return optax.sgd(learning_rate)


def make_sgd(learning_rate):
    return optax.sgd(learning_rate, momentum=0.9)


def make_adamw(learning_rate):
    return optax.adamw(learning_rate)


def make_clipped_adamw(learning_rate):
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(learning_rate))


def make_injected_sgd(learning_rate):
    return optax.inject_hyperparams(optax.sgd)(learning_rate, momentum=0.9)


OPTIMIZERS = {
    "plain sgd": make_plain_sgd,
    "sgd": make_sgd,
    "adamw": make_adamw,
    "clip, adamw": make_clipped_adamw,
    "inject_hyperparams": make_injected_sgd,
}


def train_step(make_optimizer, schedule_of):
    """A whole train step; ``schedule_of(argument)`` is its learning rate."""

    def step(params, opt_state, argument, images, labels):
        optimizer = make_optimizer(schedule_of(argument))
        grads = jax.grad(mlp_loss)(params, images, labels)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    return step


def train_step_arguments(make_optimizer, argument, hidden: int):
    """Shapes and dtypes of the arguments of such a step."""
    params = init_mlp(hidden)
    opt_state = make_optimizer(lambda count: 0.1).init(params)
    batch = np.zeros((32, 64), np.float32), np.zeros(32, np.int32)
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), jnp.asarray(leaf).dtype),
        (params, opt_state, argument, *batch),
    )


# Learning rates by name, each as (what is passed to the step, how it becomes a schedule).
# "constant step count" is the floor: it counts steps, as every schedule does, and returns a
# constant.
def make_learning_rate(name: str, num_stages: int, form: str) -> tuple[object, Callable]:
    """The argument of a train step, and the function that makes a schedule of it."""
    if name == "floor":
        return 0.0, lambda _: lambda count: 0.1
    if name == "optax":
        return 0.0, lambda _: optax_schedule(num_stages)
    schedule = uniform_schedule(num_stages)
    if name == "ramps":
        schedule = schedule.replace(ramps=jnp.ones_like(schedule.ramps))
    if form == "closure":
        return 0.0, lambda _: schedule
    return schedule, lambda argument: argument


def optax_schedule(num_stages: int) -> optax.Schedule:
    """The same shape from Optax's parts: a warmup, then constant pieces."""
    steps = {100 * (i - 1): i / (i + 1) for i in range(2, num_stages)}
    pieces = optax.piecewise_constant_schedule(0.5, steps)
    return optax.join_schedules([optax.linear_schedule(1.0, 0.5, 100), pieces], [100])


def make_program(job: dict) -> tuple[Callable, tuple]:
    """A train step and its abstract arguments, for a job such as ``{"optimizer": "sgd",
    "rate": "ours", "form": "argument", "stages": 3}``; the form "vmap" trains 16 schedules
    at once, "sweep" 64 of them with parameters of their own, spread over all devices."""
    make_optimizer = OPTIMIZERS[job["optimizer"]]
    argument, schedule_of = make_learning_rate(job["rate"], job["stages"], job["form"])
    step = train_step(make_optimizer, schedule_of)
    arguments = train_step_arguments(make_optimizer, argument, job.get("hidden", 64))
    members = {"vmap": 16, "sweep": 64}.get(job["form"])
    if members is None:
        return step, arguments
    *batched, images, labels = arguments
    batched = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((members, *leaf.shape), leaf.dtype), tuple(batched)
    )
    return jax.vmap(step, in_axes=(0, 0, 0, None, None)), (*batched, images, labels)
