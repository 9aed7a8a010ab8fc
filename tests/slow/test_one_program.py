"""A thousand schedules lower to one program."""

import numpy as np

from benchmarks.programs import stablehlo
from optax_stepping import manual_stepping

RNG = np.random.default_rng(0)


def random_schedule(num_boundaries=4):
    boundaries = np.cumsum(RNG.integers(1, 1000, num_boundaries))
    ramps = RNG.random(num_boundaries) < 0.5
    return manual_stepping(boundaries, RNG.random(num_boundaries + 1) + 0.01, interpolate=ramps)


def test_a_thousand_schedules_are_one_program():
    def lowered(schedule):
        return stablehlo(lambda s, c: s(c), schedule, 0)

    first = lowered(random_schedule())
    assert all(lowered(random_schedule()) == first for _ in range(999))
