"""One program for CPU, GPU and TPU: the same jaxpr, the same StableHLO."""

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


def exported_body(arguments, platforms):
    """The functions of the exported module, without locations and without the index of the
    platform, which every function of a multi-platform module takes first."""
    exported = export.export(jax.jit(evaluate), platforms=platforms)(*arguments)
    assert exported.platforms == platforms
    text = re.sub(r" ?loc\([^()]*\)|^#loc.*$", "", exported.mlir_module(), flags=re.MULTILINE)
    if len(platforms) > 1:
        index = r'%arg0: tensor<i32> \{jax\.global_constant = "_platform_index"\}(?:, )?'
        text, definitions = re.subn(index, "", text)
        text, calls = re.subn(
            r"(call @\w+)\(%arg0(?:, )?(.*?) : \(tensor<i32>(?:, )?", r"\1(\2 : (", text
        )
        assert definitions
        assert calls
    return [renumbered(function) for function in text.split("func.func")[1:]]


def renumbered(function):
    """Names of arguments replaced by the order of their appearance."""
    names = {}
    return re.sub(r"%arg\d+", lambda m: names.setdefault(m[0], f"%a{len(names)}"), function)


@pytest.mark.parametrize("case", ARGUMENTS)
def test_one_export_for_all_platforms(case):
    body = exported_body(ARGUMENTS[case], PLATFORMS)
    assert any("stablehlo" in function for function in body)
    for platform in PLATFORMS:
        assert exported_body(ARGUMENTS[case], (platform,)) == body


def test_the_export_runs_here(backend):
    exported = export.export(jax.jit(evaluate), platforms=PLATFORMS)(*ARGUMENTS["one count"])
    for count in (0, 3, 4, 9, 10, 59, 60, 10**9):
        assert exported.call(SCHEDULE, jnp.int32(count)) == SCHEDULE(count)
