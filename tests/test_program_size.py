"""What a schedule adds to a program: traces, equations, lines, memory."""

import subprocess
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.programs import (
    OPTIMIZERS,
    count_equations,
    init_mlp,
    stablehlo,
    train_step,
    uniform_schedule,
)
from optax_stepping import manual_stepping
from optax_stepping._schedule import _rate

STAGES = [2, 3, 8, 33, 64, 1024, 8192]
RNG = np.random.default_rng(0)


def random_schedule(num_boundaries=4):
    boundaries = np.cumsum(RNG.integers(1, 1000, num_boundaries))
    ramps = RNG.random(num_boundaries) < 0.5
    return manual_stepping(boundaries, RNG.random(num_boundaries + 1) + 0.01, interpolate=ramps)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_thousand_schedules_are_one_trace(name):
    make_optimizer = OPTIMIZERS[name]
    chex.clear_trace_counter()
    step = jax.jit(chex.assert_max_traces(train_step(make_optimizer, lambda s: s), n=1))
    params = init_mlp()
    opt_state = make_optimizer(lambda count: 0.1).init(params)
    batch = np.ones((4, 64), np.float32), np.zeros(4, np.int32)
    for i in range(1000):
        schedule = (
            random_schedule()
            if i % 2
            else manual_stepping(
                [10 + i, 20 + i, 30 + i], [0.1, 0.2, 0.3, 0.4], warmup_steps=1 + i % 7
            )
        )
        params, opt_state = step(params, opt_state, schedule, *batch)


def test_a_thousand_schedules_are_one_program():
    def lowered(schedule):
        return stablehlo(lambda s, c: s(c), schedule, 0)

    first = lowered(random_schedule())
    assert all(lowered(random_schedule()) == first for _ in range(999))


def test_the_whole_train_step_lowers_to_the_same_bytes():
    step = train_step(OPTIMIZERS["inject_hyperparams"], lambda s: s)
    params = init_mlp()
    opt_state = OPTIMIZERS["inject_hyperparams"](lambda count: 0.1).init(params)
    batch = np.ones((4, 64), np.float32), np.zeros(4, np.int32)
    texts = {stablehlo(step, params, opt_state, random_schedule(), *batch) for _ in range(10)}
    assert len(texts) == 1


def test_eager_calls_trace_once():
    """Once for Python counts and once for arrays, whatever the values."""
    schedules = [random_schedule(5) for _ in range(20)]
    schedules[0](0)
    schedules[0](jnp.int32(0))
    traces = _rate._cache_size()
    for i, schedule in enumerate(schedules):
        schedule(i)
        schedule(jnp.int32(i))
    assert _rate._cache_size() == traces


def test_equations_for_one_count_are_constant():
    sizes = {
        count_equations(jax.make_jaxpr(lambda s, c: s(c))(uniform_schedule(n), 0).jaxpr)
        for n in STAGES
    }
    assert len(sizes) == 1


def test_lines_for_one_count_are_constant():
    sizes = {len(stablehlo(lambda s, c: s(c), uniform_schedule(n), 0).splitlines()) for n in STAGES}
    assert len(sizes) == 1


def test_size_for_arrays_is_constant_too():
    counts = jnp.zeros(1_000_000, jnp.int32)
    for measure in (
        lambda s: count_equations(jax.make_jaxpr(lambda s, c: s(c))(s, counts).jaxpr),
        lambda s: len(stablehlo(lambda s, c: s(c), s, counts).splitlines()),
    ):
        assert len({measure(uniform_schedule(n)) for n in (3, 8, 33)}) == 1
        assert len({measure(uniform_schedule(n)) for n in (34, 64, 1024, 8192)}) == 1


@pytest.mark.parametrize("num_stages", [2, 3, 32, 33, 1024, 8192])
def test_memory_for_a_million_counts(num_stages):
    """At most four times the result, as the compiler reports it."""
    counts = jax.ShapeDtypeStruct((1_000_000,), jnp.int32)
    compiled = jax.jit(lambda s, c: s(c)).lower(uniform_schedule(num_stages), counts).compile()
    analysis = compiled.memory_analysis()
    assert analysis.output_size_in_bytes == 4_000_000
    assert analysis.temp_size_in_bytes <= 3 * 4_000_000


def test_8192_stages_at_a_million_counts():
    schedule = uniform_schedule(8192)
    counts = np.arange(0, 1_000_000)
    expected = np.asarray(schedule.rates)[
        counts // 100 * (counts < 819200) + 8191 * (counts >= 819200)
    ]
    actual = np.asarray(schedule._replace(ramps=schedule.ramps & False)(counts))
    np.testing.assert_array_equal(actual, expected)


def test_a_compilation_cache_hits_across_processes(tmp_path):
    code = (
        "import jax, sys, json, optax_stepping, jax.numpy as jnp\n"
        "jax.config.update('jax_compilation_cache_dir', sys.argv[1])\n"
        "jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)\n"
        "jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)\n"
        "events = []\n"
        "jax.monitoring.register_event_listener(lambda event, **_: events.append(event))\n"
        "s = optax_stepping.manual_stepping([5, 9], [float(sys.argv[2]), 0.2, 0.3])\n"
        "jax.jit(lambda s, c: s(c) * 2)(s, 3)\n"
        "print(sum('cache_hits' in e for e in events), sum('cache_misses' in e for e in events))\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path), str(rate)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for rate in (0.5, 0.7, 0.9)
    ]
    assert int(runs[0][1]) > 0
    for hits, misses in runs[1:]:
        assert int(hits) > 0
        assert int(misses) == 0
