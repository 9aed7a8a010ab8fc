"""A thousand schedules lower to one program."""

import numpy as np
from oracle import random_schedule

from benchmarks.programs import stablehlo

RNG = np.random.default_rng(0)


def test_a_thousand_schedules_are_one_program():
    def lowered(schedule):
        return stablehlo(lambda s, c: s(c), schedule, 0)

    first = lowered(random_schedule(RNG))
    assert all(lowered(random_schedule(RNG)) == first for _ in range(999))
