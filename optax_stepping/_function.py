"""Any function of the count as a schedule: a table of its rates, then its stages."""

import contextlib
import importlib
import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_stepping._arguments import (
    bad_kind,
    bad_value,
    check_options,
    integer,
    is_real,
    is_traced,
    shown,
)
from optax_stepping._schedule import SteppingSchedule
from optax_stepping._stack import pad, unpad
from optax_stepping._table import concrete, find_stages

LONGEST = 100_000_000  # a table of it takes 10 GB
WRITE = "write a function from one count, an int, to one rate"


def from_function(
    function: Callable[[Any], Any],
    *,
    total_steps: int,
    tolerance: float | None = None,
    num_stages: int | None = None,
) -> SteppingSchedule:
    """A function from count to rate, as stages: a schedule of Optax, Keras, fvcore or your own.

    The rates at the counts ``0 .. total_steps - 1`` become stages as in
    :func:`optax_stepping.from_table`; after that, the last rate holds. The function is called in
    double precision: under ``jax.vmap`` with an int if it can be, or else count by count with a
    Python int. That takes about a millisecond a count for Optax's and Keras's schedules; every
    ten seconds, stderr says how far it is. Held rates are asked for again in the precision in
    force, so they have the bits that the function itself returns.

    Call it anywhere: inside ``jit`` and ``vmap`` its schedule is concrete. A function that uses a
    traced value is refused: convert it once for a peak of 1, and multiply the schedule by the peak.

    Args:
      function: takes a count, an int scalar, and returns a rate, a real scalar. It is called
        several times at some counts, and has to return the same rate.
      total_steps: the number of rates in the table, in optimizer steps; at most a hundred million.
      tolerance: the largest error at any count of a curve, relative to the largest rate; see
        ``from_table``. It holds in double precision and in the precision in force.
      num_stages: pad to this many stages; see ``from_table``.

    Returns:
      A schedule with the function's rates.

    Raises:
      ValueError: as in ``from_table``; or the function raises, or returns an array, a traced
        value, NaN or infinity, or rates that depend on the precision.
      TypeError: ``function`` is not callable or returns something else than real numbers, or
        ``total_steps`` is not an integer.

    Example:
      >>> import optax, optax_stepping
      >>> cosine = optax.warmup_cosine_decay_schedule(0.0, 1.0, 500, 10_000)
      >>> shape = optax_stepping.from_function(cosine, total_steps=10_001, tolerance=0.03)
      >>> shape.boundaries.tolist()
      [500, 3123, 8277, 10000]
      >>> print((shape * 3e-4)(500))
      0.0003
      >>> stairs = lambda count: 0.1 * 0.5 ** (count // 30)
      >>> optax_stepping.from_function(stairs, total_steps=90)
      SteppingSchedule(boundaries=[30, 60], rates=[0.1, 0.05, 0.025], ramps=[False, False])
    """
    total_steps = integer("total_steps", total_steps, low=1, high=LONGEST, example="10_000")
    check_options(tolerance, num_stages)
    if not callable(function):
        raise bad_kind("function", "be callable", shown(function), WRITE)
    with concrete():
        rates = _table(function, total_steps)
        if jnp.result_type(float) == rates.dtype:
            return find_stages(rates, tolerance, num_stages)
        single = None if tolerance is None else _mapped(function, total_steps)
        apart = 0.0 if single is None else np.abs(single - rates)
        schedule = unpad(find_stages(rates, tolerance, num_stages, apart))
        starts, levels = np.append(0, schedule.boundaries), np.array(schedule.rates)
        middles = starts + np.diff(starts, append=total_steps) // 2
        # A held step within a curve that is off the table stays: a ramp may lead to it.
        held = ~np.append(schedule.ramps, False) & (levels == rates[starts].astype(levels.dtype))
        levels[held] = _one_by_one(function, middles[held].tolist())
        return pad(schedule.replace(rates=levels), num_stages or levels.size)


def _table(function: Callable[[Any], Any], total_steps: int) -> np.ndarray:
    """The rates at all counts. In double precision, unless the function then returns others."""
    with contextlib.suppress(TypeError, ValueError):
        with _double_precision():
            rates = _rates(function, total_steps)
        if _agrees(function, rates, 1e-4):
            return rates
    return _rates(function, total_steps)


def _rates(function: Callable[[Any], Any], total_steps: int) -> np.ndarray:
    rates = _mapped(function, total_steps)
    return _one_by_one(function, range(total_steps)) if rates is None else rates


def _mapped(function: Callable[[Any], Any], total_steps: int) -> np.ndarray | None:
    """The rates that ``vmap`` gives, if it gives any and the function itself returns the same."""
    found: Any = None
    with contextlib.suppress(Exception):  # whatever a function raises that takes no tracers
        found = jax.vmap(function)(np.arange(total_steps))
    is_known = isinstance(found, jax.Array) and not is_traced(found)
    if is_known and found.shape == (total_steps,) and is_real(found.dtype):
        rates = np.asarray(found, float)
        if _agrees(function, rates, 1e-6):
            return rates
    return None


def _one_by_one(function: Callable[[Any], Any], counts: Sequence[int]) -> np.ndarray:
    rates, start = np.empty(len(counts)), time.monotonic()
    due = start + 10
    for i, count in enumerate(counts):
        rates[i] = _rate(function, count)
        if (now := time.monotonic()) > due:
            left = (now - start) * (len(counts) / (i + 1) - 1)
            line = f"from_function: {i + 1:,} of {len(counts):,} counts, {left:.0f} s to go"
            print(line, file=sys.stderr)
            due = now + 10
    return rates


def _agrees(function: Callable[[Any], Any], rates: np.ndarray, error: float) -> bool:
    """Whether the function returns these rates at a few counts, and where one is not finite."""
    end = len(rates)
    counts = {0, 1, end // 3, end // 2, end - 2, end - 1} & set(range(end))
    unknown = np.flatnonzero(~np.isfinite(rates))[:1].tolist()
    error *= np.abs(rates).max()
    return all(abs(_rate(function, c) - rates[c]) <= error for c in [*unknown, *sorted(counts)])


def _rate(function: Callable[[Any], Any], count: int) -> float:
    """The rate at one count, which is a number or refused."""
    value: Any = None
    known = True
    try:
        try:
            value = function(count)
        except (AttributeError, TypeError):  # takes arrays only
            value = function(jnp.asarray(count))
    except jax.errors.JAXTypeError:  # asked a tracer for its value
        known = False
    except Exception as error:
        got = f"{type(error).__name__}: {error}, at count {count}"
        raise bad_value("function", "return a rate at every count", got, WRITE) from error
    if not known or is_traced(value):
        write = "convert it for a peak of 1, then multiply: from_function(...) * peak"
        raise bad_value("function", "use known values only", "one that jit or vmap traces", write)
    if shape := tuple(getattr(value, "shape", ())):
        raise bad_value("function", "return a scalar", f"shape {shape} at count {count}", WRITE)
    number: Any = value.item() if hasattr(value, "item") else value
    if isinstance(number, bool) or not hasattr(number, "__float__"):
        got = f"{shown(number)} at count {count}"
        raise bad_kind("function", "return a real number", got, WRITE)
    if not math.isfinite(number):
        got = f"{number} at count {count}"
        raise bad_value("function", "return a finite rate at every count", got, WRITE)
    return float(number)


def _double_precision() -> contextlib.AbstractContextManager[None, None]:
    before_jax_0_8 = importlib.import_module("jax.experimental")
    return (jax if hasattr(jax, "enable_x64") else before_jax_0_8).enable_x64(True)
