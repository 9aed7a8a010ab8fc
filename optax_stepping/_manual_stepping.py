"""Arguments in, a checked schedule out."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_stepping._arguments import (
    check_flag,
    integer,
    is_real,
    is_traced,
    real,
    scalar,
    sequence,
    shown,
)
from optax_stepping._schedule import SteppingSchedule, make_schedule


def manual_stepping(
    boundaries: Sequence[int] | jax.typing.ArrayLike,
    rates: Sequence[float] | jax.typing.ArrayLike,
    warmup: bool = False,
    *,
    warmup_steps: int | jax.typing.ArrayLike = 0,
    warmup_init_value: float | jax.typing.ArrayLike = 0.0,
    interpolate: bool | Sequence[bool] | jax.typing.ArrayLike = False,
) -> SteppingSchedule:
    """A learning rate written by hand, stage by stage.

    The rate at a count is ``rates[i]`` with ``i`` the number of boundaries that are at most
    the count: at a boundary the new rate is already in force. This is
    ``manual_stepping`` of the TensorFlow Object Detection API (``utils/learning_schedules.py``)
    with its ``warmup``; ``warmup_steps`` and ``interpolate`` add the other two customs.

    Concrete arguments are checked at once, and give a schedule of concrete arrays also inside
    of ``jit``: it may outlive the trace. Any argument but ``warmup`` may also be a
    tracer, inside ``jit``, ``vmap``, ``grad`` or ``scan``; then its shape and dtype are
    checked, its values cannot be.

    Args:
      boundaries: ``n`` strictly increasing positive integers, in optimizer steps, up to
        2**31 - 1: a sequence or an array of shape ``(n,)``. Floats may be whole, as
        ``5.0 * steps_per_epoch`` is. Empty for a constant.
      rates: ``n + 1`` finite numbers: a sequence, or an array of shape ``(n + 1,)``. Kept
        as float32 (float64 under x64).
      warmup: ramp linearly from ``rates[0]`` at 0 to ``rates[1]`` at ``boundaries[0]``,
        as the Object Detection API does. Without boundaries it does nothing, as there.
      warmup_steps: if positive, ramp from ``warmup_init_value`` at 0 to ``rates[0]`` at
        ``warmup_steps``, which must lie below ``boundaries[0]``. The boundaries stay
        absolute step counts. If 0, there is no such ramp. Scalar; excludes ``warmup``.
      warmup_init_value: the rate at count 0 if ``warmup_steps`` is positive, a finite
        scalar.
      interpolate: True lets every stage ramp linearly to the next rate; ``n`` bools say
        it for every stage but the last, which always holds. The ramps of ``warmup`` and
        ``warmup_steps`` come on top.

    Returns:
      A :class:`optax_stepping.SteppingSchedule` of ``n + 1`` stages (one more with
      ``warmup_steps``), which is an ``optax.Schedule``.

    Raises:
      ValueError: a length, an order or a value is wrong; the message names the argument,
        the position and the value, and says what to write instead.
      TypeError: an argument is of the wrong kind, such as a boundary of 1000.5.

    Examples:
      >>> from optax_stepping import manual_stepping
      >>> schedule = manual_stepping([1000, 2000], [0.1, 0.01, 0.001])
      >>> [float(schedule(count)) for count in (0, 999, 1000, 2000)]
      [0.10000000149011612, 0.10000000149011612, 0.009999999776482582, 0.0010000000474974513]

      The two customs of warming up:

      >>> schedule = manual_stepping([1000, 2000], [0.0, 0.5, 0.1], warmup=True)
      >>> print(schedule(0), schedule(500), schedule(1000))
      0.0 0.25 0.5
      >>> schedule = manual_stepping([1000], [0.5, 0.1], warmup_steps=400)
      >>> print(schedule(0), schedule(100), schedule(400), schedule(1000))
      0.0 0.125 0.5 0.1

      Warmup, stable, decay:

      >>> schedule = manual_stepping([100, 900, 1000], [0, 1, 1, 0], interpolate=True)
      >>> print(schedule(50), schedule(500), schedule(950), schedule(1000))
      0.5 1.0 0.5 0.0
    """
    check_flag("warmup", warmup)
    starts = _checked_boundaries(boundaries)
    levels = _checked_rates(rates)
    num_boundaries, num_rates = len(starts), len(levels)
    if num_rates != num_boundaries + 1:
        raise ValueError(
            f"rates must have one entry more than boundaries, got {num_rates} rates for "
            f"{num_boundaries} boundaries; write {num_boundaries + 1} rates: one before the "
            f"first boundary and one from each boundary on."
        )
    ramps = _checked_interpolate(interpolate, num_boundaries)
    if warmup and num_boundaries:
        ramps = _prepend(True, ramps[1:], bool)

    steps = _checked_warmup_steps(warmup_steps, starts)
    init_value = _checked_rate("warmup_init_value", warmup_init_value)
    if is_traced(steps) or steps > 0:
        if warmup:
            raise ValueError(
                f"warmup=True and warmup_steps={steps} exclude each other; write "
                f"warmup=True to ramp from rates[0] to rates[1] up to boundaries[0], or "
                f"warmup_steps to ramp from warmup_init_value to rates[0]."
            )
        starts = _prepend(steps, starts, jnp.int32)
        levels = _prepend(init_value, levels, levels.dtype)
        ramps = _prepend(True, ramps, bool)
    return make_schedule(starts, levels, ramps)


def _checked_boundaries(boundaries: Any) -> Any:
    boundaries = _one_dimensional("boundaries", boundaries, "[1000, 2000]")
    if is_traced(boundaries):
        return _traced_integers("boundaries", boundaries)
    remedy = "the first stage starts at 0 by itself: leave this boundary and the rate before it out"
    steps = []
    for i, boundary in enumerate(boundaries):
        here = f"boundaries[{i}]"
        steps.append(integer(here, boundary, low=1, example="[1000, 2000]", remedy=remedy))
        if i and steps[i] <= steps[i - 1]:
            raise ValueError(
                f"boundaries must be strictly increasing, got {here} = {steps[i]} after "
                f"boundaries[{i - 1}] = {steps[i - 1]}; write each step once, in ascending order."
            )
    return np.asarray(steps, np.int32)


def _checked_rates(rates: Any) -> Any:
    values = _one_dimensional("rates", rates, "[0.1, 0.01]")
    if is_traced(values):
        return _traced_reals("rates", values)
    if not values:
        raise ValueError("rates must not be empty; write one rate, as in [0.1], for a constant.")
    return np.stack([_checked_rate(f"rates[{i}]", rate) for i, rate in enumerate(values)])


def _checked_rate(name: str, rate: Any) -> Any:
    """``rate`` as a NumPy scalar of the type that rates have, or as a tracer."""
    rate = scalar(name, rate, "0.1")
    if is_traced(rate):
        return _traced_reals(name, rate)
    dtype = np.dtype(jnp.result_type(float))
    largest = float(np.finfo(dtype).max)
    if abs(real(name, rate, "0.1")) > largest:
        raise ValueError(
            f"{name} must fit into {dtype}, got {shown(rate)}; write at most {largest:.3g} in "
            f"magnitude."
        )
    if rate != 0 and dtype.type(rate) == 0:
        raise ValueError(f"{name} must not vanish in {dtype}, got {rate!r}; write 0.0 for none.")
    return dtype.type(rate)


def _checked_interpolate(interpolate: Any, num_boundaries: int) -> Any:
    if isinstance(interpolate, bool | np.bool_):
        return np.full(num_boundaries, interpolate, bool)
    if isinstance(interpolate, jax.Array) and not interpolate.ndim:
        interpolate = jnp.broadcast_to(interpolate, num_boundaries)
    ramps = _one_dimensional("interpolate", interpolate, "[True, False]")
    if len(ramps) != num_boundaries:
        raise ValueError(
            f"interpolate must be one bool, or one for every stage but the last: got "
            f"{len(ramps)} for {num_boundaries} boundaries; write {num_boundaries} bools."
        )
    if is_traced(ramps):
        if ramps.dtype != bool:
            raise TypeError(
                f"interpolate must be bools, got dtype {ramps.dtype}; write "
                f"interpolate.astype(bool)."
            )
        return ramps
    for i, ramp in enumerate(ramps):
        check_flag(f"interpolate[{i}]", ramp)
    return np.asarray(ramps, bool)


def _checked_warmup_steps(warmup_steps: Any, boundaries: Any) -> Any:
    warmup_steps = scalar("warmup_steps", warmup_steps, "500")
    if is_traced(warmup_steps):
        return _traced_integers("warmup_steps", warmup_steps)
    warmup_steps = integer(
        "warmup_steps", warmup_steps, example="500", remedy="write 0 for no warmup"
    )
    if not is_traced(boundaries) and boundaries.size and warmup_steps >= boundaries[0]:
        raise ValueError(
            f"warmup_steps must be below the first boundary, got warmup_steps = {warmup_steps} "
            f"with boundaries[0] = {boundaries[0]}; shorten the warmup or move the boundary "
            f"(boundaries count from step 0, not from the end of the warmup)."
        )
    return warmup_steps


def _one_dimensional(name: str, values: Any, example: str) -> Any:
    """``values`` as a list of Python numbers, or as a 1-D tracer."""
    if not isinstance(values, np.ndarray | jax.Array):
        values = list(sequence(name, values, example))
        if not any(map(is_traced, values)):
            return [scalar(f"{name}[{i}]", value, "a number") for i, value in enumerate(values)]
        return jnp.stack([_scalar_tracer(f"{name}[{i}]", value) for i, value in enumerate(values)])
    if values.ndim != 1:
        raise ValueError(
            f"{name} must be one-dimensional, got shape {values.shape}; write a list such as "
            f"{example}, and optax_stepping.stack for several schedules at once."
        )
    return values if is_traced(values) else values.tolist()


def _scalar_tracer(name: str, value: Any) -> jax.Array:
    """An entry of a list in which others are traced."""
    if not isinstance(value, bool | int | float | np.ndarray | np.generic | jax.Array):
        raise TypeError(f"{name} must be a number, got {shown(value)}; write it as in [1, x].")
    scalar(name, value, "a number")
    whole = isinstance(value, float) and value.is_integer() and name.startswith("boundaries")
    return jnp.asarray(int(value) if whole else value)


def _traced_integers(name: str, values: jax.Array) -> jax.Array:
    if not jnp.issubdtype(values.dtype, jnp.integer):
        raise TypeError(
            f"{name} must be integers, got dtype {values.dtype}; {name} count optimizer "
            f"steps: write {name}.astype(jnp.int32)."
        )
    return values.astype(jnp.int32)


def _traced_reals(name: str, values: jax.Array) -> jax.Array:
    if not is_real(values.dtype):
        raise TypeError(
            f"{name} must be real numbers, got dtype {values.dtype}; write "
            f"{name}.astype(jnp.float32)."
        )
    return values.astype(jnp.result_type(float))


def _prepend(first: Any, rest: Any, dtype: Any) -> Any:
    """``first`` before ``rest``: in NumPy where all is known, so that it can be checked."""
    xp = jnp if is_traced(first) or is_traced(rest) else np
    return xp.concatenate([xp.asarray([first], dtype), rest])
