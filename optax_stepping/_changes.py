"""Stages of rates that are known by the counts at which they change."""

from collections.abc import Mapping

import numpy as np

from optax_stepping._arguments import bad_value
from optax_stepping._join import join
from optax_stepping._manual_stepping import manual_stepping
from optax_stepping._schedule import SteppingSchedule
from optax_stepping._table import from_table

LONGEST_TABLE = 10_000_000


def from_changes(changes: Mapping[int, float], tolerance: float | None) -> SteppingSchedule:
    """The schedule that has each rate from its count on. Counts ascend from 0.

    The same as from_table, but rates may be held for longer than a table can be.
    """
    counts, rates = np.array(list(changes)), np.array(list(changes.values()), float)
    rates[np.abs(rates) <= 2.0**-150] = 0.0
    new = np.append(True, rates[1:] != rates[:-1])
    counts, rates = counts[new], rates[new]
    # Beyond the last two changes in a row all is held.
    last = int(np.max(np.flatnonzero(np.diff(counts) == 1) + 1, initial=0))
    if counts[last] >= LONGEST_TABLE:
        must = f"change from step to step within the first {LONGEST_TABLE} steps only"
        raise bad_value("the rate", must, f"a change at {counts[last]}", "write total_steps=...")
    lengths = [*np.diff(counts[: last + 1]), 1]
    schedule = from_table(np.repeat(rates[: last + 1], lengths), tolerance=tolerance)
    if counts[last] == counts[-1]:
        return schedule
    start = counts[last + 1]
    return join([schedule, manual_stepping(counts[last + 2 :] - start, rates[last + 1 :])], [start])
