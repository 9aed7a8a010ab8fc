"""Arguments in, a checked schedule out: every error message of the core lives here."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_stepping._schedule import INT32_MAX, SteppingSchedule, is_traced


def manual_stepping(
    boundaries: Sequence[int] | jax.typing.ArrayLike,
    rates: Sequence[float] | jax.typing.ArrayLike,
    warmup: bool = False,
    *,
    warmup_steps: int | jax.typing.ArrayLike = 0,
    warmup_init_value: float | jax.typing.ArrayLike = 0.0,
    interpolate: bool | Sequence[bool] | jax.typing.ArrayLike = False,
) -> SteppingSchedule:
    r"""A learning rate written by hand, stage by stage.

    The rate at a count :math:`c` is :math:`r_i` with :math:`i` the number of boundaries
    :math:`b_j \le c`: at a boundary the new rate is already in force. This is
    ``manual_stepping`` of the TensorFlow Object Detection API (``utils/learning_schedules.py``)
    with its ``warmup``; ``warmup_steps`` and ``interpolate`` add the other two customs.

    Concrete arguments are checked at once. Any argument but ``warmup`` may also be a
    tracer, inside ``jit``, ``vmap``, ``grad`` or ``scan``; then its shape and dtype are
    checked, its values cannot be.

    Args:
      boundaries: ``n`` strictly increasing positive integers, in optimizer steps, up to
        2**31 - 1: list, tuple or integer array of shape ``(n,)``. Empty for a constant.
      rates: ``n + 1`` finite numbers: list, tuple, or array of shape ``(n + 1,)``. Kept
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
      TypeError: an argument is of the wrong kind, such as float boundaries.

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
    _check_flag("warmup", warmup)
    starts = _checked_boundaries(boundaries)
    levels = _checked_rates(rates, "rates")
    num_boundaries, num_rates = starts.shape[0], levels.shape[0]
    if num_rates != num_boundaries + 1:
        raise ValueError(
            f"rates must have one entry more than boundaries, got {num_rates} rates for "
            f"{num_boundaries} boundaries; write {num_boundaries + 1} rates: one before the "
            f"first boundary and one from each boundary on."
        )
    ramps = _checked_interpolate(interpolate, num_boundaries)
    if warmup and num_boundaries:
        ramps = _join([True], ramps[1:], bool)

    steps = _checked_warmup_steps(warmup_steps, starts)
    init_value = _checked_rates(warmup_init_value, "warmup_init_value", ndim=0)
    if is_traced(steps) or steps > 0:
        if warmup:
            raise ValueError(
                f"warmup=True and warmup_steps={steps} exclude each other; write "
                f"warmup=True to ramp from rates[0] to rates[1] up to boundaries[0], or "
                f"warmup_steps to ramp from warmup_init_value to rates[0]."
            )
        starts = _join([steps], starts, jnp.int32)
        levels = _join([init_value], levels, levels.dtype)
        ramps = _join([True], ramps, bool)

    _check_ramp_heights(levels, ramps)
    return SteppingSchedule(jnp.asarray(starts), jnp.asarray(levels), jnp.asarray(ramps))


def _checked_boundaries(boundaries: Any) -> Any:
    boundaries = _one_dimensional("boundaries", boundaries, "[1000, 2000]")
    if is_traced(boundaries):
        return _traced_integers("boundaries", boundaries)
    for i, boundary in enumerate(boundaries):
        here = f"boundaries[{i}] = {boundary!r}"
        if isinstance(boundary, bool) or not isinstance(boundary, int):
            raise TypeError(
                f"boundaries must be integers, got {here} of type {type(boundary).__name__}; "
                f"boundaries are optimizer steps: write them as in [1000, 2000]."
            )
        if boundary <= 0:
            raise ValueError(
                f"boundaries must be positive, got {here}; the first stage starts at "
                f"count 0 by itself: leave this boundary and the rate before it out."
            )
        if boundary > INT32_MAX:
            raise ValueError(
                f"boundaries must fit into int32, the type of Optax's step counts, got "
                f"{here}; write at most {INT32_MAX}."
            )
        if i and boundary <= boundaries[i - 1]:
            raise ValueError(
                f"boundaries must be strictly increasing, got {here} after "
                f"boundaries[{i - 1}] = {boundaries[i - 1]!r}; write each step once, in "
                f"ascending order."
            )
    return np.asarray(boundaries, np.int32)


def _checked_rates(rates: Any, name: str, ndim: int = 1) -> Any:
    """Checks ``rates``; with ``ndim=0`` the one rate of a scalar argument."""
    dtype = np.dtype(jnp.result_type(float))
    values = _one_dimensional(name, rates, "[0.1, 0.01]") if ndim else _scalar(name, rates, "0.001")
    if is_traced(values):
        if not _is_real(values.dtype):
            raise TypeError(f"{name} must be real numbers, got dtype {values.dtype}.")
        return values.astype(dtype)
    for i, rate in enumerate(values if ndim else [values]):
        here = f"{name}[{i}] = {rate!r}" if ndim else f"{name} = {rate!r}"
        if isinstance(rate, bool) or not isinstance(rate, int | float):
            raise TypeError(
                f"{name} must be real numbers, got {here} of type {type(rate).__name__}; "
                f"write a float such as 0.1."
            )
        if not math.isfinite(rate):
            raise ValueError(f"{name} must be finite, got {here}; write a float such as 0.1.")
        _check_representable(here, name, rate, dtype)
    if ndim and not values:
        raise ValueError(f"{name} must not be empty; write one rate, as in [0.1], for a constant.")
    return np.asarray(values, dtype)


