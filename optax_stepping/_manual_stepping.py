"""Arguments in, a checked schedule out."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_stepping._arguments import (
    INT32_MAX,
    bad_kind,
    bad_value,
    check_flag,
    check_increasing,
    integer,
    is_integer,
    is_real,
    is_traced,
    plain,
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
    """A piecewise learning-rate schedule from boundaries and rates.

    The rate at a count is ``rates[i]``, where ``i`` is the number of boundaries that the count
    has reached: at a boundary the new rate is already in force. This is ``manual_stepping`` of
    the TensorFlow Object Detection API (``utils/learning_schedules.py``) with its ``warmup``.
    ``warmup_steps`` adds the other usual warmup, and ``interpolate`` adds ramps.

    Known values are checked at once. Inside ``jit``, ``vmap``, ``grad`` or ``scan``, any argument
    except ``warmup`` may be a tracer, or a list with tracers in it: their shapes and dtypes are
    checked. A schedule built from Python numbers inside ``jit`` holds concrete arrays; you may
    return it.

    Args:
      boundaries: ``n`` strictly increasing positive integers, in optimizer steps, up to
        2**31 - 1: a sequence or an array of shape ``(n,)``. Whole floats are taken, such as
        ``5.0 * steps_per_epoch``. Empty for a constant.
      rates: ``n + 1`` finite numbers: a sequence, or an array of shape ``(n + 1,)``. Kept
        as float32 (float64 under x64).
      warmup: ramp linearly from ``rates[0]`` at 0 to ``rates[1]`` at ``boundaries[0]``,
        as the Object Detection API does. Without boundaries it does nothing, as there.
      warmup_steps: if positive, ramp from ``warmup_init_value`` at 0 to ``rates[0]`` at
        ``warmup_steps``, which must be below ``boundaries[0]``. The boundaries stay
        absolute step counts. 0 means no such ramp. A scalar; cannot be used with ``warmup``.
      warmup_init_value: the rate at count 0 if ``warmup_steps`` is positive, a finite
        scalar.
      interpolate: True makes every stage ramp linearly to the next rate; ``n`` bools say
        so stage by stage. The last stage always holds. The ramps of ``warmup`` and
        ``warmup_steps`` are added to these.

    Returns:
      A :class:`optax_stepping.SteppingSchedule` of ``n + 1`` stages (one more with
      ``warmup_steps``), which is an ``optax.Schedule``.

    Raises:
      ValueError: a length, an order or a value is wrong. The message names the argument,
        the position and the value, and says what to write instead.
      TypeError: an argument is of the wrong kind, such as a boundary of 1000.5.

    Examples:
      >>> from optax_stepping import manual_stepping
      >>> schedule = manual_stepping([1000, 2000], [0.1, 0.01, 0.001])
      >>> [float(schedule(count)) for count in (0, 999, 1000, 2000)]
      [0.10000000149011612, 0.10000000149011612, 0.009999999776482582, 0.0010000000474974513]

      Both ways to warm up:

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
        raise bad_value(
            "rates",
            "have one entry more than boundaries",
            f"{num_rates} rates for {num_boundaries} boundaries",
            f"write {num_boundaries + 1} rates: one before the first boundary and one from each "
            f"boundary on",
        )
    ramps = _checked_interpolate(interpolate, num_boundaries)
    if warmup and num_boundaries:
        ramps = _prepend(True, ramps[1:], bool)

    steps = _checked_warmup_steps(warmup_steps, starts)
    starts = _stacked(starts, jnp.int32)
    init_value = _checked_rate("warmup_init_value", warmup_init_value)
    if is_traced(steps) or steps > 0:
        if warmup:
            raise bad_value(
                "warmup and warmup_steps",
                "not be given together",
                f"warmup=True and warmup_steps={steps}",
                "write warmup=True to ramp from rates[0] to rates[1] up to boundaries[0], or "
                "warmup_steps to ramp from warmup_init_value to rates[0]",
            )
        starts = _prepend(steps, starts, jnp.int32)
        levels = _prepend(init_value, levels, levels.dtype)
        ramps = _prepend(True, ramps, bool)
    return make_schedule(starts, levels, ramps)


def _checked_boundaries(boundaries: Any) -> Any:
    values = _entries("boundaries", boundaries, "[1000, 2000]")
    if is_traced(values):
        return _traced_integers("boundaries", values)
    remedy = "the first stage starts at 0 by itself: leave this boundary and the rate before it out"
    steps = []
    for i, value in enumerate(values):
        here = f"boundaries[{i}]"
        step = scalar(here, value, "1000")
        if is_traced(step):
            steps.append(_traced_integers(here, step))
        else:
            steps.append(integer(here, step, low=1, example="[1000, 2000]", remedy=remedy))
    check_increasing("boundaries", steps)
    return steps


def _checked_rates(rates: Any) -> Any:
    values = _entries("rates", rates, "[0.1, 0.01]")
    if is_traced(values):
        return _traced_reals("rates", values)
    if not len(values):
        raise bad_value(
            "rates", "not be empty", "[]", "write one rate, as in [0.1], for a constant"
        )
    checked = [_checked_rate(f"rates[{i}]", rate) for i, rate in enumerate(values)]
    return _stacked(checked, jnp.result_type(float))


