"""Factors of a rate, and their products: what schedulers of other frameworks consist of."""

import bisect
import itertools
import math
from collections.abc import Sequence

import numpy as np

from optax_stepping._arguments import INT32_MAX, integer
from optax_stepping._pieces import Piece, on_line, to_schedule
from optax_stepping._schedule import SteppingSchedule

MAX_PIECES = 10_000
# Schedules that other frameworks compute step by step end in float64 noise.
NOISE = 1e-9


def decays(starts: Sequence[int], gamma: float) -> list[Piece]:
    """A factor ``gamma`` from every start on; repeated starts multiply."""
    pieces = [Piece(0, 1.0)]
    for start, group in itertools.groupby(sorted(starts)):
        value = pieces[-1].value * gamma ** len(list(group))
        if start <= 0:
            pieces = [Piece(0, value)]
        else:
            pieces.append(Piece(start, value))
    return pieces


def periodic_decays(
    first: int, period: int, gamma: float, end: int, scale: float, floor: float = 0.0
) -> list[Piece]:
    """A factor ``gamma`` at ``first``, and every ``period`` after it before ``end``, until
    ``scale`` times the product vanishes in float32 (it is 0 from then on), or has fallen to
    ``floor``.
    """
    pieces = [Piece(0, 1.0)]
    for start in range(first, min(end, INT32_MAX + 1), period):
        value = pieces[-1].value * gamma
        if abs(scale * value) > float(np.finfo(np.float32).max):
            raise ValueError(
                f"the rate grows beyond float32 at step {start}; say with total_steps where the "
                f"training ends."
            )
        vanished = np.float32(scale * value) == 0
        pieces.append(Piece(start, 0.0 if vanished else value))
        if vanished or gamma == 1 or (gamma < 1 and 0 < scale * value <= floor):
            break
        _check_number(len(pieces))
    return pieces


def staircase(
    rate: float, period: int, gamma: float, begin: int, end: int, floor: float = 0.0
) -> list[Piece]:
    """Pieces of ``rate * gamma ** ((count - begin) // period)``, of ``rate`` before ``begin``."""
    pieces = periodic_decays(begin + period, period, gamma, end, rate, floor)
    return [piece._replace(value=rate * piece.value) for piece in pieces]


def until(pieces: Sequence[Piece], end: int) -> list[Piece]:
    """The pieces that start before ``end``; a ramp across it keeps the piece at which it ends."""
    kept = [piece for piece in pieces if piece.start < end]
    if kept[-1].end_value is None or len(kept) == len(pieces):
        return kept
    return [*kept, pieces[len(kept)]]


def last_step(total_steps: int | None) -> int:
    """The first step that is not looked at."""
    if total_steps is None:
        return INT32_MAX + 1
    return integer("total_steps", total_steps, low=1, example="90000")


def at_least(pieces: Sequence[Piece], floor: float) -> list[Piece]:
    """Held pieces, none of them below ``floor``."""
    return [piece._replace(value=max(piece.value, floor)) for piece in pieces]


def by_epoch(pieces: Sequence[Piece], steps_per_epoch: int) -> list[Piece]:
    """Pieces that are counted in epochs, in steps: their ramps become stairs of an epoch each."""
    if steps_per_epoch == 1:
        return list(pieces)
    stairs = []
    for piece, after in itertools.zip_longest(pieces, pieces[1:]):
        if piece.end_value is None:
            stairs.append(piece)
            continue
        epochs = after.start - piece.start
        _check_number(epochs)
        stairs += [
            Piece(piece.start + k, on_line(piece.value, piece.end_value, k, epochs))
            for k in range(epochs)
        ]
    return [piece._replace(start=piece.start * steps_per_epoch) for piece in stairs]


def multiply(curves: Sequence[Sequence[Piece]], name: str) -> list[Piece]:
    """The product of curves: a ramp times steps is a ramp with other ends in each of them."""
    starts = sorted({piece.start for curve in curves for piece in curve})
    _check_number(len(starts))
    product = []
    for start, end in itertools.zip_longest(starts, starts[1:]):
        here = [_restrict(curve, start, end) for curve in curves]
        if len([piece for piece in here if piece.end_value not in (None, piece.value)]) > 1:
            raise ValueError(
                f"{name}: two ramps overlap from step {start} to {end}, and their product is no "
                f"ramp; let one end before the other starts, or write the stages with "
                f"manual_stepping."
            )
        ends = [piece.value if piece.end_value is None else piece.end_value for piece in here]
        value, end_value = math.prod(piece.value for piece in here), math.prod(ends)
        product.append(Piece(start, value, None if end_value == value else end_value))
    return product


def scaled(pieces: Sequence[Piece], scale: float) -> SteppingSchedule:
    """The schedule of ``scale`` times the pieces."""
    found = []
    for piece, after in itertools.zip_longest(pieces, pieces[1:]):
        end_value = piece.end_value
        if end_value is not None and math.isclose(end_value, after.value, rel_tol=NOISE):
            end_value = after.value
        product = None if end_value is None else scale * end_value
        found.append(Piece(piece.start, scale * piece.value, product))
    return to_schedule(found)


def _restrict(curve: Sequence[Piece], start: int, end: int | None) -> Piece:
    """The part of ``curve`` from ``start`` to ``end``, within one of its pieces."""
    index = bisect.bisect_right(curve, start, key=lambda piece: piece.start) - 1
    piece = curve[index]
    if piece.end_value is None or end is None:
        return Piece(start, piece.value)
    length = curve[index + 1].start - piece.start
    value, end_value = (
        on_line(piece.value, piece.end_value, count - piece.start, length) for count in (start, end)
    )
    return Piece(start, value, end_value)


def _check_number(pieces: int) -> None:
    if pieces > MAX_PIECES:
        raise ValueError(
            f"the schedule has more than {MAX_PIECES} stages; shorten it with an end, or with "
            f"total_steps."
        )
