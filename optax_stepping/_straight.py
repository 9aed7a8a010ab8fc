"""Straight stretches of a table of rates: what is held or goes in a line, with its ends."""

import itertools

import numpy as np
from numpy import ndarray

# The second differences that rounding leaves on a line, relative to its largest rate.
DOUBLE, SINGLE = 2.0**-49, 2.0**-21

Stretches = list[tuple[int, int]]


def straight_stretches(rates: ndarray) -> Stretches:
    """The first and last counts of every straight stretch, in order; two may share an end.

    A stretch is straight up to the noise of double precision or, in what is left, of single.
    The noise of single precision hides slow curves from neighboring rates, so every 4th, 16th,
    ... rate is looked at, too. In differences of larger numbers it is as large as theirs.
    """
    size = len(rates)
    if size == 1:
        return [(0, 0)]
    free, found = np.ones(size, bool), []
    # Next to what is found, the largest rate may be smaller, and smaller steps are sharp ends.
    while new := _runs(rates, free, DOUBLE):
        for first, last in new:
            free[first : last + 1] = False
        found += new
    strides = [1, *itertools.takewhile(lambda n: 8 * n < size, (4**k for k in range(1, 16)))]
    for local, stride in itertools.product((True, False), strides):
        for run in _runs(rates[::stride], free[::stride], SINGLE, local):
            first, last = _at_every_count(rates, free, run, stride, local)
            if last > first:
                free[first : last + 1] = False
                found.append((first, last))
    return sorted(found)


def _runs(rates: ndarray, free: ndarray, noise: float, local: bool = True) -> Stretches:
    """Stretches among the counts that are ``free``. The rules:

    - Second differences are at most ``noise``, and all rates are as close to the line through
      the ends. In double precision they may drift, as those of recursions do; in single, what
      is held is equal to the bit.
    - The rates leave the line sharply: the second difference at the end, or the next one, is
      four times the noise of single precision. A smooth curve does not end so. In double
      precision the end may be fainter, if a smooth curve or a long line begins there.
    - A line of less than six counts has another stretch or an end of the table beside it:
      where a curve turns, it is straight for so long. Two equal rates are a stretch.

    Noise is relative to the largest rate of the stretch (of the table, if not ``local``), that
    of ends to the largest free one around.
    """
    if not free.any():
        return []
    size, height, double = len(rates), np.abs(rates), noise == DOUBLE
    bends = np.pad(np.diff(rates, 2), (3, 3)) if size > 2 else np.zeros(size + 4)
    bent = np.abs(bends[2:-2])
    broken = ~free | (bent > noise * height.max())
    broken[[0, -1]] = True
    while True:
        ends = np.flatnonzero(broken)
        first, last = ends[:-1], ends[1:]
        long = last - first > 1
        pairs = (rates[first] == rates[last]) & free[first] & free[last] & double
        first, last = first[long | pairs], last[long | pairs]
        if not first.size:
            return []
        length = last - first
        begins = np.cumsum(length) - length
        counts = np.arange(length.sum()) + np.repeat(first - begins, length)
        top = np.maximum(np.maximum.reduceat(height[counts], begins), height[last])
        top = top if local else np.full_like(top, height.max())
        too_bent = (bent[counts] > noise * np.repeat(top, length)) & ~broken[counts]
        if not too_bent.any():
            break
        broken[counts[too_bent]] = True

    slope, held = (rates[last] - rates[first]) / length, rates[first] == rates[last]
    line = np.repeat(slope, length) * (counts - np.repeat(first, length))
    line += np.repeat(rates[first], length)
    off = np.maximum.reduceat(np.abs(line - rates[counts]), begins)
    straight = off <= noise * top * (1 + length / 4 if double else ~held / 2)

    borders = np.flatnonzero(np.diff(free, prepend=not free[0]))
    tops = np.maximum.reduceat(height, borders)
    around = [tops[np.searchsorted(borders, end, "right") - 1] for end in (first, last)]
    clear = 4 * SINGLE * (np.maximum(*around) if local else top)

    def sharp(end: ndarray, beyond: int, limit: int) -> ndarray:
        one, two = bends[end + 2 + beyond], bends[end + 2 + 2 * beyond]
        edge = np.maximum(bent[end], np.abs(one))
        smooth = (np.abs(one) > noise * top) | (length > max(8, size / 512))
        smooth &= np.abs(one - two) <= np.abs(one) / 4
        faint = smooth & (edge > 4 * noise * top) & (length > 1) & double
        return (end == limit) | (edge > clear) | faint

    good = straight & sharp(first, -1, 0) & sharp(last, 1, size - 1)
    near = first[1:] - last[:-1] <= 1
    beside = (first == 0) | (last == size - 1)
    beside[1:] |= good[:-1] & near
    beside[:-1] |= good[1:] & near
    good &= (length > 4) | held | beside
    return list(zip(first[good].tolist(), last[good].tolist(), strict=True))


def _at_every_count(
    rates: ndarray, free: ndarray, run: tuple[int, int], stride: int, local: bool
) -> tuple[int, int]:
    """The stretch found among every ``stride``-th rate, as far as all rates are on its line; or
    none, (0, 0), if some in it are not.
    """
    first, last = run[0] * stride, run[1] * stride
    if stride == 1:
        return run
    top = np.abs(rates[[first, last]] if local else rates).max()
    noise = 0.0 if rates[first] == rates[last] else SINGLE / 2 * top
    slope = (rates[last] - rates[first]) / (last - first)

    def reach(counts: ndarray) -> int:
        off = np.abs(rates[first] + slope * (counts - first) - rates[counts]) > noise
        off[1:] |= ~free[counts[:-1]]  # another stretch may share an end, not more
        return int(counts[off.argmax() - 1] if off.any() else counts[-1])

    if reach(np.arange(first, last + 1)) < last:
        return 0, 0
    before = np.arange(first, max(first - stride, 0) - 1, -1)
    beyond = np.arange(last, min(last + stride, len(rates) - 1) + 1)
    return reach(before), reach(beyond)
