"""The values of a schedule, checked where the program runs."""

import jax
import jax.numpy as jnp
from jax.experimental import checkify

from optax_stepping._arguments import is_traced
from optax_stepping._live import SteppingState
from optax_stepping._schedule import SteppingSchedule, check_schedule


def check(schedule: SteppingSchedule | SteppingState) -> None:
    """Checks the values of a schedule that are known only at run time.

    Boundaries must be positive and strictly increasing (after the zeros of padding), and rates
    must be finite. In a jitted train step the check costs nothing: compilers remove it. Run the
    step under ``jax.experimental.checkify`` or ``chex.chexify`` to see what it finds. Outside
    ``jit``, it raises at once.

    Args:
      schedule: one schedule, a batch of them, or a :class:`optax_stepping.SteppingState`.

    Raises:
      ValueError: a known value is wrong, and the message shows it and its position; or the
        leaves have shapes that do not belong together.
      TypeError: ``schedule`` is not a ``SteppingSchedule`` or a ``SteppingState``, or its leaves
        are not integers, floats and bools.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jax.experimental import checkify
      >>> from optax_stepping import check, manual_stepping
      >>> def rate(first, count):
      ...     schedule = manual_stepping([first, 20], [0.1, 0.01, 0.001])
      ...     check(schedule)
      ...     return schedule(count)
      >>> print(jax.jit(rate)(10, 15))
      0.01
      >>> error, _ = checkify.checkify(jax.jit(rate))(30, 15)
      >>> print(error.get())  # doctest: +ELLIPSIS
      schedule: boundaries must be strictly increasing, ... boundaries[1] = 20 after 30; write ...
    """
    if isinstance(schedule, SteppingState):
        schedule = schedule.schedule
    check_schedule("schedule", schedule)
    boundaries, rates = jnp.asarray(schedule.boundaries), jnp.asarray(schedule.rates)
    before = jnp.concatenate([jnp.zeros_like(boundaries[..., :1]), boundaries[..., :-1]], axis=-1)
    _check_all(
        (boundaries > before) | ((boundaries == 0) & (before == 0)),
        "schedule: boundaries must be strictly increasing, and positive after padding, got "
        "boundaries[{index}] = {value} after {before}; write each step once, in ascending order.",
        value=boundaries,
        before=before,
    )
    _check_all(
        jnp.isfinite(rates),
        "schedule: rates must be finite, got rates[{index}] = {value}; write a number such as 0.1.",
        value=rates,
    )


def _check_all(fine: jax.Array, message: str, **arrays: jax.Array) -> None:
    """``message`` shows the first place that is not ``fine``, and what the arrays hold there."""
    if not fine.size:
        return
    index = jnp.unravel_index(jnp.argmin(fine), fine.shape)
    positions = {f"i{axis}": i for axis, i in enumerate(index)}
    message = message.replace("{index}", ", ".join(f"{{{name}}}" for name in positions))
    found = positions | {name: array[index] for name, array in arrays.items()}
    if is_traced(fine):
        checkify.debug_check(jnp.all(fine), message, **found)
    elif not fine.all():
        raise ValueError(message.format(**found))
