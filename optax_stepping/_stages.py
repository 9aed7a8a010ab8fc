"""The stages of a table of rates: straight stretches, and steps or ramps along its curves."""

import itertools
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from optax_stepping._straight import SINGLE


class Stages(NamedTuple):
    starts: ndarray
    rates: ndarray
    ramps: ndarray  # whether each ramps to the next rate

    def merged(self) -> "Stages":
        """Ramps of one step, or to an equal rate, are held; a rate that is held goes on."""
        starts, rates, ramps = self
        equal = rates[1:] == rates[:-1]
        ramps = ramps & np.append(~equal & (np.diff(starts) > 1), False)
        new = np.append(True, ~equal | ramps[1:] | ramps[:-1])
        return Stages(starts[new], rates[new], ramps[new])


def curves_between(stretches: list[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """The last count of a stretch and the first of the next one, if there are counts between them.

    A curve at the start of the table comes after count -1, one at its end before ``size``.
    """
    ends = itertools.pairwise([(-1, -1), *stretches, (size, size)])
    return [(last, first) for (_, last), (first, _) in ends if first - last > 1]


def to_stages(
    rates: ndarray, single: ndarray, stretches: list[tuple[int, int]], error: float | None
) -> Stages:
    """A stage for every stretch; along curves, ramps within ``error``, or a stage a step."""
    end = len(rates) - 1
    found = {0: (rates[0], False), end: (rates[end], False)}
    for first, last in stretches:
        found[first] = rates[first], rates[first] != rates[last]
        if rates[first] != rates[last]:
            found[last] = rates[last], False
    for before, beyond in curves_between(stretches, len(rates)):
        first, last = max(before, 0), min(beyond, end)
        if error is None:
            found |= _steps(rates, first, last)
        else:
            found |= _ramps_or_steps(rates, single, first, last, error)
    starts = np.array(sorted(found))
    values, ramps = zip(*(found[start] for start in starts.tolist()), strict=True)
    return Stages(starts, np.array(values), np.array(ramps, bool))


def _steps(rates: ndarray, first: int, last: int) -> dict[int, tuple[float, bool]]:
    """A held stage wherever the rate changes after ``first`` and before ``last``."""
    changes = first + 1 + np.flatnonzero(np.diff(rates[first:last]))
    return {count: (rates[count], False) for count in changes.tolist()}


def _ramps_or_steps(
    rates: ndarray, single: ndarray, first: int, last: int, error: float
) -> dict[int, tuple[float, bool]]:
    """Ramps within ``error`` of both tables, or steps where these are as few.

    They are exact at both ends and at corners and jumps: counts where the curve bends much more
    than two counts before and after. Between those they stay within the range of the rates.
    """
    bends = np.pad(np.abs(np.diff(rates[first : last + 1], 2)), 3)
    noise = 4 * SINGLE * np.abs(rates[first : last + 1]).max()
    sharp = bends[2:-2] > np.maximum(8 * np.maximum(bends[:-4], bends[4:]), noise)
    found = {}
    corners = (first + np.flatnonzero(sharp)).tolist()
    for start, end in itertools.pairwise([first, *corners, last]):
        steps = {start: (rates[start], False)} | _steps(rates, start, end)
        if end - start > 1:
            here = slice(start, end + 1)
            ramps = _ramps(rates[here], single[here], error)
            if len(ramps) < len(steps):
                steps = {start + count: (rate, True) for count, rate in ramps}
        found |= steps
    return found


def _ramps(curve: ndarray, single: ndarray, error: float) -> list[tuple[int, float]]:
    """The counts and rates where ramps start, each ramp nearly as long as possible.

    The slopes that keep a ramp within ``error`` of the rates form a cone, which narrows count by
    count until it is empty. A ramp to the very last count would leave the next ramp no choice of
    its start, so it ends a little earlier.
    """
    low, high = curve.min(), curve.max()
    floor = np.minimum(np.maximum(np.maximum(curve, single) - error, low), curve)
    roof = np.maximum(np.minimum(np.minimum(curve, single) + error, high), curve)
    floor[-1] = roof[-1] = curve[-1]
    floor, roof = floor.data, roof.data  # slices of these are views, and items Python floats
    start, end, rate, found = 0, len(curve) - 1, float(curve[0]), []
    while start < end:
        found.append((start, rate))
        low, high, steps = -np.inf, np.inf, 0
        for lower, upper in zip(floor[start + 1 :], roof[start + 1 :], strict=True):
            lower, upper = (lower - rate) / (steps + 1), (upper - rate) / (steps + 1)
            if lower > high or upper < low:
                break
            low, high, steps = max(low, lower), min(high, upper), steps + 1
        steps -= 0 if start + steps == end else steps // 64
        start += steps
        rate = min(max(rate + (low + high) / 2 * steps, floor[start]), roof[start])
    return found
