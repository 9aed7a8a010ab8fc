"""Threads, transfers, switched precision, counts at the end of int32; what the package never does."""

import ast
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from oracle import assert_rates, enable_x64

import optax_stepping
from optax_stepping import get_state, manual_stepping, scale_by_stepping, set_schedule

INT32_MAX = 2**31 - 1
SCHEDULE = manual_stepping([10, 25, 60], [0.1, 0.05, 0.01, 0.005], warmup_steps=4)


def test_sixteen_threads_at_once():
    """Each with a schedule and a number of stages of its own, so that all of them trace."""
    start, counts = threading.Barrier(16), np.arange(60)

    def work(i):
        start.wait()
        rates = [1 / (k + 1 + i) for k in range(i + 2)]
        schedule = manual_stepping(range(7, 7 * i + 8, 7), rates, warmup=True)
        assert_rates(schedule, counts, schedule(counts))
        assert_rates(schedule, counts, [schedule(int(count)) for count in counts])
        assert_rates(schedule, counts, jax.jit(jax.vmap(schedule))(jnp.arange(60)))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))


def test_a_jitted_step_transfers_nothing():
    optimizer = optax.chain(optax.scale_by_adam(), scale_by_stepping(SCHEDULE))
    params = jnp.ones(3)
    opt_state = optimizer.init(params)

    @jax.jit
    def step(params, opt_state, schedule):
        opt_state = set_schedule(opt_state, schedule)
        updates, opt_state = optimizer.update(params, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, get_state(opt_state).rate

    step(params, opt_state, SCHEDULE)
    with jax.transfer_guard("disallow"):
        for _ in range(30):
            params, opt_state, rate = step(params, opt_state, SCHEDULE)
    assert rate == SCHEDULE(30)


@pytest.mark.parametrize("made_with", [False, True])
def test_precision_switched_between_making_and_using(made_with):
    with enable_x64(made_with):
        schedule = manual_stepping([10, 2**30], [0.1, 0.3, 0.001], interpolate=True)
        state = scale_by_stepping(schedule).init(None)
    dtype = np.float64 if made_with else np.float32
    assert schedule.rates.dtype == dtype
    for used_with in (False, True):
        with enable_x64(used_with):
            for count in (0, 5, 10, 1000, 2**30, 2**40):
                rate = float(schedule(count))
                exact = float(np.interp(count, [0, 10, 2**30], [0.1, 0.3, 0.001]))
                # The coarser of the two precisions.
                exactness = 1e-12 if made_with and used_with else 1e-6
                assert abs(rate - exact) <= exactness * exact
            assert float(get_state(state).rate) == float(schedule(0))


def test_counts_at_the_end_of_int32():
    """Optax' count stops there, and so does the schedule."""
    schedule = manual_stepping(
        [INT32_MAX - 2, INT32_MAX], [0.1, 0.2, 0.3], interpolate=[True, True]
    )
    optimizer = scale_by_stepping(schedule)
    state = optimizer.init(None)._replace(count=jnp.int32(INT32_MAX - 4))
    for count in (INT32_MAX - 4, INT32_MAX - 3, INT32_MAX - 2, INT32_MAX - 1, *[INT32_MAX] * 3):
        assert state.count == count
        assert_rates(schedule, [count], np.asarray(get_state(state).rate).reshape(1))
        updates, state = jax.jit(optimizer.update)(jnp.ones(1), state)
        chex.assert_trees_all_equal(updates, -schedule(count) * jnp.ones(1))


def test_the_package_runs_no_code_from_data_and_opens_no_connection():
    forbidden_calls = {"eval", "exec", "compile", "__import__"}
    forbidden_modules = {
        "pickle", "marshal", "shelve", "dill", "cloudpickle", "socket", "ssl", "http", "urllib",
        "requests", "ftplib", "smtplib", "subprocess", "ctypes",
    }  # fmt: skip
    files = sorted(Path(optax_stepping.__file__).parent.rglob("*.py"))
    assert len(files) > 20
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in forbidden_calls, (file, node.lineno)
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            else:
                continue
            assert not forbidden_modules & {name.split(".")[0] for name in modules}, file
            if "yaml" in file.name and "yaml" in modules:
                assert "unsafe" not in file.read_text()
