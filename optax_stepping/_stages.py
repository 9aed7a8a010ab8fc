"""The stages of a table of rates: straight stretches, and steps or ramps along its curves."""

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy import ndarray

# The second differences that rounding leaves on a line, relative to the largest rate around.
DOUBLE, SINGLE = 2.0**-49, 2.0**-21


def straight_stretches(rates: ndarray) -> list[tuple[int, int]]:
    """The first and last counts of every straight stretch, in order; two may share an end.

    First come held stretches, then lines in the gaps between them. What is found splits a gap into
    smaller ones, which are searched again: their largest rate, and so their noise, may be smaller.
    """
    noise, found = _noise(rates), []
    for search in (_held, _lines):
        left = gaps(found, 0, len(rates) - 1)
        while left:
            start, end = left.pop()
            part = rates[start : end + 1]
            new = [(start + a, start + b) for a, b in search(part, noise * np.abs(part).max())]
            found += new
            left += gaps(new, start, end) if new else []
    return sorted(found)


def gaps(stretches: list[tuple[int, int]], first: int, last: int) -> list[tuple[int, int]]:
    """From the end of each stretch to the start of the next one, if there are counts between."""
    ends = itertools.pairwise([(first, first), *sorted(stretches), (last, last)])
    return [(end, start) for (_, end), (start, _) in ends if start - end > 1]


def _noise(rates: ndarray) -> float:
    """What rounding adds to second differences, relative to the rates. Fourth differences show it,
    because curves have hardly any.
    """
    height, fourth = np.abs(rates[2:-2]), np.abs(np.diff(rates, 4))
    some = (fourth > 0) & (height > 0)
    fourth = np.minimum(fourth, height)[some] / height[some]
    return float(np.clip(np.quantile(fourth, 0.9), DOUBLE, SINGLE)) if fourth.size else DOUBLE


def _held(rates: ndarray, noise: float) -> list[tuple[int, int]]:
    """Stretches of two or more rates that are equal to the bit.

    Their ends are sharp: the next rate, or one at twice as many counts, differs by much more than
    the noise. A flat curve has equal rates, too, but leaves them slowly. A stretch of more than 16
    counts and 1/128 of the gap may end in any way, and so may any stretch where the gap ends.
    """
    ends, size = np.flatnonzero(np.diff(rates)), len(rates)
    first, last = np.append(0, ends + 1), np.append(ends, size - 1)
    first, last = first[last > first], last[last > first]
    length = last - first

    def is_sharp(end: ndarray, direction: int) -> ndarray:
        near, far = (np.clip(end + direction * n, 0, size - 1) for n in (1, 2 * length + 2))
        jump = np.maximum(np.abs(rates[near] - rates[end]), np.abs(rates[far] - rates[end]))
        return (near == end) | (jump > 4 * noise)

    good = is_sharp(first, -1) & is_sharp(last, 1) | (length > max(16, size / 128))
    return np.column_stack([first, last])[good].tolist()


