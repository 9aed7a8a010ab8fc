"""Schedules as lists of pieces, to be joined and shifted.

Starts are ints. Values are exact numbers, or tracers.
"""

import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from optax_stepping._arguments import INT32_MAX, is_traced
from optax_stepping._manual_stepping import manual_stepping
from optax_stepping._schedule import SteppingSchedule


class Piece(NamedTuple):
    """From the count ``start`` on: ``value``, or a line from it to ``end_value`` at the start
    of the next piece. The last one holds.
    """

    start: int
    value: Any
    end_value: Any = None


def pieces_of(boundaries: np.ndarray, rates: Any, ramps: np.ndarray) -> list[Piece]:
    """The stages of a schedule, without padding."""
    padding = int(np.count_nonzero(boundaries == 0))
    values = list(rates[padding:]) if is_traced(rates) else rates[padding:].tolist()
    starts = [0, *boundaries[padding:].tolist()]
    ends = [
        value if ramp else None for ramp, value in zip(ramps[padding:], values[1:], strict=True)
    ]
    return list(itertools.starmap(Piece, zip(starts, values, [*ends, None], strict=True)))


def section(pieces: Sequence[Piece], start: int, end: int | None = None) -> list[Piece]:
    """The pieces from ``start`` to before ``end``, counted from ``start``. Lines that cross an end
    are cut there.
    """
    found = []
    for piece, after in itertools.zip_longest(pieces, pieces[1:]):
        stop = None if after is None else after.start
        if (stop is not None and stop <= start) or (end is not None and piece.start >= end):
            continue
        first = max(piece.start, start)
        last = stop if end is None else min(end, stop) if stop is not None else end
        value, end_value = piece.value, piece.end_value
        if end_value is not None and stop is not None and last is not None:
            length = stop - piece.start
            value, end_value = (
                on_line(piece.value, piece.end_value, count - piece.start, length)
                for count in (first, last)
            )
        found.append(Piece(first - start, value, end_value))
    return found


def delayed(pieces: Sequence[Piece], steps: int) -> list[Piece]:
    return [piece._replace(start=piece.start + steps) for piece in pieces]


def in_sequence(curves: Sequence[Sequence[Piece]], starts: Sequence[int]) -> list[Piece]:
    """The first curve, then each of the others from its start on, counted from there."""
    pieces = []
    for curve, start, end in zip(curves, [0, *starts], [*starts, None], strict=True):
        pieces += delayed(section(curve, 0, None if end is None else end - start), start)
    return pieces


def on_line(value: Any, end_value: Any, step: int, length: int) -> Any:
    """The value after ``step`` of ``length`` steps."""
    if step in (0, length):
        return end_value if step else value
    if is_traced(value) or is_traced(end_value):
        rates = jnp.stack([jnp.asarray(value), jnp.asarray(end_value)])
        ramp = SteppingSchedule(jnp.array([length], jnp.int32), rates, jnp.ones(1, bool))
        return ramp(step)
    value, end_value = Fraction(value), Fraction(end_value)
    return float(value + (end_value - value) * Fraction(step, length))


def to_schedule(pieces: Sequence[Piece]) -> SteppingSchedule:
    """The schedule of the pieces. A stage can only ramp to the next rate, so a line that ends at
    another value becomes a ramp to its last value, and holds that for one step.
    """
    pieces = list(itertools.chain.from_iterable(map(_closed, pieces, [*pieces[1:], None])))
    stages = pieces[:1]
    for piece in _within_int32(pieces)[1:]:
        last = stages[-1]
        if last.end_value is None and piece.end_value is None and _same(last.value, piece.value):
            continue
        stages.append(piece)
    dtype = np.dtype(jnp.result_type(float))
    return manual_stepping(
        [piece.start for piece in stages[1:]],
        [_rounded(piece.value, dtype) for piece in stages],
        interpolate=[piece.end_value is not None for piece in stages[:-1]],
    )


def _closed(piece: Piece, after: Piece | None) -> list[Piece]:
    if piece.end_value is None or after is None or _same(piece.end_value, after.value):
        return [piece]
    length = after.start - piece.start
    last = on_line(piece.value, piece.end_value, length - 1, length)
    held = Piece(after.start - 1, last)
    return [piece._replace(end_value=last), held] if length > 1 else [held]


def _within_int32(pieces: list[Piece]) -> list[Piece]:
    if pieces[-1].start <= INT32_MAX:
        return pieces
    # Counts reach the last step and stay there.
    last = section(pieces, INT32_MAX, INT32_MAX + 1)[0].value
    return [*section(pieces, 0, INT32_MAX), Piece(INT32_MAX, last)]


def _same(a: Any, b: Any) -> bool:
    return a is b or (not (is_traced(a) or is_traced(b)) and a == b)


def _rounded(value: Any, dtype: np.dtype) -> Any:
    """Rounded once. Too small values become 0; manual_stepping refuses too large ones."""
    if is_traced(value):
        return value
    with np.errstate(all="ignore"):
        rounded = dtype.type(value)
    return rounded if np.isfinite(rounded) else value
