"""Straight stretches of a table of rates, held or sloping, with their ends."""

import itertools

import numpy as np
from numpy import ndarray

# The second differences that rounding leaves on a line, relative to the largest rate on it.
DOUBLE, SINGLE = 2.0**-49, 2.0**-21


def straight_stretches(rates: ndarray) -> list[tuple[int, int]]:
    """The first and last counts of every straight stretch, in order; two may share an end.

    Held stretches are found first, then lines up to the noise of the rates. Noise hides slow curves
    between neighboring rates, so every 4th, 16th, ... rate is looked at, too. Last come lines with
    the noise of the largest rate of all: some rates are differences of larger numbers.
    """
    size, noise = len(rates), _noise(rates)
    free, found = np.ones(size, bool), []
    strides = [1, *itertools.takewhile(lambda n: 8 * n < size, (4**k for k in range(1, 16)))]
    lines = itertools.product([noise], [True, False], strides)
    for bend, local, stride in [(0.0, True, 1), (SINGLE, True, 1), *lines]:
        new = True
        while new:  # among the smaller rates that are left, smaller bends are sharp ends
            new = []
            for run in _runs(rates[::stride], free[::stride], bend, noise, local):
                first, last = _at_every_count(rates, free, run, stride, noise, local)
                if first < last:
                    free[first : last + 1] = False
                    new.append((first, last))
            found += new
    return sorted(found)


def _noise(rates: ndarray) -> float:
    """What rounding adds to second differences, relative to the rates. Fourth differences show it,
    because curves have hardly any.
    """
    height, fourth = np.abs(rates[2:-2]), np.abs(np.diff(rates, 4))
    some = (fourth > 0) & (height > 0)
    fourth = np.minimum(fourth, height)[some] / height[some]
    return float(np.clip(np.quantile(fourth, 0.9), DOUBLE, SINGLE)) if fourth.size else DOUBLE


def _runs(
    rates: ndarray, free: ndarray, bend: float, noise: float, local: bool
) -> list[tuple[int, int]]:
    """Stretches among the ``free`` counts, by these rules:

    - Inside, second differences are at most ``bend``. Held rates are equal to the bit. Others are
      as close to the line through both ends as the noise; as recursions do, they may drift.
    - The ends are sharp: the second difference there, or at the next count, is at least four times
      the noise. A curve that looks straight for a while has no such ends. A long held stretch may
      end in any way.
    - A line of less than six counts has another stretch, or an end of the table, next to it:
      curves are straight for so long where they turn. Two equal rates are a stretch.

    ``bend`` is relative to the largest rate of the stretch, or of all rates if not ``local``. At
    an end, the noise is relative to the largest free rate around.
    """
    first, last, top = _unbent(rates, free, bend, local)
    if not first.size:
        return []
    size, length, held = len(rates), last - first, rates[first] == rates[last]
    changes = np.flatnonzero(np.diff(free, prepend=not free[0]))
    tops = np.maximum.reduceat(np.abs(rates), changes)
    around = tops[np.searchsorted(changes, (first + last + 1) // 2, "right") - 1]
    clear = 4 * noise * (around if local else top)
    # The second difference at count c is bends[c + 1].
    bends = np.pad(np.abs(np.diff(rates, 2)), 2) if size > 2 else np.zeros(4)
    sharp_start = (first == 0) | (np.maximum(bends[first], bends[first + 1]) > clear)
    sharp_end = (last == size - 1) | (np.maximum(bends[last + 1], bends[last + 2]) > clear)
    good = (sharp_start & sharp_end) | (held & (length > max(16, size / 128)))
    allowed = top * (noise * ~held / 2 + (bend > 0) * DOUBLE * length / 4)
    good &= (_off_line(rates, first, last) <= allowed) & (held | (bend > 0))
    beside = (first == 0) | (last == size - 1) | ~free[first - 1] | ~free[(last + 1) % size]
    near = first[1:] - last[:-1] <= 1
    beside[1:] |= good[:-1] & near
    beside[:-1] |= good[1:] & near
    good &= (length > 4) | held | beside
    return list(zip(first[good].tolist(), last[good].tolist(), strict=True))


def _unbent(
    rates: ndarray, free: ndarray, noise: float, local: bool
) -> tuple[ndarray, ndarray, ndarray]:
    """Where second differences of free rates are at most ``noise``: first and last counts, and the
    largest rate.

    Stretches are found with the noise of the largest rate of all, and then broken up wherever the
    noise of their own largest rate is exceeded.
    """
    height = np.abs(rates)
    bent = np.pad(np.abs(np.diff(rates, 2)), (1, 1)) if len(rates) > 2 else np.zeros(len(rates))
    broken = ~free | (bent > noise * height.max())
    broken[[0, -1]] = True
    while True:
        ends = np.flatnonzero(broken)
        first, last = ends[:-1], ends[1:]
        pairs = (rates[first] == rates[last]) & free[first] & free[last]
        kept = pairs | (last - first > 1)
        first, last = first[kept], last[kept]
        counts, begins = _inside(first, last)
        if not local or not first.size:
            return first, last, np.full(first.size, height.max())
        top = np.maximum(np.maximum.reduceat(height[counts], begins), height[last])
        bad = (bent[counts] > noise * np.repeat(top, last - first)) & ~broken[counts]
        if not bad.any():
            return first, last, top
        broken[counts[bad]] = True


def _off_line(rates: ndarray, first: ndarray, last: ndarray) -> ndarray:
    """The largest distance from the line through both ends, for each stretch."""
    counts, begins = _inside(first, last)
    length = last - first
    slope = (rates[last] - rates[first]) / length
    line = np.repeat(slope, length) * (counts - np.repeat(first, length))
    line += np.repeat(rates[first], length)
    return np.maximum.reduceat(np.abs(line - rates[counts]), begins)


def _inside(first: ndarray, last: ndarray) -> tuple[ndarray, ndarray]:
    """All counts from ``first`` to before ``last``, and where in them each stretch begins."""
    length = last - first
    begins = np.cumsum(length) - length
    return np.arange(length.sum()) + np.repeat(first - begins, length), begins


def _at_every_count(
    rates: ndarray, free: ndarray, run: tuple[int, int], stride: int, noise: float, local: bool
) -> tuple[int, int]:
    """A stretch of every ``stride``-th rate, extended as far as all rates are on its line; or
    (0, 0) if a rate inside it is not.
    """
    first, last = run[0] * stride, run[1] * stride
    if stride == 1:
        return run
    top = np.abs(rates[[first, last]] if local else rates).max()
    noise = 0.0 if rates[first] == rates[last] else noise / 2 * top
    slope = (rates[last] - rates[first]) / (last - first)

    def reach(counts: ndarray) -> int:
        off = np.abs(rates[first] + slope * (counts - first) - rates[counts]) > noise
        off[1:] |= ~free[counts[:-1]]  # two stretches share an end at most
        return int(counts[off.argmax() - 1] if off.any() else counts[-1])

    if reach(np.arange(first, last + 1)) < last:
        return 0, 0
    before = np.arange(first, max(first - stride, 0) - 1, -1)
    beyond = np.arange(last, min(last + stride, len(rates) - 1) + 1)
    return reach(before), reach(beyond)
