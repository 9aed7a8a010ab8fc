"""Schedules of Keras and fvcore, called as their own frameworks call them, as stages."""

import keras
import numpy as np
import pytest
from fvcore.common import param_scheduler as fv

from optax_stepping import from_function

K = keras.optimizers.schedules


def of_progress(scheduler, total_steps=600):
    return lambda count: 0.02 * scheduler(count / total_steps)


# The function, the tolerance (None: exact), landmarks among the boundaries, and the most stages.
CASES = {
    "pieces": (K.PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001]), None, [101, 201], 3),
    "polynomial": (K.PolynomialDecay(0.1, 300, 0.001), None, [300], 2),
    "cycles": (K.PolynomialDecay(0.1, 100, 0.02, cycle=True), None, [100, 200, 300], 12),
    "staircase": (K.ExponentialDecay(0.1, 100, 0.9, staircase=True), None, [100, 300, 500], 6),
    "exponential": (K.ExponentialDecay(0.1, 100, 0.5), 1e-3, [], 17),
    "inverse time": (K.InverseTimeDecay(0.1, 100, 0.9), 1e-3, [], 17),
    "cosine": (K.CosineDecay(0.0, 400, 0.1, warmup_target=0.2, warmup_steps=50), 1e-3, [50, 450], 18),
    "restarts": (K.CosineDecayRestarts(0.1, 150), 1e-2, [150, 450], 30),
    "fvcore cosine": (of_progress(fv.CosineParamScheduler(1, 0)), 1e-3, [], 17),
    "fvcore polynomial": (of_progress(fv.PolynomialDecayParamScheduler(1, 0.9)), 1e-3, [], 8),
    "fvcore steps": (
        of_progress(fv.MultiStepParamScheduler([1, 0.1, 0.01], milestones=[300, 450, 600])),
        None,
        [300, 450],
        3,
    ),
    "fvcore warmup": (
        of_progress(
            fv.CompositeParamScheduler(
                [fv.LinearParamScheduler(0.001, 1), fv.StepWithFixedGammaParamScheduler(1, 2, 0.1, 600)],
                [0.25, 0.75],
                ["rescaled", "fixed"],
            )
        ),
        None,
        [150, 200, 400],
        4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_rate_at_every_step(name):
    function, tolerance, landmarks, most = CASES[name]
    found = from_function(function, total_steps=600, tolerance=tolerance)
    assert set(landmarks) <= set(found.boundaries.tolist())
    assert found.rates.size <= most
    counts = np.arange(0, 600, 17)
    theirs = np.array([float(function(int(count))) for count in counts])
    allowed = (tolerance or 3e-7) * np.abs(theirs).max()
    np.testing.assert_allclose(found(counts), theirs, rtol=0, atol=allowed)


def test_keras_noise_of_single_precision_in_a_table_of_double():
    theirs = K.CosineDecay(0.1, 10_000, warmup_target=0.2, warmup_steps=50)
    found = from_function(theirs, total_steps=10_100, tolerance=1e-3)
    assert found.rates.size <= 18
    assert {50, 10_050} <= set(found.boundaries.tolist())
