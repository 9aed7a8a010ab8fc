"""A table of rates as a schedule: its straight stretches as stages, its curves as ramps."""

import contextlib
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_stepping import _arguments as arguments
from optax_stepping._arguments import bad_value, shown
from optax_stepping._schedule import SteppingSchedule, make_schedule
from optax_stepping._stack import pad
from optax_stepping._stages import Stages, stretches_and_curves, to_stages

EXAMPLE = "[0.1, 0.1, 0.05]"
WRITE = f"write {EXAMPLE}"
MOST_STEPS = 256  # that are neither held nor straight, and are kept as a stage each
TOLERANCES = [m * 10.0**e for e in range(-6, 0) for m in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)]
CHUNK = 2**15  # counts whose errors are checked in one call


def from_table(
    rates: Any, *, tolerance: float | None = None, num_stages: int | None = None
) -> SteppingSchedule:
    """A table of rates, one for each step, as stages.

    ``rates[c]`` is the rate at count ``c``; after the last, the last holds.

    A stretch of rates that is held or straight becomes one stage, and its ends stay where they are:
    a warmup that ends at 5,000 ends at 5,000. Straight means up to rounding in float64, in
    recursions, or in float32, whatever dtype the rates have. A rate per epoch becomes a stage per
    epoch. Up to 256 rates that are neither held nor straight become a stage each.

    Everything else is a curve, which needs a ``tolerance``. It becomes a chain of ramps, each as
    long as possible, within ``tolerance * max(abs(rates))`` at every count; this is checked before
    the schedule is returned. The maximum is over the whole table, so one spike sets the scale.
    Between two corners or jumps of the curve, ramps never leave the range of its rates, and they
    are exact at both. A warmup and a cosine take 17 stages at 1e-3 and 47 at 1e-4, over 1,000 steps
    or a million.

    Inside ``jit`` and ``vmap`` and under ``jax.transfer_guard("disallow")``, too, the schedule is
    concrete.

    Args:
      rates: finite real numbers that are not traced: a one-dimensional sequence, or an array of
        NumPy, JAX, pandas or PyTorch. Ten million are fine.
      tolerance: the largest error along a curve, relative to the largest rate; at least 1e-6,
        because float32 rounds by up to 1e-7.
      num_stages: pad to this many stages; see :func:`optax_stepping.pad`.

    Returns:
      A schedule with these rates.

    Raises:
      ValueError: ``rates`` are empty, not one-dimensional, traced, not finite, or curved without a
        ``tolerance``; ``tolerance`` is below 1e-6 or infinite; or more than ``num_stages`` stages
        are needed. The message says where, or how many.
      TypeError: an argument is of the wrong kind.

    Example:
      >>> import numpy as np
      >>> import optax_stepping
      >>> optax_stepping.from_table([0.0, 0.1, 0.2, 0.3, 0.3, 0.3, 0.1])
      SteppingSchedule(boundaries=[3, 6], rates=[0.0, 0.3, 0.1], ramps=[True, False])
      >>> cosine = 0.5 + 0.5 * np.cos(np.pi * np.arange(1001) / 1000)
      >>> optax_stepping.from_table(cosine, tolerance=0.05).boundaries.tolist()
      [373, 852, 1000]
    """
    arguments.check_options(tolerance, num_stages)
    with concrete():
        return find_stages(_checked(rates), tolerance, num_stages)


@contextlib.contextmanager
def concrete() -> Iterator[None]:
    """Here JAX computes at once, inside transformations too, and may transfer arrays."""
    with jax.ensure_compile_time_eval(), jax.transfer_guard("allow"):
        yield


def find_stages(
    rates: np.ndarray, tolerance: float | None, num_stages: int | None, apart: Any = 0.0
) -> SteppingSchedule:
    """The schedule of a checked table. At each count, rates in the precision in force may be
    ``apart`` from it.
    """
    dtype = np.finfo(jnp.result_type(float))
    for count in np.flatnonzero(~(np.abs(rates) <= dtype.max))[:1]:
        must, got = f"be finite and at most {dtype.max:.3g}", f"{rates[count]} at count {count}"
        raise bad_value("rates", must, got, "write a number such as 0.1")
    largest, (stretches, curves) = np.abs(rates).max(), stretches_and_curves(rates)

    def stages_within(tolerance: float) -> Stages:
        """With room for the rounding of rates and ramps."""
        error = np.maximum((tolerance - 4 * dtype.eps) * largest - apart, np.zeros(len(rates)))
        return to_stages(rates, stretches, curves if tolerance else [], error, dtype.dtype.type)

    starts, levels, ramps = stages_within(tolerance or 0.0)
    number, steps = len(starts), np.count_nonzero(~np.isin(starts, stretches))
    if tolerance is None and steps > MOST_STEPS:
        first, last = max(curves, key=lambda curve: curve[1] - curve[0])
        needed = len(stages_within(1e-3)[0]) - (number - steps)
        got = f"a curve from step {first} to step {last}"
        write = f"write tolerance=1e-3, which takes {needed} ramps"
        raise bad_value("rates", "be held or straight without a tolerance", got, write)
    if num_stages is not None and num_stages < number:
        at = bisect_left(TOLERANCES, -num_stages, key=lambda t: -len(stages_within(t)[0]))
        other = f" or tolerance={TOLERANCES[at]:g}" if at < len(TOLERANCES) else ""
        write = f"write num_stages={number}{other}"
        raise bad_value("num_stages", f"be at least {number} for these rates", num_stages, write)
    schedule = make_schedule(starts[1:].astype(np.int32), levels, ramps[:-1])
    if tolerance is not None and curves:
        # Padded to a power of two and in chunks, so that few programs are compiled.
        padded = pad(schedule, max(16, 1 << (number - 1).bit_length()))
        chunks = [padded(np.arange(c, c + CHUNK)) for c in range(0, len(rates), CHUNK)]
        off = np.abs(np.concatenate(chunks)[: len(rates)] - rates) + apart
        if not off.max() <= tolerance * largest:
            write = f"write tolerance={1.1 * off.max() / largest:.2g}"
            raise bad_value("tolerance", "be larger: rates depend on precision", tolerance, write)
    return pad(schedule, num_stages or number)


def _checked(rates: Any) -> np.ndarray:
    """The table in double precision."""
    is_array = hasattr(rates, "__array__")
    if isinstance(rates, np.ndarray | np.generic | jax.Array):
        arguments.check_array("rates", rates, EXAMPLE)
    entries = [rates] if is_array else arguments.sequence("rates", rates, EXAMPLE)
    write = "convert them outside jit for a peak of 1, and multiply the schedule"
    arguments.check_known("rates", "be known", rates, entries, write)
    try:
        table = np.asarray(rates) if is_array else np.fromiter(entries, object)
    except Exception as error:  # whatever an object raises that cannot be read as an array
        raise bad_value("rates", "be one number a step", shown(rates), WRITE) from error
    if table.ndim != 1 or not table.size:
        raise bad_value("rates", "be one-dimensional and not empty", f"shape {table.shape}", WRITE)
    if not arguments.is_real(table.dtype) and {*map(type, table)} != {float}:
        table = [arguments.real(f"rates[{count}]", rate, "0.1") for count, rate in enumerate(table)]
    return np.array(table, float)
