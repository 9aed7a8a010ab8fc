"""Arguments in, a checked schedule out."""

from collections.abc import Callable, Sequence
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
    starts = _entries("boundaries", boundaries, jnp.int32, "1000, 2000", _boundary)
    listed: Any = [] if is_traced(starts) else starts
    check_increasing("boundaries", listed)
    dtype = jnp.result_type(float)
    levels = _entries("rates", rates, dtype, "0.1, 0.01", _rate)
    num_boundaries, num_rates = len(starts), len(levels)
    if not num_rates:
        write = "write one rate, as in [0.1], for a constant"
        raise bad_value("rates", "not be empty", "[]", write)
    if num_rates != num_boundaries + 1:
        got = f"{num_rates} rates for {num_boundaries} boundaries"
        write = f"write {num_boundaries + 1} rates: one before the first boundary and "
        write += "one from each boundary on"
        raise bad_value("rates", "have one entry more than boundaries", got, write)
    ramps = _stacked(_checked_interpolate(interpolate, num_boundaries), bool)
    if warmup and num_boundaries:
        ramps = _prepend(True, ramps[1:], bool)

    steps = _entry("warmup_steps", warmup_steps, jnp.int32, "500", _warmup_steps)
    init_value = _entry("warmup_init_value", warmup_init_value, dtype, "0.0", _rate)
    _check_warmup(steps, warmup, listed)
    starts, levels = _stacked(starts, jnp.int32), _stacked(levels, dtype)
    if is_traced(steps) or steps > 0:
        starts = _prepend(steps, starts, jnp.int32)
        levels = _prepend(init_value, levels, dtype)
        ramps = _prepend(True, ramps, bool)
    return make_schedule(starts, levels, ramps)


Check = Callable[[str, Any], Any]


def _entries(name: str, values: Any, dtype: Any, example: str, check: Check) -> Any:
    """``values`` as a list of checked numbers and tracers, or as one tracer."""
    if isinstance(values, np.ndarray | jax.Array) and values.ndim != 1:
        write = f"write a list such as [{example}], and optax_stepping.stack for several schedules "
        write += "at once"
        raise bad_value(name, "be one-dimensional", f"shape {values.shape}", write)
    if is_traced(values):
        return _traced(name, values, dtype)
    values = sequence(name, values, f"[{example}]")
    one = example.partition(",")[0]
    return [_entry(f"{name}[{i}]", value, dtype, one, check) for i, value in enumerate(values)]


def _entry(name: str, value: Any, dtype: Any, example: str, check: Check) -> Any:
    value = scalar(name, value, example)
    return _traced(name, value, dtype) if is_traced(value) else check(name, value)


def _traced(name: str, values: jax.Array, dtype: Any) -> jax.Array:
    """Traced entries as ``dtype``, if they are of its kind."""
    kinds = {jnp.int32: (is_integer, "integers"), bool: (lambda given: given.kind == "b", "bools")}
    is_of_kind, kind = kinds.get(dtype, (is_real, "real numbers"))
    if not is_of_kind(values.dtype):
        write = f"write {name}.astype({np.dtype(dtype).name!r})"
        raise bad_kind(name, f"have a dtype of {kind}", values.dtype, write)
    if dtype == jnp.int32 and jnp.iinfo(values.dtype).max > INT32_MAX:
        # Under x64: what is too large must not wrap.
        values = jnp.clip(values, max(jnp.iinfo(values.dtype).min, -INT32_MAX - 1), INT32_MAX)
    return values.astype(dtype)


def _boundary(name: str, value: Any) -> int:
    remedy = "the first stage starts at 0 by itself: leave this boundary and the rate before it out"
    return integer(name, value, low=1, example="[1000, 2000]", remedy=remedy)


def _rate(name: str, value: Any) -> np.floating:
    dtype = np.dtype(jnp.result_type(float))
    largest = float(np.finfo(dtype).max)
    if abs(real(name, value, "0.1")) > largest:
        write = f"write at most {largest:.3g} in magnitude"
        raise bad_value(name, f"fit into {dtype}", shown(value), write)
    if value != 0 and dtype.type(value) == 0:
        raise bad_value(name, f"not vanish in {dtype}", repr(value), "write 0.0 for none")
    return dtype.type(value)


def _flag(name: str, value: Any) -> Any:
    check_flag(name, value)
    return value


def _checked_interpolate(interpolate: Any, num_boundaries: int) -> Any:
    if isinstance(interpolate, bool | np.bool_):
        return [interpolate] * num_boundaries
    if isinstance(interpolate, jax.Array) and not interpolate.ndim:
        interpolate = jnp.broadcast_to(interpolate, num_boundaries)
    ramps = _entries("interpolate", interpolate, bool, "True, False", _flag)
    if len(ramps) != num_boundaries:
        must = "be one bool, or one for every stage but the last"
        got = f"{len(ramps)} for {num_boundaries} boundaries"
        raise bad_value("interpolate", must, got, f"write {num_boundaries} bools")
    return ramps


def _warmup_steps(name: str, value: Any) -> int:
    return integer(name, value, example="500", remedy="write 0 for no warmup")


def _check_warmup(steps: Any, warmup: bool, boundaries: Sequence[Any]) -> None:
    known = ((i, boundary) for i, boundary in enumerate(boundaries) if not is_traced(boundary))
    i, first = next(known, (0, INT32_MAX + 1))
    if not is_traced(steps) and steps >= first:
        raise bad_value(
            "warmup_steps",
            "be below the first boundary",
            f"warmup_steps = {steps} with boundaries[{i}] = {first}",
            "shorten the warmup or move the boundary (boundaries count from step 0, not from the "
            "end of the warmup)",
        )
    if warmup and (is_traced(steps) or steps):
        raise bad_value(
            "warmup and warmup_steps",
            "not be given together",
            f"warmup=True and warmup_steps={steps}",
            "write warmup=True to ramp from rates[0] to rates[1] up to boundaries[0], or "
            "warmup_steps to ramp from warmup_init_value to rates[0]",
        )


def _stacked(entries: Any, dtype: Any) -> Any:
    """One array, of NumPy where all is known, so that it can be checked."""
    if is_traced(entries):
        return entries
    if any(map(is_traced, entries)):
        return jnp.stack([jnp.asarray(entry, dtype) for entry in entries])
    return np.array(entries, dtype)


def _prepend(first: Any, rest: Any, dtype: Any) -> Any:
    xp = jnp if is_traced(first) or is_traced(rest) else np
    return xp.concatenate([xp.asarray([first], dtype), rest])