def _checked_rate(name: str, rate: Any) -> Any:
    """``rate`` as a NumPy scalar of the type that rates have, or as a tracer."""
    rate = scalar(name, rate, "0.1")
    if is_traced(rate):
        return _traced_reals(name, rate)
    dtype = np.dtype(jnp.result_type(float))
    largest = float(np.finfo(dtype).max)
    if abs(real(name, rate, "0.1")) > largest:
        raise bad_value(
            name, f"fit into {dtype}", shown(rate), f"write at most {largest:.3g} in magnitude"
        )
    if rate != 0 and dtype.type(rate) == 0:
        raise bad_value(name, f"not vanish in {dtype}", repr(rate), "write 0.0 for none")
    return dtype.type(rate)


def _checked_interpolate(interpolate: Any, num_boundaries: int) -> Any:
    if isinstance(interpolate, bool | np.bool_):
        return np.full(num_boundaries, interpolate, bool)
    if isinstance(interpolate, jax.Array) and not interpolate.ndim:
        interpolate = jnp.broadcast_to(interpolate, num_boundaries)
    values = _entries("interpolate", interpolate, "[True, False]")
    if len(values) != num_boundaries:
        raise bad_value(
            "interpolate",
            "be one bool, or one for every stage but the last",
            f"{len(values)} for {num_boundaries} boundaries",
            f"write {num_boundaries} bools",
        )
    if is_traced(values):
        return _traced_flags("interpolate", values)
    ramps = [scalar(f"interpolate[{i}]", ramp, "True") for i, ramp in enumerate(values)]
    for i, ramp in enumerate(ramps):
        check = _traced_flags if is_traced(ramp) else check_flag
        check(f"interpolate[{i}]", ramp)
    return _stacked(ramps, bool)


def _checked_warmup_steps(warmup_steps: Any, boundaries: Any) -> Any:
    warmup_steps = scalar("warmup_steps", warmup_steps, "500")
    if is_traced(warmup_steps):
        return _traced_integers("warmup_steps", warmup_steps)
    warmup_steps = integer(
        "warmup_steps", warmup_steps, example="500", remedy="write 0 for no warmup"
    )
    for i, boundary in _known_entries(boundaries)[:1]:
        if warmup_steps >= boundary:
            raise bad_value(
                "warmup_steps",
                "be below the first boundary",
                f"warmup_steps = {warmup_steps} with boundaries[{i}] = {boundary}",
                "shorten the warmup or move the boundary (boundaries count from step 0, not from "
                "the end of the warmup)",
            )
    return warmup_steps


def _entries(name: str, values: Any, example: str) -> Any:
    """``values`` as a list, in which numbers and tracers may mix, or as one tracer."""
    if not isinstance(values, np.ndarray | jax.Array):
        return list(sequence(name, values, example))
    if values.ndim != 1:
        raise bad_value(
            name,
            "be one-dimensional",
            f"shape {values.shape}",
            f"write a list such as {example}, and optax_stepping.stack for several schedules at "
            f"once",
        )
    return values if is_traced(values) else plain(name, values, example)


def _known_entries(entries: Any) -> list[tuple[int, Any]]:
    """What is known of a list, with its positions; of a traced array, nothing."""
    if is_traced(entries):
        return []
    return [(i, entry) for i, entry in enumerate(entries) if not is_traced(entry)]


def _traced_integers(name: str, values: jax.Array) -> jax.Array:
    if not is_integer(values.dtype):
        raise bad_kind(
            name,
            "be integers" if values.ndim else "be an integer",
            f"dtype {values.dtype}",
            f"counts are optimizer steps: write {name}.astype(jnp.int32)",
        )
    limits = jnp.iinfo(values.dtype)
    if limits.max > INT32_MAX:  # under x64: what is too large must not wrap
        values = jnp.clip(values, max(limits.min, -INT32_MAX - 1), INT32_MAX)
    return values.astype(jnp.int32)


def _traced_reals(name: str, values: jax.Array) -> jax.Array:
    if not is_real(values.dtype):
        raise bad_kind(
            name,
            "be real numbers" if values.ndim else "be a real number",
            f"dtype {values.dtype}",
            f"write {name}.astype(jnp.float32)",
        )
    return values.astype(jnp.result_type(float))


def _traced_flags(name: str, values: jax.Array) -> jax.Array:
    if values.dtype != bool:
        must = "be bools" if values.ndim else "be a bool"
        raise bad_kind(name, must, f"dtype {values.dtype}", f"write {name}.astype(bool)")
    return values


def _stacked(entries: Any, dtype: Any) -> Any:
    """One array, of NumPy where all is known, so that it can be checked."""
    if is_traced(entries):
        return entries
    xp = jnp if any(map(is_traced, entries)) else np
    return (
        xp.stack([xp.asarray(entry, dtype) for entry in entries]) if entries else np.zeros(0, dtype)
    )


def _prepend(first: Any, rest: Any, dtype: Any) -> Any:
    xp = jnp if is_traced(first) or is_traced(rest) else np
    return xp.concatenate([xp.asarray([first], dtype), rest])