def _check_representable(here: str, name: str, rate: float, dtype: np.dtype) -> None:
    largest = float(np.finfo(dtype).max)
    if abs(rate) > largest:
        raise ValueError(
            f"{name} must fit into {dtype}, got {here}; write at most {largest:.3g} in magnitude."
        )
    if rate != 0 and dtype.type(rate) == 0:
        raise ValueError(f"{name} must not vanish in {dtype}, got {here}; write 0.0 for none.")


def _check_ramp_heights(rates: Any, ramps: Any) -> None:
    if is_traced(rates) or is_traced(ramps):
        return
    with np.errstate(over="ignore"):
        endless = ~np.isfinite(rates[1:] - rates[:-1])
    if (endless & ramps).any():
        stage = int(np.argmax(endless & ramps))
        raise ValueError(
            f"rates: the ramp from {rates[stage]!r} to {rates[stage + 1]!r} is higher than "
            f"{rates.dtype} can hold; write rates below {np.finfo(rates.dtype).max / 2:.3g}."
        )


def _checked_interpolate(interpolate: Any, num_boundaries: int) -> Any:
    if isinstance(interpolate, bool | np.bool_):
        return np.full(num_boundaries, interpolate, bool)
    ramps = _one_dimensional("interpolate", interpolate, "[True, False]")
    num_ramps = ramps.shape[0] if is_traced(ramps) else len(ramps)
    if num_ramps != num_boundaries:
        raise ValueError(
            f"interpolate must be one bool, or one for every stage but the last: got "
            f"{num_ramps} for {num_boundaries} boundaries; write {num_boundaries} bools."
        )
    if is_traced(ramps):
        if ramps.dtype != bool:
            raise TypeError(f"interpolate must be bools, got dtype {ramps.dtype}.")
        return ramps
    for i, ramp in enumerate(ramps):
        _check_flag(f"interpolate[{i}]", ramp)
    return np.asarray(ramps, bool)


def _checked_warmup_steps(warmup_steps: Any, boundaries: Any) -> Any:
    warmup_steps = _scalar("warmup_steps", warmup_steps, "500")
    if is_traced(warmup_steps):
        return _traced_integers("warmup_steps", warmup_steps)
    if isinstance(warmup_steps, bool) or not isinstance(warmup_steps, int):
        raise TypeError(
            f"warmup_steps must be an integer, got {warmup_steps!r} of type "
            f"{type(warmup_steps).__name__}; it counts optimizer steps: write it as in 500."
        )
    if warmup_steps < 0:
        raise ValueError(
            f"warmup_steps must not be negative, got {warmup_steps}; write 0 for no warmup."
        )
    if warmup_steps > INT32_MAX:
        raise ValueError(
            f"warmup_steps must fit into int32, got {warmup_steps}; write at most {INT32_MAX}."
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
    if isinstance(values, list | tuple):
        if any(is_traced(value) for value in values):
            values = jnp.stack([_scalar_tracer(name, i, value) for i, value in enumerate(values)])
        else:
            return [_scalar(f"{name}[{i}]", value, "a number") for i, value in enumerate(values)]
    if not isinstance(values, np.ndarray | jax.Array):
        raise TypeError(
            f"{name} must be a list, tuple or array, got {values!r} of type "
            f"{type(values).__name__}; write a list such as {example}."
        )
    if values.ndim != 1:
        raise ValueError(
            f"{name} must be one-dimensional, got shape {values.shape}; write a list such as "
            f"{example}, and optax_stepping.stack for several schedules at once."
        )
    return values if is_traced(values) else values.tolist()


def _scalar(name: str, value: Any, example: str) -> Any:
    """``value`` as a Python number, or as a 0-D tracer."""
    if isinstance(value, np.ndarray | jax.Array | np.generic):
        if value.ndim:
            raise ValueError(f"{name} must be a scalar, got shape {value.shape}; write {example}.")
        return value if is_traced(value) else value.item()
    return value


def _scalar_tracer(name: str, i: int, value: Any) -> jax.Array:
    if isinstance(value, bool) or not isinstance(value, int | float | jax.Array | np.generic):
        raise TypeError(
            f"{name} must be numbers, got {name}[{i}] = {value!r} of type {type(value).__name__}."
        )
    if np.ndim(value):
        raise ValueError(
            f"{name} must be one-dimensional, got {name}[{i}] of shape {np.shape(value)}."
        )
    return jnp.asarray(value)


def _traced_integers(name: str, values: jax.Array) -> jax.Array:
    if not jnp.issubdtype(values.dtype, jnp.integer):
        raise TypeError(
            f"{name} must be integers, got dtype {values.dtype}; {name} count optimizer "
            f"steps: write {name}.astype(jnp.int32)."
        )
    return values.astype(jnp.int32)


def _check_flag(name: str, flag: Any) -> None:
    if not isinstance(flag, bool | np.bool_):
        raise TypeError(
            f"{name} must be True or False, got {flag!r} of type {type(flag).__name__}."
        )


def _is_real(dtype: np.dtype) -> bool:
    return jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)


def _join(first: list, rest: Any, dtype: Any) -> Any:
    """``first`` before ``rest``: in NumPy where all is known, so that it can be checked."""
    xp = jnp if any(is_traced(value) for value in [*first, rest]) else np
    return xp.concatenate([xp.asarray(first, dtype), rest])
