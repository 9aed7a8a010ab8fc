"""The stages of a table of rates: straight stretches, and steps or ramps along its curves."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from optax_stepping._straight import SINGLE, gaps, longest_ramp


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


def to_stages(
    rates: ndarray, single: ndarray, stretches: list[tuple[int, int]], error: float | None
) -> Stages:
    """At first each count is a stage. A ramp then takes the place of every stretch.

    So do ramps within ``error`` of both tables along curves, unless these have as few steps. Ramps
    are exact at both ends of a curve and at its corners, and stay within the range of the rates
    between those.
    """
    size = len(rates)
    kept, values, ramps = np.ones(size, bool), rates.copy(), np.zeros(size, bool)
    for first, last in stretches:
        kept[first + 1 : last], ramps[first] = False, True
    curves = [] if error is None else gaps(stretches, 0, size - 1)
    for start, end in itertools.chain(*(_between_corners(rates, *curve) for curve in curves)):
        here = slice(start, end + 1)
        chain = _chain(rates[here], single[here], error or 0.0)
        if len(chain) <= np.count_nonzero(np.diff(rates[start:end])):
            counts = start + np.array([*chain])
            kept[start + 1 : end] = False
            kept[counts], values[counts], ramps[counts] = True, [*chain.values()], True
    starts = np.flatnonzero(kept)
    return Stages(starts, values[starts], ramps[starts]).merged()


def _between_corners(rates: ndarray, first: int, last: int) -> Iterator[tuple[int, int]]:
    """The ends of the parts of a curve. At corners and jumps, it bends much more than two counts
    before and after.
    """
    bends = np.pad(np.abs(np.diff(rates[first : last + 1], 2)), 3)
    around, noise = np.maximum(bends[:-4], bends[4:]), np.abs(rates[first : last + 1]).max()
    corners = first + np.flatnonzero(bends[2:-2] > np.maximum(8 * around, 4 * SINGLE * noise))
    return itertools.pairwise([first, *corners.tolist(), last])


def _chain(curve: ndarray, single: ndarray, error: float) -> dict[int, float]:
    """The counts and rates where ramps start, each ramp nearly as long as possible.

    A ramp to the very last count would leave the next ramp no choice of its start, so it ends a
    little earlier.
    """
    floor = np.maximum(np.maximum(curve, single) - error, curve.min())
    roof = np.minimum(np.minimum(curve, single) + error, curve.max())
    # The tables may differ by more than the error, which is refused later.
    floor, roof = np.minimum(floor, curve), np.maximum(roof, curve)
    floor[-1] = roof[-1] = curve[-1]
    floor, roof = floor.data, roof.data
    start, end, rate, chain = 0, len(curve) - 1, float(curve[0]), {}
    while start < end:
        chain[start] = rate
        steps, slope = longest_ramp(floor[start + 1 :], roof[start + 1 :], rate)
        steps -= 0 if start + steps == end else steps // 64
        start += steps
        rate = min(max(rate + slope * steps, floor[start]), roof[start])
    return chain
