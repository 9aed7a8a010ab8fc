"""Detectron2's schedules: fvcore's, put together as in detectron2/solver/build.py."""

from types import SimpleNamespace

import numpy as np
import pytest
from agreement import assert_agrees, assert_within
from fvcore.common import param_scheduler as fvcore
from hypothesis import given, settings
from hypothesis import strategies as st

from optax_stepping.interop import from_detectron2

CURVES = ("WarmupCosineLR", "WarmupPolyLR")


def config(**keys):
    """A solver with settings of a small training."""
    return {
        "LR_SCHEDULER_NAME": "WarmupMultiStepLR", "BASE_LR": 0.02, "BASE_LR_END": 0.0,
        "STEPS": (60, 80), "GAMMA": 0.1, "NUM_DECAYS": 3, "MAX_ITER": 100, "WARMUP_ITERS": 10,
        "WARMUP_FACTOR": 1e-3, "WARMUP_METHOD": "linear", "RESCALE_INTERVAL": False,
        "POLY_LR_POWER": 0.9, "POLY_LR_CONSTANT_ENDING": 0.0,
    } | keys  # fmt: skip


def theirs(cfg, counts):
    solver, total = SimpleNamespace(**cfg), cfg["MAX_ITER"]
    if solver.LR_SCHEDULER_NAME == "WarmupPolyLR":
        return [solver.BASE_LR * polynomial(solver, count) for count in counts]
    if solver.LR_SCHEDULER_NAME == "WarmupMultiStepLR":
        # fvcore refuses a step at the very end of the training, which would change nothing.
        steps = [step for step in solver.STEPS if step < total]
        values = [solver.GAMMA**k for k in range(len(steps) + 1)]
        curve = fvcore.MultiStepParamScheduler(values, milestones=steps, num_updates=total)
    elif solver.LR_SCHEDULER_NAME == "WarmupCosineLR":
        curve = fvcore.CosineParamScheduler(1, solver.BASE_LR_END / solver.BASE_LR)
    else:
        curve = fvcore.StepWithFixedGammaParamScheduler(1.0, solver.NUM_DECAYS, solver.GAMMA, total)
    length = min(solver.WARMUP_ITERS / total, 1.0)
    start, end = solver.WARMUP_FACTOR * curve(0.0), curve(length)
    warmup = fvcore.LinearParamScheduler(start, curve(0.0) if solver.RESCALE_INTERVAL else end)
    if solver.WARMUP_METHOD == "constant":
        warmup = fvcore.ConstantParamScheduler(start)
    scaling = ["rescaled", "rescaled" if solver.RESCALE_INTERVAL else "fixed"]
    multiplier = fvcore.CompositeParamScheduler([warmup, curve], [length, 1 - length], scaling)
    return [solver.BASE_LR * multiplier(count / total) for count in counts]


def polynomial(solver, count):
    """As projects/DeepLab/deeplab/lr_scheduler.py computes it."""
    warmup = 1.0
    if count < solver.WARMUP_ITERS:
        alpha = count / solver.WARMUP_ITERS if solver.WARMUP_METHOD == "linear" else 0.0
        warmup = solver.WARMUP_FACTOR * (1 - alpha) + alpha
    rate = (1.0 - count / solver.MAX_ITER) ** solver.POLY_LR_POWER
    if solver.POLY_LR_CONSTANT_ENDING > 0 and warmup == 1.0:
        rate = max(rate, solver.POLY_LR_CONSTANT_ENDING)
    return warmup * rate


@pytest.mark.parametrize("method", ["linear", "constant"])
@pytest.mark.parametrize(
    ("steps", "max_iter"),
    [((60_000, 80_000), 90_000), ((210_000, 250_000), 270_000), ((500, 60_000), 90_000)],
)
def test_recipes(steps, max_iter, method):
    cfg = config(STEPS=steps, MAX_ITER=max_iter, WARMUP_ITERS=1000, WARMUP_METHOD=method)
    rates = theirs(cfg, range(max_iter))
    for handed_in in (cfg, {"SOLVER": cfg}, SimpleNamespace(SOLVER=SimpleNamespace(**cfg))):
        assert_agrees(from_detectron2(handed_in), range(max_iter), rates)


@pytest.mark.parametrize("max_iter", [1_000_000, 9_999_999])
def test_over_a_million_iterations(max_iter):
    """Where its comparisons of shares, with a tolerance, come some steps early."""
    steps = (max_iter // 2, max_iter * 3 // 4)
    cfg = config(STEPS=steps, MAX_ITER=max_iter, WARMUP_ITERS=777)
    edges = {c + d for c in (777, *steps) for d in range(-15, 16)}
    counts = sorted({0, 1, 300, max_iter - 1} | edges)
    assert_agrees(from_detectron2(cfg), counts, theirs(cfg, counts))


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize(
    "keys",
    [
        {"LR_SCHEDULER_NAME": "WarmupCosineLR", "BASE_LR_END": 1e-4},
        {"LR_SCHEDULER_NAME": "WarmupPolyLR", "POLY_LR_CONSTANT_ENDING": 0.1},
        {"LR_SCHEDULER_NAME": "WarmupPolyLR", "POLY_LR_POWER": 2, "WARMUP_METHOD": "constant"},
    ],
)
def test_curves_of_real_length(keys, rescale):
    cfg = config(MAX_ITER=90_000, WARMUP_ITERS=1000, RESCALE_INTERVAL=rescale, **keys)
    schedule = from_detectron2(cfg, tolerance=1e-3)
    assert_within(schedule, range(90_000), theirs(cfg, range(90_000)), 1e-3)
    assert np.abs(np.asarray(schedule.boundaries) - 1000).min() <= 1
    assert schedule.rates.size < 20
    with pytest.raises(ValueError, match="tolerance=1e-3"):
        from_detectron2(cfg)


SOLVERS = {
    "LR_SCHEDULER_NAME": st.sampled_from([*CURVES, "WarmupMultiStepLR", "WarmupStepWithFixedGammaLR"]),
    "MAX_ITER": st.sampled_from([50, 97, 400]), "BASE_LR_END": st.floats(0.0, 0.02), "NUM_DECAYS": st.integers(1, 9),
    "STEPS": st.lists(st.integers(1, 400), max_size=5, unique=True).map(sorted), "GAMMA": st.floats(0.1, 1.0),
    "WARMUP_ITERS": st.integers(0, 49), "WARMUP_FACTOR": st.just(0.0) | st.floats(0.001, 1.0),
    "WARMUP_METHOD": st.sampled_from(["linear", "constant"]), "RESCALE_INTERVAL": st.booleans(),
    "POLY_LR_POWER": st.floats(0.5, 3), "POLY_LR_CONSTANT_ENDING": st.floats(0.0, 0.2),
}  # fmt: skip


@given(st.fixed_dictionaries(SOLVERS))
@settings(deadline=None, max_examples=100)
def test_random_ones(keys):
    cfg, name = config(**keys), keys["LR_SCHEDULER_NAME"]
    counts, tolerance = range(cfg["MAX_ITER"]), 1e-3 if name in CURVES else None
    schedule = from_detectron2(cfg, tolerance=tolerance)
    if tolerance:
        assert_within(schedule, counts, theirs(cfg, counts), tolerance)
    else:
        assert_agrees(schedule, counts, theirs(cfg, counts))
