"""The schedule inside of the optimizer state, where it can be edited and checkpointed."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optax_stepping._schedule import SteppingSchedule


class SteppingState(NamedTuple):
    """The state of a :func:`stateful` schedule.

    Attributes:
      count: int32 scalar, the optimizer steps done so far.
      schedule: the schedule that the next step uses.
    """

    count: jax.Array  # pyright: ignore[reportIncompatibleMethodOverride]
    schedule: SteppingSchedule

    @property
    def rate(self) -> jax.Array:
        """The rate that the next step uses, a weakly typed scalar."""
        return self.schedule(self.count)


class StatefulStepping:
    """An ``optax.schedules.StatefulSchedule``; made by :func:`stateful`."""

    def __init__(self, schedule: SteppingSchedule):
        self.schedule = schedule

    def init(self) -> SteppingState:
        # Copies: a train step that donates its optimizer state must not delete the
        # schedule, nor donate one buffer as the state of two hyperparameters.
        schedule = jax.tree.map(jnp.array, self.schedule)
        return SteppingState(jnp.zeros([], jnp.int32), schedule)

    def update(self, state: SteppingState, **extra_args: Any) -> SteppingState:
        del extra_args
        return state._replace(count=optax.safe_increment(state.count))

    def __call__(self, state: SteppingState, **extra_args: Any) -> jax.Array:
        del extra_args
        return state.rate

    def __repr__(self) -> str:
        return f"stateful({self.schedule!r})"


def stateful(schedule: SteppingSchedule) -> StatefulStepping:
    """Puts a schedule into the optimizer state, for ``optax.inject_hyperparams``.

    The rates are those of the schedule itself. In the state, it is checkpointed with the
    rest, and can be replaced while training runs: the next step uses the new one, in the
    program that is compiled already if the number of stages is the same.

    Args:
      schedule: a ``SteppingSchedule``; under ``jax.vmap``, a member of a stack.

    Returns:
      An ``optax.schedules.StatefulSchedule``, to be given as any hyperparameter of an
      optimizer under ``optax.inject_hyperparams``. Its state is a :class:`SteppingState`.

    Raises:
      TypeError: ``schedule`` is no ``SteppingSchedule``.

    Example:
      >>> import jax.numpy as jnp, optax, optax_stepping
      >>> schedule = optax_stepping.manual_stepping([1000], [0.1, 0.01])
      >>> optimizer = optax.inject_hyperparams(optax.sgd)(optax_stepping.stateful(schedule))
      >>> params = jnp.zeros(3)
      >>> opt_state = optimizer.init(params)
      >>> print(optax.tree.get(opt_state, "SteppingState").rate)
      0.1
      >>> halved = schedule._replace(rates=schedule.rates / 2)
      >>> opt_state = optax.tree.set(opt_state, schedule=halved)
      >>> updates, opt_state = optimizer.update(jnp.ones(3), opt_state, params)
      >>> print(updates)
      [-0.05 -0.05 -0.05]
    """
    if not isinstance(schedule, SteppingSchedule):
        raise TypeError(
            f"schedule must be a SteppingSchedule, got {schedule!r}; write "
            f"stateful(manual_stepping(boundaries, rates))."
        )
    return StatefulStepping(schedule)
