"""One program for CPU, GPU and TPU: the same StableHLO."""

import re

import jax
import jax.numpy as jnp
import pytest
from jax import export

from optax_stepping import manual_stepping

PLATFORMS = ("cpu", "cuda", "tpu")
SCHEDULE = manual_stepping([10, 25, 60], [0.1, 0.05, 0.01, 0.005], warmup_steps=4)
ARGUMENTS = {
    "one count": (SCHEDULE, jnp.int32(0)),
    "counts": (SCHEDULE, jnp.arange(5)),
    "fractional": (SCHEDULE, jnp.float32(0.5)),
    "many stages": (manual_stepping(list(range(1, 200)), [0.1] * 200), jnp.arange(5)),
}


def evaluate(schedule, count):
    return schedule(count)


def functions_for(platform, arguments):
    """The functions of the exported module, without locations."""
    module = export.export(jax.jit(evaluate), platforms=(platform,))(*arguments).mlir_module()
    _, *functions = re.sub(r"(?m) ?loc\([^()]*\)|^#loc.*$", "", module).split("func.func")
    return functions


@pytest.mark.parametrize("case", ARGUMENTS)
def test_the_program_is_the_same_for_all_platforms(case):
    cpu, *others = (functions_for(platform, ARGUMENTS[case]) for platform in PLATFORMS)
    assert any("stablehlo" in function for function in cpu)
    assert others == [cpu, cpu]


def test_the_export_runs_here(backend):
    exported = export.export(jax.jit(evaluate), platforms=PLATFORMS)(*ARGUMENTS["one count"])
    for count in (0, 3, 4, 9, 10, 59, 60, 10**9):
        assert exported.call(SCHEDULE, jnp.int32(count)) == SCHEDULE(count)
