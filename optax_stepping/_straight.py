"""Straight stretches of a table of rates, held or sloping, with their ends."""

import itertools
import math
from collections.abc import Iterable

import numpy as np
from numpy import ndarray

# The second differences that rounding leaves on a line, relative to the largest rate around.
DOUBLE, SINGLE = 2.0**-49, 2.0**-21


def straight_stretches(rates: ndarray) -> list[tuple[int, int]]:
    """The first and last counts of every straight stretch, in order; two may share an end.

    First come held stretches, then lines. Those that are found leave gaps between them. If the
    rates in a gap are smaller, their rounding is, too, so it is searched again.
    """
    noise, found = _noise(rates), []
    for search in (_held, _lines):
        left = gaps(found, 0, len(rates) - 1)
        while left:
            start, end = left.pop()
            part = rates[start : end + 1]
            new = [(start + a, start + b) for a, b in search(part, noise * np.abs(part).max())]
            left += gaps(new, start, end) if new else []
            found += new
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
    """Stretches of rates that are equal to the bit, with sharp ends: the rates leave them at once,
    or at least within twice their length, by much more than the noise. A curve has equal rates,
    too, where it is flat, but leaves them slowly. A long stretch may end in any way.
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
    return list(zip(first[good].tolist(), last[good].tolist(), strict=True))


def _lines(rates: ndarray, noise: float) -> list[tuple[int, int]]:
    """Stretches that are straight up to noise. From step to step they may drift, as recursions do.

    - Each is as long as possible: first forwards, then, if that did not start at an end, backwards.
    - Its ends are sharp: within an eighth of its length beyond, the rates leave its line by much
      more than the noise. A curve that looks straight for a while has no such ends. Next to another
      stretch, and at an end of the table, it may end in any way.
    - If it has less than six counts, it is next to one: curves are straight for so long where they
      turn.
    """
    size, off = len(rates), noise / 2
    drift = DOUBLE / 4 * np.abs(rates).max()
    unbent = np.abs(np.diff(rates, 2)) <= 4 * (off + drift)
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
        off_line = (abs(rate[last] + slope * (c - last) - rate[c]) for c in beyond)
        return not beyond or any(off > 4 * noise for off in off_line)

    # Most counts of most curves are next to a bend.
    for first in np.flatnonzero(unbent).tolist():
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
