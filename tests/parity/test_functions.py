"""Schedules of Keras and fvcore are functions: from_function has their rates at every count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fvcore.common import param_scheduler as fvcore
from keras.optimizers import schedules as keras

from optax_stepping import from_function


def of_fvcore(multiplier, max_iter=900):
    return lambda count: 0.02 * multiplier(count / max_iter)


DROPS = fvcore.MultiStepParamScheduler([1.0, 0.1, 0.01], num_updates=900, milestones=[600, 800])
# As Detectron2's WarmupParamScheduler puts them together.
WARMUP = fvcore.CompositeParamScheduler(
    [fvcore.LinearParamScheduler(0.001, 1.0), DROPS], [0.1, 0.9], ["rescaled", "fixed"]
)
SCHEDULES = {
    "Keras, piecewise": (keras.PiecewiseConstantDecay([300, 500], [0.5, 0.05, 0.005]), None, 3),
    "Keras, staircase": (keras.ExponentialDecay(0.5, 200, 0.5, staircase=True), None, 5),
    "Keras, polynomial": (keras.PolynomialDecay(0.5, 700, 0.1), None, 2),
    "Keras, exponential": (keras.ExponentialDecay(0.5, 200, 0.5), 1e-3, 16),
    "Keras, warmup and cosine": (
        keras.CosineDecay(0.1, 700, warmup_target=0.2, warmup_steps=50), 1e-3, 18,
    ),
    "Keras, restarts": (keras.CosineDecayRestarts(0.1, 300), 1e-3, 40),
    "Keras, inverse time": (keras.InverseTimeDecay(0.1, 100, 0.5), 1e-3, 20),
    "fvcore, drops": (of_fvcore(DROPS), None, 3),
    "fvcore, warmup": (of_fvcore(WARMUP), None, 4),
    "fvcore, line": (of_fvcore(fvcore.LinearParamScheduler(1.0, 0.1)), None, 2),
    "fvcore, stairs": (of_fvcore(fvcore.StepWithFixedGammaParamScheduler(1.0, 3, 0.5, 900)), None, 4),
    "fvcore, cosine": (of_fvcore(fvcore.CosineParamScheduler(1.0, 0.0)), 1e-3, 18),
    "fvcore, polynomial": (of_fvcore(fvcore.PolynomialDecayParamScheduler(1.0, 0.9)), 1e-3, 8),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_of_keras_and_fvcore(name):
    function, tolerance, most_stages = SCHEDULES[name]
    schedule = from_function(function, total_steps=900, tolerance=tolerance)
    if name.startswith("Keras"):  # which compiles some of its schedules anew at every call
        theirs = np.asarray(jax.vmap(function)(jnp.arange(900)), np.float64)
    else:
        theirs = np.array([function(count) for count in range(900)])
    ours = np.asarray(schedule(np.arange(900)), np.float64)
    peak = np.abs(theirs).max()
    np.testing.assert_allclose(ours, theirs, rtol=3e-7, atol=(3e-7 + (tolerance or 0)) * peak)
    assert schedule.rates.size <= most_stages
    assert schedule(10**6) == ours[-1]