def _lines(rates: ndarray, noise: float) -> list[tuple[int, int]]:
    """Stretches of three or more rates that are straight up to noise.

    - A line is as long as possible: it grows forwards, and then backwards, unless it began at a
      sharp end. From step to step it may drift a little, as recursions do.
    - Its ends are sharp: within an eighth of its length beyond, the rates leave it by much more
      than noise and drift. A curve that looks straight for a while has no such ends. Where another
      line or the gap ends, it may end in any way.
    - A line of less than six counts is next to one of those ends: a curve that turns is straight
      for so long.
    """
    size, off, drift = len(rates), noise / 2, DOUBLE / 4 * np.abs(rates).max()
    # Items of these are Python floats, and slices of them views.
    floor, roof, rate = (rates - off).data, (rates + off).data, rates.data
    found, before, reached = [], 0, 0

    def reach(first: int, last: int) -> int:
        """The count up to which a line from ``first`` goes on, on its way to ``last``."""
        if first < last:
            ahead = slice(first + 1, last + 1)
            return first + longest_ramp(floor[ahead], roof[ahead], rate[first], drift)[0]
        ahead = slice(last, first)
        return first - longest_ramp(floor[ahead][::-1], roof[ahead][::-1], rate[first], drift)[0]

    def is_sharp(first: int, last: int) -> bool:
        """Whether the rates beyond ``last`` leave the line that comes from ``first``."""
        slope, step = (rate[last] - rate[first]) / (last - first), 1 if first < last else -1
        stop = last + step + step * max(1, abs(last - first) // 8)
        beyond = range(last + step, min(max(stop, before - 1), size), step)
        clear = 8 * (off + drift * abs(last - first))
        return not beyond or any(
            abs(rate[last] + slope * (count - last) - rate[count]) > clear for count in beyond
        )

    # Where the next count bends by more, no line goes on: most counts of most curves.
    unbent = np.abs(np.diff(rates, 2)) <= 4 * (off + drift)
    for first in np.flatnonzero(unbent).data:
        if first >= reached:
            reached = last = reach(first, size - 1)
            if is_sharp(first, last):
                first = first if is_sharp(last, first) else reach(last, before)
                if last - first > 1 and is_sharp(last, first):
                    found.append((first, last))
                    before = last
    ends = [(0, 0), *found, (size - 1, size - 1)]
    return [
        (first, last)
        for (_, before), (first, last), (after, _) in zip(ends, found, ends[2:], strict=False)
        if last - first > 4 or first - before <= 1 or after - last <= 1
    ]


def longest_ramp(
    floor: Iterable[float], roof: Iterable[float], rate: float, drift: float = 0.0
) -> tuple[int, float]:
    """How many steps a ramp from ``rate`` stays between floor and roof, and its slope.

    The slopes that do so form a cone, which narrows count by count until it is empty.
    """
    low, high, steps = -math.inf, math.inf, 0
    for lower, upper in zip(floor, roof, strict=True):
        lower, upper = (lower - rate) / (steps + 1) - drift, (upper - rate) / (steps + 1) + drift
        if lower > high or upper < low:
            break
        low, high, steps = max(low, lower), min(high, upper), steps + 1
    return steps, (low + high) / 2


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
    rates: ndarray, single: ndarray, stretches: list[tuple[int, int]], error: float
) -> Stages:
    """At first each count is a stage. Then each stretch becomes one, and each curve, between the
    stretches, as few ramps as are within ``error`` of both tables; or its steps stay, if these are
    as few, or if ``error`` is 0.

    Ramps are exact at both ends of a curve and at its corners, and stay within the range of the
    rates between those.
    """
    size = len(rates)
    kept, values, ramps = np.ones(size, bool), rates.copy(), np.zeros(size, bool)
    for first, last in stretches:
        kept[first + 1 : last], ramps[first] = False, True
    for first, last in gaps(stretches, 0, size - 1) if error else []:
        for start, end in _between_corners(rates, first, last):
            here = slice(start, end + 1)
            chain = _chain(rates[here], single[here], error)
            if len(chain) <= np.count_nonzero(np.diff(rates[start:end])):
                counts = start + np.array([*chain])
                kept[start + 1 : end] = False
                kept[counts], values[counts], ramps[counts] = True, [*chain.values()], True
    starts = np.flatnonzero(kept)
    return Stages(starts, values[starts].astype(single.dtype), ramps[starts]).merged()


def _between_corners(rates: ndarray, first: int, last: int) -> Iterator[tuple[int, int]]:
    """The ends of the parts of a curve. At corners and jumps, it bends much more than two counts
    before and after, and than rounding does.
    """
    curve = rates[first : last + 1]
    bends = np.pad(np.abs(np.diff(curve, 2)), 3)
    least = np.maximum(8 * np.maximum(bends[:-4], bends[4:]), 4 * SINGLE * np.abs(curve).max())
    corners = first + np.flatnonzero(bends[2:-2] > least)
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
