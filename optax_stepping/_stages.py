"""The stages of a table of rates: straight stretches, and steps or ramps along its curves."""

import itertools
from collections.abc import Iterator

import numpy as np

# The second differences that rounding leaves on a line, relative to the largest rate around.
DOUBLE, SINGLE = 2.0**-49, 2.0**-21
Array = np.ndarray
Spans = list[tuple[int, int]]  # first and last counts
Stages = tuple[Array, Array, Array]  # starts, rates, ramps


def stretches_and_curves(rates: Array) -> tuple[Spans, Spans]:
    """Every straight stretch, and the curves between, split at their corners; neighbours may share
    an end.

    A gap is searched for held stretches, and if it has none, for lines. What is found splits it
    into smaller gaps, which are searched again: their largest rate, and so their noise, may be
    smaller. Where nothing is found is a curve.
    """
    noise, stretches, curves, gaps = _noise(rates), [], [], [(0, len(rates) - 1)]
    while gaps:
        start, end = gaps.pop()
        part = rates[start : end + 1]
        off = noise * np.abs(part).max()
        found = [(start + a, start + b) for a, b in _held(part, off) or [*_lines(part, off)]]
        stretches += found
        ends = itertools.pairwise([(start, start), *found, (end, end)])
        if found:
            gaps += [(last, first) for (_, last), (first, _) in ends if first - last > 1]
        else:
            curves += itertools.pairwise([start, *(start + _corners(part)).tolist(), end])
    return stretches, curves


def _noise(rates: Array) -> float:
    """What rounding adds to second differences, relative to the rates. Fourth differences show it,
    because curves have hardly any.
    """
    height, fourth = np.abs(rates[2:-2]), np.abs(np.diff(rates, 4))
    share = fourth[fourth > 0] / (fourth + height)[fourth > 0]
    return float(np.clip(np.quantile(np.append(share, DOUBLE), 0.9), DOUBLE, SINGLE))


def _held(rates: Array, noise: float) -> Spans:
    """Stretches of two or more rates that are equal to the bit. At both ends, the rates jump by
    much more than noise, or else it is longer than 1/1024 of the gap: a flat curve has equal rates,
    too, but not for so long.
    """
    jumps = np.abs(np.diff(rates, prepend=np.inf, append=np.inf))
    starts = np.flatnonzero(jumps)
    steps, sharp = np.diff(starts) - 1, jumps[starts] > 4 * noise
    good = (steps > 0) & (sharp[:-1] & sharp[1:] | (steps > len(rates) / 1024))
    return np.column_stack([starts[:-1], starts[1:] - 1])[good].tolist()


def _lines(rates: Array, noise: float) -> Iterator[tuple[int, int]]:
    """Stretches of three or more rates that are straight up to noise.

    - A line starts where rates hardly bend, and goes on as long as a ramp can. From step to step it
      may drift a little, as recursions do. Then it goes on backwards, for it may have begun before.
    - Its ends are sharp: within an eighth of its length beyond, the rates leave it by much more
      than noise and drift. A curve that looks straight for a while has no such ends. Where another
      line or the gap ends, it may end in any way.
    - A line of less than six counts is next to one of those ends: a curve that turns is straight
      for so long.
    """
    end, off, drift = len(rates) - 1, noise / 2, DOUBLE / 4 * np.abs(rates).max()
    # Items of these are Python floats, and slices of them views.
    floor, roof, rate = (table.data for table in (rates - off, rates + off, rates))
    before, reached = 0, 0
    for first in np.flatnonzero(np.abs(np.diff(rates, 2)) <= 4 * (off + drift)).data:
        if first < reached:
            continue
        steps, slope = _reach(floor[first + 1 :], roof[first + 1 :], rate[first], drift)
        reached = last = first + steps

        def distance(count: int, last: int = last, slope: float = slope) -> float:
            return abs(rate[last] + slope * (count - last) - rate[count])

        while first > before and distance(first - 1) <= noise:
            first -= 1
        near, clear = max(1, steps // 8), 8 * (off + drift * steps)
        ahead = range(max(first - near, before + 1), first)
        beyond = range(last + 1, min(last + near + 1, end))
        sharp = all(not side or max(map(distance, side)) > clear for side in (ahead, beyond))
        if sharp and last - first >= (5 if ahead and beyond else 2):
            yield first, last
            before = last


def _corners(curve: Array) -> Array:
    """Counts where a curve bends much more than two counts before and after, and than rounding."""
    bends = np.pad(np.abs(np.diff(curve, 2)), 3)
    least = np.maximum(8 * np.maximum(bends[:-4], bends[4:]), 4 * SINGLE * np.abs(curve).max())
    return np.flatnonzero(bends[2:-2] > least)


def _reach(floor: memoryview, roof: memoryview, rate: float, drift: float) -> tuple[int, float]:
    """How many steps a ramp from ``rate`` stays between floor and roof, and its slope.

    The slopes that do so form a cone, which narrows count by count until it is empty.
    """
    low, high, steps = -np.inf, np.inf, 0
    for lower, upper in zip(floor, roof, strict=True):
        lower, upper = (lower - rate) / (steps + 1) - drift, (upper - rate) / (steps + 1) + drift
        if lower > high or upper < low:
            break
        low, high, steps = max(low, lower), min(high, upper), steps + 1
    return steps, (low + high) / 2


def to_stages(rates: Array, spans: Spans, curves: Spans, error: Array, dtype: type) -> Stages:
    """The count and the rate at which each stage starts, and whether it ramps to the next one.

    At first each count is a stage. Then each span becomes one, and each curve as few ramps as are
    within ``error``. At last, stages of one step and ramps to an equal rate are held, and a rate
    that is held goes on.
    """
    kept, levels = np.ones(len(rates), bool), rates.copy()
    for first, last in spans + curves:
        kept[first + 1 : last] = False
    for first, last in curves:
        for count, rate in _chain(rates[first : last + 1], error[first : last + 1]):
            kept[first + count], levels[first + count] = True, rate
    starts, levels = np.flatnonzero(kept), levels[kept].astype(dtype)
    equal = levels[1:] == levels[:-1]
    ramps = np.append(~equal & (np.diff(starts) > 1), False)
    new = np.append(True, ~equal | ramps[1:])
    return starts[new], levels[new], ramps[new]


def _chain(curve: Array, error: Array) -> Iterator[tuple[int, float]]:
    """The counts and rates where ramps along a curve start, each nearly as long as possible. (To
    the very last count, a ramp would leave the next one no choice of its start.) They are exact at
    both ends of the curve, and after a ramp of one step, and stay within the range of its rates.
    """
    floor, roof = np.maximum(curve - error, curve.min()), np.minimum(curve + error, curve.max())
    floor[-1] = roof[-1] = curve[-1]
    floor, roof, count, rate, end = floor.data, roof.data, 0, curve.item(0), len(curve) - 1
    while count < end:
        yield count, rate
        steps, slope = _reach(floor[count + 1 :], roof[count + 1 :], rate, drift=0.0)
        steps -= steps // 64 if count + steps < end else 0
        count += steps
        target = min(max(rate + slope * steps, floor[count]), roof[count])
        rate = target if steps > 1 else curve.item(count)
