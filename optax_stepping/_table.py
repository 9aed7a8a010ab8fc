"""Stages of any schedule: from its rates at the counts 0, 1, 2, ..."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from optax_stepping._arguments import integer
from optax_stepping._pieces import Piece, to_schedule
from optax_stepping._schedule import SteppingSchedule
from optax_stepping._stack import pad

# How far the entries of a line may lie off it, relative to its larger end (or to the largest rate
# of all), and second differences off 0, relative to the latter. Rates computed in double precision
# drift, but are smooth from step to step. Those in single precision are often sums with larger
# numbers, whose rounding they keep.
DOUBLE, SINGLE, COARSE = (
    (1e-9, 1e-12, False),
    (2.0**-22, 2.0**-20, False),
    (2.0**-22, 2.0**-20, True),
)
# What a ramp of float32 rates may be off by itself.
ROOM = 2.0**-21


def from_function(
    function: Callable[[Any], Any],
    *,
    total_steps: int,
    tolerance: float | None = None,
    num_stages: int | None = None,
) -> SteppingSchedule:
    """The rates of a function at the counts 0 .. total_steps - 1; see from_table."""
    total_steps = integer("total_steps", total_steps, low=1)
    counts = np.arange(total_steps)
    # In double precision, lines are told from curves much more surely.
    with _double_precision(), jax.ensure_compile_time_eval(), jax.transfer_guard("allow"):
        try:
            # Not on the array itself: some of Optax' schedules know single counts only.
            rates = jax.vmap(function)(counts)
        except (TypeError, ValueError, AttributeError, jax.errors.JAXTypeError):
            rates = [float(function(count)) for count in counts.tolist()]
    return from_table(np.asarray(rates, float), tolerance=tolerance, num_stages=num_stages)


def _double_precision() -> Any:
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64  # before jax 0.8

    return enable_x64(True)


def from_table(
    rates: Any, *, tolerance: float | None = None, num_stages: int | None = None
) -> SteppingSchedule:
    """The rates at the counts 0 .. N - 1, the last of which holds for ever.

    What is held or goes in a straight line is kept, with its ends where they are. What is curved
    is refused, or cut into ramps: the fewest with errors of at most ``tolerance`` times the
    largest rate at every count. ``num_stages`` pads to that many stages.
    """
    with jax.transfer_guard("allow"):
        rates = np.asarray(rates, float)
    if rates.ndim != 1 or not rates.size or not np.isfinite(rates).all():
        raise ValueError("rates must be finite numbers, one for each count from 0 on.")
    largest = float(np.abs(rates).max())
    lines, curves = exact_parts(rates, largest)

    def knots(share):
        return [k for c in curves for k in ramps_along(rates, *c, max(share - ROOM, 0) * largest)]

    if tolerance is None and curves:
        raise ValueError(
            f"rates are curved from step {curves[0][0]} to {curves[0][1]}"
            f"{f', and in {len(curves) - 1} other places' if curves[1:] else ''}; allow an error: "
            f"tolerance=1e-3 takes {len(knots(1e-3))} ramps."
        )
    pieces = to_pieces(rates, lines, knots(tolerance or 0.0))
    schedule = to_schedule(pieces)
    return schedule if num_stages is None else pad(schedule, num_stages)


def exact_parts(rates: np.ndarray, largest: float) -> tuple[list, list]:
    """First and last counts of lines, and of the curves between them."""
    with np.errstate(over="ignore"):
        is_single = (rates == rates.astype(np.float32)).all()
    for precision in (SINGLE, COARSE) if is_single else (DOUBLE, SINGLE, DOUBLE):
        lines = straight_stretches(rates, largest, *precision)
        ends = [(0, 0), *lines, (len(rates) - 1,) * 2]
        # Up to two counts between lines are stages of their own.
        curves = [(a, b) for (_, a), (b, _) in itertools.pairwise(ends) if b - a > 3]
        if not curves:
            break
    return lines, curves


def straight_stretches(rates, largest, noise, bend, coarse) -> list[tuple[int, int]]:
    """First and last count of every stretch that is straight, as far as it is, and ends sharply."""
    scale = largest if coarse else 0.0
    turns = np.abs(np.diff(rates, 2)) > bend * largest  # at count i + 1
    breaks = np.flatnonzero(np.concatenate([[True], turns, [True]])) if len(rates) > 1 else []
    found = []
    for start, end in itertools.pairwise(breaks):
        while end - start >= 2:
            last = _reach(rates, start, end, noise, scale)
            least = found[-1][1] if found else 0
            first, last = _widened(rates, start, last, noise, scale, least)
            if last - first >= 2 and _sharp(rates, first, last, noise, scale, least):
                found.append((int(first), int(last)))
            start = max(last, start + 1)
    # Two equal rates between jumps are a stage, too.
    changes = np.abs(np.diff(rates))
    jumps = changes > 4 * noise * largest
    pairs = np.flatnonzero((changes[1:-1] == 0) & jumps[:-2] & jumps[2:]) + 1
    inside = np.zeros(len(rates), bool)
    for first, last in found:
        inside[first : last + 1] = True
    found += [(int(i), int(i) + 1) for i in pairs if not inside[i : i + 2].any()]
    return sorted(found)


def _off(rates: np.ndarray, first: int, last: int, counts: np.ndarray, scale: float) -> np.ndarray:
    """How far entries are off the line of two of them, relative to the larger one."""
    slope = (rates[last] - rates[first]) / (last - first)
    scale = max(abs(rates[first]), abs(rates[last]), scale) or 1.0
    return np.abs(rates[first] + slope * (counts - first) - rates[counts]) / scale


def _reach(rates: np.ndarray, start: int, end: int, noise: float, scale: float) -> int:
    """The last count up to which the rates from ``start`` on are on a line: doubling, halving."""
    fits = lambda last: (_off(rates, start, last, np.arange(start, last), scale) <= noise).all()
    low, step = start + 1, 1
    while low < end and fits(min(low + step, end)):
        low, step = min(low + step, end), 2 * step
    high = min(low + step, end + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _widened(rates, first, last, noise, scale, least):
    """The stretch with what lies on its line before it."""
    before = np.arange(first - 1, max(least, 2 * first - last) - 1, -1)
    beyond = _off(rates, first, last, before, scale) > noise
    return first - (int(beyond.argmax()) if beyond.any() else len(before)), last


def _sharp(
    rates: np.ndarray, first: int, last: int, noise: float, scale: float, least: int
) -> bool:
    """Whether the rates leave the line at once, as curves do not, at both of its ends."""
    near = max(1, (last - first) // 8)
    # Where another line ends, this one may begin however it does.
    sides = np.arange(max(first - near, least), first), np.arange(last + 1, last + 1 + near)
    sides = [side[side < len(rates)] for side in sides]
    return all(not len(s) or (_off(rates, first, last, s, scale) > 4 * noise).any() for s in sides)


def ramps_along(rates: np.ndarray, first: int, last: int, error: float) -> list[tuple[int, float]]:
    """Where ramps along a curve start and what from: each is the longest that stays within
    ``error`` and the curve's own range; both ends of the curve are exact.
    """
    curve = rates[first : last + 1]
    floor = np.maximum(curve - error, curve.min())
    roof = np.minimum(curve + error, curve.max())
    floor[-1] = roof[-1] = curve[-1]
    at, value, found, block = 0, curve[0], [], 64
    while at < len(curve) - 1:
        found.append((first + at, float(value)))
        # The slopes from here that pass between floor and roof, count by count: a narrowing cone.
        steps = np.arange(1, min(block, len(curve) - 1 - at) + 1)
        low = np.maximum.accumulate((floor[at + steps] - value) / steps)
        high = np.minimum.accumulate((roof[at + steps] - value) / steps)
        closed = low > high
        if not closed.any() and steps[-1] < len(curve) - 1 - at:
            block *= 2
            found.pop()
            continue
        length = max(int(closed.argmax()), 1) if closed.any() else len(steps)
        block = 2 * length
        slope = (low[length - 1] + high[length - 1]) / 2
        at += length
        value = min(max(value + slope * length, floor[at]), roof[at])
    return found


def to_pieces(rates: np.ndarray, lines: list, knots: list) -> list[Piece]:
    """Lines, ramps along curves, and held between them what is left of the counts."""
    values = dict(knots)
    ramped = {first for first, _ in lines} | set(values)
    starts = sorted({0, len(rates) - 1, *ramped, *(last for _, last in lines)})
    pieces = []
    for start, end in itertools.pairwise([*starts, len(rates)]):
        value = values.get(start, float(rates[start]))
        if start in ramped:
            target = values.get(end, float(rates[end]))
            pieces.append(Piece(start, value, None if target == value else target))
        else:
            pieces += [Piece(count, float(rates[count])) for count in range(start, end)]
    return pieces
