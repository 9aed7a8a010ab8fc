"""Stages of what is neither held nor straight: a step each, or ramps within an error."""

import itertools

import numpy as np
from numpy import ndarray

from optax_stepping._straight import SINGLE

Stages = dict[int, tuple[float, bool]]  # start: rate, whether it ramps to the next


def steps_along(rates: ndarray, first: int, last: int) -> Stages:
    """A held stage wherever the rate changes after ``first`` and before ``last``."""
    changes = first + 1 + np.flatnonzero(np.diff(rates[first:last]))
    return {count: (rates[count], False) for count in changes.tolist()}


def ramps_along(rates: ndarray, single: ndarray, first: int, last: int, error: float) -> Stages:
    """Ramps from ``first`` to ``last`` that stay within ``error`` of both tables, or steps where
    these are as few. They are exact at both ends, at jumps and at corners, and between those
    within the range of the rates.
    """
    stages = {}
    for start, end in itertools.pairwise([first, *_corners(rates, first, last), last]):
        steps = {start: (rates[start], False)} | steps_along(rates, start, end)
        here = slice(start, end + 1)
        ramps = _ramps(rates[here], single[here], error) if end - start > 1 else []
        if 0 < len(ramps) < len(steps):
            steps = {start + count: (rate, True) for count, rate in ramps}
        stages |= steps
    return stages


def _corners(rates: ndarray, first: int, last: int) -> list[int]:
    """The counts between where a curve bends much more than two counts before and beyond."""
    curve = rates[first : last + 1]
    bends = np.pad(np.abs(np.diff(curve, 2)), (3, 3))
    nearby = np.maximum(bends[:-4], bends[4:])
    sharp = bends[2:-2] > np.maximum(8 * nearby, 4 * SINGLE * np.abs(curve).max())
    return (first + np.flatnonzero(sharp)).tolist()


def _ramps(curve: ndarray, single: ndarray, error: float) -> list[tuple[int, float]]:
    """Where ramps start, and what from: one after the other, each nearly as long as can be.

    The slopes that keep a ramp within ``error`` of the rates so far are a cone, which narrows
    count by count, until it is empty. A ramp that ended there would leave the next one no
    choice, so it ends a little earlier.
    """
    low, high = curve.min(), curve.max()
    floor = np.minimum(np.maximum(np.maximum(curve, single) - error, low), curve)
    roof = np.maximum(np.minimum(np.minimum(curve, single) + error, high), curve)
    floor[-1] = roof[-1] = curve[-1]
    floor, roof = floor.data, roof.data  # their slices are views, and their items Python floats
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
