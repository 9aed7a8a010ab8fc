"""The schedule in the optimizer state."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import export
from optax.schedules import StatefulSchedule

from optax_stepping._arguments import bad_kind, check_flag, shown
from optax_stepping._schedule import SteppingSchedule, check_schedule


class SteppingState(NamedTuple):
    """The state of :func:`scale_by_stepping` and of :func:`stateful`: plain arrays.

    In a vmapped state, every leaf has the same leading axes.

    Attributes:
      count: int32 scalar, the optimizer steps done so far.
      boundaries: int32 ``(n,)``, of the schedule.
      rates: float32 ``(n + 1,)`` (float64 under x64), of the schedule.
      ramps: bool ``(n,)``, of the schedule. Integers are read as bools, because code that averages
        states, such as ``optax.contrib.sam``, makes integers of bools.
    """

    # shape=(), dtype=jnp.int32
    count: jax.Array  # pyright: ignore[reportIncompatibleMethodOverride]
    boundaries: jax.Array  # shape=(n,), dtype=jnp.int32
    rates: jax.Array  # shape=(n + 1,), dtype=jnp.float32
    ramps: jax.Array  # shape=(n,), dtype=jnp.bool_

    @property
    def schedule(self) -> SteppingSchedule:
        """The schedule that the next step uses."""
        boundaries, rates, ramps = map(plain_leaf, self[1:])
        if isinstance(ramps, np.ndarray | jax.Array) and jnp.issubdtype(ramps.dtype, jnp.integer):
            ramps = ramps.astype(bool)
        return SteppingSchedule(boundaries, rates, ramps)

    @property
    def rate(self) -> jax.Array:
        """The rate that the next step uses, weakly typed. A vmapped state has one per member."""
        rate_of = SteppingSchedule.__call__
        count = plain_leaf(self.count)
        for _ in range(np.ndim(count)):
            rate_of = jax.vmap(rate_of)
        return rate_of(self.schedule, count)


export.register_namedtuple_serialization(
    SteppingState, serialized_name="optax_stepping.SteppingState"
)


class StatefulStepping(StatefulSchedule):
    """What :func:`stateful` returns."""

    def __init__(self, schedule: SteppingSchedule):
        self.schedule = schedule

    def init(self) -> SteppingState:
        return _init_state(self.schedule)

    def update(self, state: SteppingState, **extra_args: Any) -> SteppingState:
        del extra_args
        return _advanced(_checked_state(state))

    def __call__(self, state: SteppingState, **extra_args: Any) -> jax.Array:
        del extra_args
        return _checked_state(state).rate

    def __repr__(self) -> str:
        return f"stateful({self.schedule!r})"


def stateful(schedule: SteppingSchedule) -> StatefulSchedule:
    """Puts a schedule into the optimizer state, for ``optax.inject_hyperparams``.

    Checkpoints then hold the schedule, and :func:`set_schedule` replaces it while training runs.
    For a learning rate alone, use :func:`scale_by_stepping`: ``inject_hyperparams`` casts every
    hyperparameter to the dtype of the parameters. In bfloat16, ``b2 = 0.999`` becomes 1 and
    ``adam`` divides by 0; ``hyperparam_dtype=jnp.float32`` avoids that.

    Args:
      schedule: a ``SteppingSchedule``; under ``jax.vmap``, a member of a stack. Its leaves are
        copied into the state, so that donating the state never deletes them.

    Returns:
      An ``optax.schedules.StatefulSchedule``, for any hyperparameter of an optimizer under
      ``optax.inject_hyperparams``. Its state is a :class:`SteppingState`.

    Raises:
      ValueError: the leaves of ``schedule`` have shapes that do not belong together.
      TypeError: ``schedule`` is not a ``SteppingSchedule``. Later, the result raises one if
        Optax calls it with a count: it goes into ``inject_hyperparams`` only.

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

    Use it as the last link of an ``optax.chain``, in place of ``optax.scale_by_learning_rate``:
    the updates are the same, bit for bit. Checkpoints then hold the schedule, and
    :func:`set_schedule` replaces it while training runs.

    To use it with any other optimizer, set that optimizer's rate to 1 and pass
    ``flip_sign=False``.

    Args:
      schedule: a ``SteppingSchedule``; under ``jax.vmap``, a member of a stack. Its leaves are
        copied into the state, so that donating the state never deletes them.
      flip_sign: False multiplies by the rate itself.

    Returns:
      A transformation with a :class:`SteppingState` as its state. The updates keep their dtypes.

    Raises:
      ValueError: the leaves of ``schedule`` have shapes that do not belong together.
      TypeError: ``schedule`` is not a ``SteppingSchedule``, or ``flip_sign`` is not a bool.

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

    def update(
        updates: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, SteppingState]:
        del params, extra_args
        live = _checked_state(state)
        factor = -live.rate if flip_sign else live.rate
        updates = jax.tree.map(lambda g: jnp.array(factor, dtype=g.dtype) * g, updates)
        return updates, _advanced(live)

    return optax.GradientTransformationExtraArgs(init, update)


def _init_state(schedule: SteppingSchedule) -> SteppingState:
    # Copies: a train step that donates its optimizer state must not delete the schedule, nor
    # donate one buffer as the state of two hyperparameters.
    leaves = map(jnp.array, (schedule.boundaries, schedule.rates, schedule.ramps))
    return SteppingState(jnp.zeros([], jnp.int32), *leaves)


def _advanced(state: SteppingState) -> SteppingState:
    return state._replace(count=optax.safe_increment(state.count))


def _checked_state(state: object) -> SteppingState:
    if not isinstance(state, SteppingState):
        raise bad_kind(
            "the state of a schedule",
            "be a SteppingState",
            shown(state),
            "where a schedule function is expected, write the schedule itself, "
            "optax.adamw(schedule); stateful(schedule) goes into "
            "optax.inject_hyperparams(optax.adamw)(...); to hold a rate, write "
            "set_schedule(opt_state, manual_stepping([], [0.1]))",
        )
    return state


def is_variable(leaf: Any) -> bool:
    return hasattr(leaf, "__jax_array__") and not isinstance(leaf, jax.Array)


def plain_leaf(leaf: Any) -> Any:
    """The array in a variable of a framework, such as flax.nnx."""
    return leaf.__jax_array__() if is_variable(leaf) else leaf
