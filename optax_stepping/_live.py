"""The schedule inside of the optimizer state, where it can be read, edited and checkpointed."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import export

from optax_stepping._arguments import bad_kind, bad_value, check_flag, is_traced, shown
from optax_stepping._schedule import SteppingSchedule, check_schedule
from optax_stepping._stack import pad


class SteppingState(NamedTuple):
    """The state of :func:`scale_by_stepping` and of :func:`stateful`: plain arrays.

    Attributes:
      count: int32 scalar, the optimizer steps done so far.
      boundaries: int32 ``(n,)``, of the schedule.
      rates: float32 ``(n + 1,)`` (float64 under x64), of the schedule.
      ramps: bool ``(n,)``, of the schedule.
    """

    count: jax.Array  # pyright: ignore[reportIncompatibleMethodOverride]
    boundaries: jax.Array
    rates: jax.Array
    ramps: jax.Array

    @property
    def schedule(self) -> SteppingSchedule:
        """The schedule that the next step uses."""
        return SteppingSchedule(*map(_plain, self[1:]))

    @property
    def rate(self) -> jax.Array:
        """The rate that the next step uses, weakly typed: a scalar, or one for every member
        of a vmapped state.
        """
        rate_of = SteppingSchedule.__call__
        count = _plain(self.count)
        for _ in range(np.ndim(count)):
            rate_of = jax.vmap(rate_of)
        return rate_of(self.schedule, count)


export.register_namedtuple_serialization(
    SteppingState, serialized_name="optax_stepping.SteppingState"
)


class StatefulStepping:
    """An ``optax.schedules.StatefulSchedule``; made by :func:`stateful`."""

    def __init__(self, schedule: SteppingSchedule):
        self.schedule = schedule

    def init(self) -> SteppingState:
        return _init_state(self.schedule)

    def update(self, state: SteppingState, **extra_args: Any) -> SteppingState:
        del extra_args
        _check_state(state)
        return _advanced(state)

    def __call__(self, state: SteppingState, **extra_args: Any) -> jax.Array:
        del extra_args
        _check_state(state)
        return state.rate

    def __repr__(self) -> str:
        return f"stateful({self.schedule!r})"


def stateful(schedule: SteppingSchedule) -> StatefulStepping:
    """Puts a schedule into the optimizer state, for ``optax.inject_hyperparams``.

    The rates are those of the schedule itself. In the state, it is checkpointed with the
    rest, and can be replaced while training runs with :func:`set_schedule`. For a learning rate
    alone, :func:`scale_by_stepping` does the same without ``inject_hyperparams``, which casts
    every hyperparameter to the dtype of the parameters (in bfloat16, ``b2 = 0.999`` becomes 1,
    and ``adam`` divides by 0: pass ``hyperparam_dtype=jnp.float32`` there).

    Args:
      schedule: a ``SteppingSchedule``; under ``jax.vmap``, a member of a stack.

    Returns:
      An ``optax.schedules.StatefulSchedule``, to be given as any hyperparameter of an
      optimizer under ``optax.inject_hyperparams``. Its state is a :class:`SteppingState`.

    Raises:
      TypeError: ``schedule`` is no ``SteppingSchedule``; or, later, this was given where a
        schedule function is expected.

    Example:
      >>> import jax.numpy as jnp, optax, optax_stepping
      >>> schedule = optax_stepping.manual_stepping([1000], [0.1, 0.01])
      >>> optimizer = optax.inject_hyperparams(optax.sgd)(optax_stepping.stateful(schedule))
      >>> params = jnp.zeros(3)
      >>> opt_state = optimizer.init(params)
      >>> print(optax_stepping.get_state(opt_state).rate)
      0.1
      >>> opt_state = optax_stepping.set_schedule(opt_state, schedule / 2)
      >>> updates, opt_state = optimizer.update(jnp.ones(3), opt_state, params)
      >>> print(updates)
      [-0.05 -0.05 -0.05]
    """
    check_schedule("schedule", schedule)
    return StatefulStepping(schedule)


def scale_by_stepping(
    schedule: SteppingSchedule, *, flip_sign: bool = True
) -> optax.GradientTransformationExtraArgs:
    """Multiplies updates by minus the rate, with the schedule in the optimizer state.

    The last link of an ``optax.chain``, in place of ``optax.scale_by_learning_rate``: the same
    updates, bit for bit, and a schedule that is checkpointed with the rest and can be replaced
    while training runs with :func:`set_schedule`.

    Args:
      schedule: a ``SteppingSchedule``; under ``jax.vmap``, a member of a stack. Its leaves are
        copied into the state, so that donating the state never deletes them.
      flip_sign: False multiplies by the rate itself.

    Returns:
      A transformation with a :class:`SteppingState` as its state. The updates keep their dtypes.

    Raises:
      TypeError: ``schedule`` is no ``SteppingSchedule``, or ``flip_sign`` no bool.

    Example:
      >>> import jax.numpy as jnp, optax, optax_stepping
      >>> schedule = optax_stepping.manual_stepping([1000], [0.1, 0.01])
      >>> optimizer = optax.chain(
      ...     optax.scale_by_adam(), optax_stepping.scale_by_stepping(schedule))
      >>> params = jnp.zeros(3)
      >>> opt_state = optimizer.init(params)
      >>> updates, opt_state = optimizer.update(jnp.ones(3), opt_state, params)
      >>> print(optax_stepping.get_state(opt_state).count)
      1
    """
    check_schedule("schedule", schedule)
    check_flag("flip_sign", flip_sign)

    def init(params: optax.Params) -> SteppingState:
        del params
        return _init_state(schedule)

    def update(updates, state, params=None, **extra_args):
        del params, extra_args
        _check_state(state)
        factor = -state.rate if flip_sign else state.rate
        updates = jax.tree.map(lambda g: jnp.array(factor, dtype=g.dtype) * g, updates)
        return updates, _advanced(state)

    return optax.GradientTransformationExtraArgs(init, update)


def get_state(opt_state: Any, name: str | tuple[str, ...] | None = None) -> SteppingState:
    """The one :class:`SteppingState` in an optimizer state: its count, schedule and rate.

    Works inside of ``jit``, on a vmapped state, and on the state of a ``flax.nnx.Optimizer``.

    Args:
      opt_state: any tree, such as the state of an optimizer.
      name: a word, or a tuple of words, that must occur in the path of the state, to choose
        among several: ``"learning_rate"``, or ``("decoder", "learning_rate")``.

    Returns:
      The state, of plain arrays.

    Raises:
      ValueError: there is none, or there are several; the message lists their paths.
      TypeError: ``name`` is neither a str nor a tuple of such.

    Example:
      >>> import jax.numpy as jnp, optax, optax_stepping
      >>> schedule = optax_stepping.manual_stepping([1000], [0.1, 0.01])
      >>> state = optax_stepping.get_state(optax_stepping.scale_by_stepping(schedule).init(None))
      >>> print(state.count, state.rate)
      0 0.1
    """
    return SteppingState(*map(_plain, _find(opt_state, name)[1]))


def set_schedule(
    opt_state: Any, schedule: SteppingSchedule, name: str | tuple[str, ...] | None = None
) -> Any:
    """The optimizer state with another schedule: the next step uses it, at the same count.

    A jitted step is not compiled again. Works inside of ``jit`` too, and for the state of a
    ``flax.nnx.Optimizer`` (``optimizer.opt_state = set_schedule(optimizer.opt_state, new)``).

    Args:
      opt_state: any tree, such as the state of an optimizer. It is not changed.
      schedule: the new schedule, which counts from step 0 of the training; for a vmapped state,
        a stack with one for every member. Padded to the number of stages of the state; its
        leaves are copied, so that donating the state never deletes them.
      name: which state, as for :func:`get_state`.

    Returns:
      A tree of the same structure, shapes, dtypes and shardings.

    Raises:
      ValueError: no such state, or several; a schedule of more stages than the state has, or of
        another batch shape.
      TypeError: ``schedule`` is no ``SteppingSchedule``, or has rates of another dtype.

    Example:
      >>> import optax_stepping
      >>> from optax_stepping import manual_stepping
      >>> optimizer = optax_stepping.scale_by_stepping(manual_stepping([1000], [0.1, 0.01]))
      >>> opt_state = optimizer.init(None)
      >>> opt_state = optax_stepping.set_schedule(opt_state, manual_stepping([], [0.05]))
      >>> print(optax_stepping.get_state(opt_state).rate)
      0.05
    """
    check_schedule("schedule", schedule)
    path, state = _find(opt_state, name)
    new = _fitted(schedule, SteppingState(*map(_plain, state)))
    leaves = map(_replaced, state[1:], (new.boundaries, new.rates, new.ramps))
    replaced = SteppingState(state.count, *leaves)
    return jax.tree_util.tree_map_with_path(
        lambda here, leaf: replaced if here == path else leaf, opt_state, is_leaf=_is_state
    )


def _init_state(schedule: SteppingSchedule) -> SteppingState:
    # Copies: a train step that donates its optimizer state must not delete the schedule, nor
    # donate one buffer as the state of two hyperparameters.
    leaves = map(jnp.array, (schedule.boundaries, schedule.rates, schedule.ramps))
    return SteppingState(jnp.zeros([], jnp.int32), *leaves)


def _advanced(state: SteppingState) -> SteppingState:
    return state._replace(count=optax.safe_increment(state.count))


def _is_state(tree: Any) -> bool:
    return isinstance(tree, SteppingState)


def _check_state(state: Any) -> None:
    if not _is_state(state):
        raise bad_kind(
            "the state of a schedule",
            "be a SteppingState",
            shown(state),
            "where a schedule function is expected, write the schedule itself, "
            "optax.adamw(schedule); stateful(schedule) goes into "
            "optax.inject_hyperparams(optax.adamw)(...); to hold a rate, write "
            "set_schedule(opt_state, manual_stepping([], [0.1]))",
        )


def _find(opt_state: Any, name: str | tuple[str, ...] | None) -> tuple[Any, SteppingState]:
    words = (name,) if isinstance(name, str) else () if name is None else name
    if not isinstance(words, tuple) or not all(isinstance(word, str) for word in words):
        raise bad_kind(
            "name",
            "be a word or a tuple of words",
            shown(name),
            'write "learning_rate" or ("decoder", "learning_rate")',
        )
    flat = jax.tree_util.tree_flatten_with_path(opt_state, is_leaf=_is_state)[0]
    states = [(path, leaf) for path, leaf in flat if _is_state(leaf)]
    found = [(path, state) for path, state in states if set(words) <= set(map(_word, path))]
    if len(found) == 1:
        return found[0]
    paths = ", ".join(f"opt_state{jax.tree_util.keystr(path)}" for path, _ in states)
    if not states:
        raise bad_value(
            "opt_state",
            "hold a SteppingState",
            "none",
            "make the optimizer with scale_by_stepping(schedule), or with "
            "optax.inject_hyperparams and stateful(schedule), and restore a checkpoint into such "
            "a state",
        )
    if not found:
        raise bad_value("name", "occur in a path", repr(name), f"there are: {paths}")
    several = ", ".join(f"opt_state{jax.tree_util.keystr(path)}" for path, _ in found)
    raise bad_value(
        "name",
        "fit one state",
        f"{name!r}, which fits {len(found)}: {several}",
        "write a word of one path that the others have not, such as "
        'name="learning_rate", or several: ("decoder", "learning_rate")',
    )


def _word(key: Any) -> str:
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)


def _fitted(schedule: SteppingSchedule, state: SteppingState) -> SteppingSchedule:
    """The schedule padded to the shape of the state, or a refusal."""
    room, stages = np.shape(state.rates)[-1], np.shape(schedule.rates)[-1]
    if stages > room:
        raise bad_value(
            "schedule",
            f"fit into the {room} stages of the state",
            f"{stages} stages",
            f"start the training with pad(schedule, num_stages={stages}) or more, shift away "
            f"stages that are over, or make a new state, which compiles the step again",
        )
    if np.shape(schedule.rates)[:-1] != np.shape(state.rates)[:-1]:
        raise bad_value(
            "schedule",
            f"have the batch shape {np.shape(state.rates)[:-1]} of the state",
            np.shape(schedule.rates)[:-1],
            "write stack([...]) with a schedule for every member of the state",
        )
    if schedule.rates.dtype != state.rates.dtype:
        raise bad_kind(
            "schedule",
            f"have rates of {state.rates.dtype}, as the state has",
            schedule.rates.dtype,
            "make both with, or both without, jax_enable_x64",
        )
    return pad(schedule, room)


def _is_variable(leaf: Any) -> bool:
    return hasattr(leaf, "__jax_array__") and not isinstance(leaf, jax.Array)


def _plain(leaf: Any) -> Any:
    """The array in a variable of a framework, such as flax.nnx."""
    return leaf.__jax_array__() if _is_variable(leaf) else leaf


def _replaced(old: Any, new: Any) -> Any:
    """A copy of ``new`` in the place of ``old``: on its devices, in its variable."""
    if _is_variable(old):
        return old.replace(_replaced(old.__jax_array__(), new))
    copy = jnp.array(new)
    committed = isinstance(old, jax.Array) and not is_traced(old) and old.committed
    return jax.device_put(copy, old.sharding) if committed else copy
