"""Products of piecewise linear factors: what schedulers of other frameworks consist of."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from optax_stepping._manual_stepping import manual_stepping
from optax_stepping._schedule import INT32_MAX, SteppingSchedule

# A schedule that other frameworks compute step by step may end in float64 noise.
SAME = 1e-9
MAX_PIECES = 10_000


class Piece(NamedTuple):
    """From the count ``start`` on: ``value``, or a line from it to ``end_value`` at the
    start of the next piece.
    """

    start: int
    value: float
    end_value: float | None = None


def decays(starts: Sequence[int], gamma: float) -> list[Piece]:
    """A factor ``gamma`` from every start on; repeated starts multiply."""
    pieces = [Piece(0, 1.0)]
    for start, group in itertools.groupby(sorted(starts)):
        value = pieces[-1].value * gamma ** len(list(group))
        if start <= 0:
            pieces[-1] = Piece(0, value)
        else:
            pieces.append(Piece(start, value))
    return pieces


def periodic_decays(first: int, period: int, gamma: float, end: int, scale: float) -> list[Piece]:
    """A factor ``gamma`` at ``first``, and every ``period`` after it before ``end``, until
    ``scale`` times the product vanishes in float32: it is 0 from then on.
    """
    pieces = [Piece(0, 1.0)]
    for start in range(first, min(end, INT32_MAX + 1), period):
        value = pieces[-1].value * gamma
        vanished = np.float32(scale * value) == 0
        pieces.append(Piece(start, 0.0 if vanished else value))
        if vanished or gamma == 1:
            break
        _check_number(len(pieces))
    return pieces


def multiply(curves: Sequence[Sequence[Piece]], refusal: str) -> list[Piece]:
    """The product of curves; ``refusal`` says what to do where it is not linear."""
    starts = sorted({piece.start for curve in curves for piece in curve})
    _check_number(len(starts))
    product = []
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        here = [_restrict(curve, start, end) for curve in curves]
        lines = [piece for piece in here if piece.end_value not in (None, piece.value)]
        if len(lines) > 1:
            raise ValueError(f"two ramps overlap from step {start} to {end}: {refusal}")
        value = math.prod(piece.value for piece in here)
        ends = [piece.value if piece.end_value is None else piece.end_value for piece in here]
        product.append(Piece(start, value, math.prod(ends) if lines else None))
    return product


def to_schedule(pieces: Sequence[Piece], scale: float, refusal: str) -> SteppingSchedule:
    """The schedule of ``scale`` times the pieces, of which each ramp has to end where the
    next piece starts.
    """
    for piece, after in itertools.pairwise(pieces):
        if piece.end_value is not None and not _same(piece.end_value, after.value):
            raise ValueError(
                f"the ramp from step {piece.start} to {after.start} is cut off at "
                f"{scale * piece.end_value:.6g}, where the rate becomes "
                f"{scale * after.value:.6g}: {refusal}"
            )
    stages = [pieces[0]]
    for piece in pieces[1:]:
        if piece.start > INT32_MAX:
            break
        held_on = stages[-1].end_value is None and piece.value == stages[-1].value
        if held_on and piece.end_value is None:
            continue
        stages.append(piece)
    return manual_stepping(
        [piece.start for piece in stages[1:]],
        [scale * piece.value for piece in stages],
        interpolate=[piece.end_value is not None for piece in stages[:-1]],
    )


def _restrict(curve: Sequence[Piece], start: int, end: int | None) -> Piece:
    """The part of ``curve`` from ``start`` to ``end``, within one of its pieces."""
    index = max(i for i, piece in enumerate(curve) if piece.start <= start)
    piece = curve[index]
    if piece.end_value is None or index + 1 == len(curve) or end is None:
        return Piece(start, piece.value)
    length = curve[index + 1].start - piece.start
    slope = (piece.end_value - piece.value) / length
    value = piece.value + slope * (start - piece.start)
    whole = end == curve[index + 1].start
    end_value = piece.end_value if whole else piece.value + slope * (end - piece.start)
    return Piece(start, value, end_value)


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=SAME, abs_tol=0.0) or a == b


def _check_number(pieces: int) -> None:
    if pieces > MAX_PIECES:
        raise ValueError(
            f"the schedule has more than {MAX_PIECES} stages; shorten it with an end, or a "
            f"total number of steps."
        )
