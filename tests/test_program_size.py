"""What a schedule adds to a program: traces, equations, lines, memory."""

import subprocess
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import random_schedule

from benchmarks.programs import OPTIMIZERS, count_equations, init_mlp, train_step, uniform_schedule
from optax_stepping._rate import rates_at

RNG = np.random.default_rng(0)


@pytest.mark.not_under("JAX_NUMPY_DTYPE_PROMOTION", reason="Adam raises a float to an int")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_hundreds_of_schedules_are_one_trace(name):
    make_optimizer = OPTIMIZERS[name]
    chex.clear_trace_counter()
    step = jax.jit(chex.assert_max_traces(train_step(make_optimizer, lambda s: s), n=1))
    params = init_mlp()
    opt_state = make_optimizer(lambda count: 0.1).init(params)
    batch = np.ones((4, 64), np.float32), np.zeros(4, np.int32)
    for _ in range(200):
        params, opt_state = step(params, opt_state, random_schedule(RNG), *batch)


def test_eager_calls_trace_once():
    """Once for Python counts and once for arrays, whatever the values."""
    schedules = [random_schedule(RNG, 5) for _ in range(20)]
    schedules[0](0)
    schedules[0](jnp.int32(0))
    traces = rates_at._cache_size()
    for i, schedule in enumerate(schedules):
        schedule(i)
        schedule(jnp.int32(i))
    assert rates_at._cache_size() == traces


@pytest.mark.parametrize("counts", [jnp.int32(0), jnp.zeros(1_000_000, jnp.int32)])
def test_programs_grow_with_the_levels_of_the_search_only(counts):
    """A level more for twelve times the stages, and the arithmetic of all of a few, or of one."""

    def equations(num_stages):
        program = jax.make_jaxpr(lambda schedule: schedule(counts))
        return count_equations(program(uniform_schedule(num_stages)).jaxpr)

    assert equations(8192) < 2 * equations(4)


@pytest.mark.parametrize("num_stages", [2, 4, 11, 13, 14, 24, 33, 34, 257, 8192])
def test_an_eager_call_runs_in_its_own_thread(num_stages):
    """From 1000 operations on, XLA's CPU runtime hands a program to another thread, which takes
    longer than the program."""
    schedule = uniform_schedule(num_stages)
    lowered = rates_at.lower(schedule.boundaries, schedule.rates, schedule.ramps, jnp.int32(0))
    assert 0 < lowered.compile().cost_analysis()["flops"] < 1000


@pytest.mark.parametrize(
    "num_stages", [1, 2, 3, 8, 10, 13, 14, 24, 32, 33, 34, 64, 256, 1024, 2198, 4096, 8192]
)
@pytest.mark.parametrize("how", ["array", "vmap"])
def test_memory_for_a_million_counts(num_stages, how):
    """At most four times the result, as the compiler reports it."""
    counts = jax.ShapeDtypeStruct((1_000_000,), jnp.int32)
    evaluate = {"array": lambda s, c: s(c), "vmap": lambda s, c: jax.vmap(s)(c)}[how]
    compiled = jax.jit(evaluate).lower(uniform_schedule(num_stages), counts).compile()
    analysis = compiled.memory_analysis()
    result = 1_000_000 * jnp.result_type(float).itemsize
    assert analysis.output_size_in_bytes == result
    assert analysis.temp_size_in_bytes <= 4 * result


def test_8192_stages_at_a_million_counts():
    schedule = uniform_schedule(8192)
    counts = np.arange(0, 1_000_000)
    expected = np.asarray(schedule.rates)[np.minimum(counts // 100, 8191)]
    actual = np.asarray(schedule.replace(ramps=schedule.ramps & False)(counts))
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
    command, runs = [sys.executable, "-c", code, str(tmp_path)], []
    for rate in ("0.5", "0.7"):
        run = subprocess.run([*command, rate], capture_output=True, text=True, check=True)
        runs.append([int(number) for number in run.stdout.split()])
    (_, misses), (hits, misses_again) = runs
    assert misses > 0
    assert hits > 0
    assert misses_again == 0
