"""100,000 jitted steps with an edit every 1,000: no compilation, no leak, no drift."""

import gc
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import assert_rates

from optax_stepping import get_state, manual_stepping, scale_by_stepping, set_schedule

STEPS, EVERY = 100_000, 1_000


def resident_megabytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def random_plan(rng):
    boundaries = np.sort(rng.choice(np.arange(1, STEPS), 5, replace=False))
    return manual_stepping(boundaries, rng.random(6) + 0.01, interpolate=rng.random(5) < 0.5)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux' /proc")
def test_a_hundred_thousand_steps():
    rng = np.random.default_rng(0)
    optimizer = scale_by_stepping(random_plan(rng))
    traces = []

    @jax.jit
    def step(opt_state):
        traces.append(1)
        rate = get_state(opt_state).rate
        updates, opt_state = optimizer.update(jnp.ones(1), opt_state)
        return opt_state, rate, updates

    opt_state = optimizer.init(None)
    sizes = []
    for start in range(0, STEPS, EVERY):
        plan = random_plan(rng)
        opt_state = set_schedule(opt_state, plan)
        rates = []
        for _ in range(EVERY):
            opt_state, rate, updates = step(opt_state)
            rates.append(rate)
        assert get_state(opt_state).count == start + EVERY
        rates = np.stack(rates)
        assert updates[0] == -rates[-1]
        checked = rng.choice(EVERY, 20, replace=False)
        assert_rates(plan, start + checked, rates[checked])
        gc.collect()
        sizes.append(resident_megabytes())
    assert len(traces) == 1
    assert step._cache_size() == 1
    # Flat: the last tenth as large as the second, within what allocators do.
    early, late = np.mean(sizes[10:20]), np.mean(sizes[-10:])
    assert late < early + 10
    print(f"\nresident size: {early:.0f} MB, {late:.0f} MB at the end")
