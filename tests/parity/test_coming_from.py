"""Every call in docs/guides/coming_from.md, against the framework itself or its published formula.

What is not installed here has a stand-in by its source: timm/scheduler, transformers/optimization.py, ignite/handlers/param_scheduler.py,
mxnet/lr_scheduler.py, levanter/optim/config.py, purejaxrl/ppo.py. The other formulas are those of darknet's network.c, Caffe's
sgd_solver.cpp, ppdet/optimizer, big_vision/utils.py, scenic/train_lib/lr_schedules.py, mmdet's QuadraticWarmupLR and MaxText's maxtext_utils.py.
"""

import math
import re
from bisect import bisect_right
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from fvcore.common import param_scheduler as fvcore
from keras.optimizers import schedules as keras
from test_formulas import in_a_training, object_detection_cosine
from test_mmengine import POLICIES, RECIPES, lr_config_rates, mmengine_rates
from torch.optim import lr_scheduler

import optax_stepping

HERE = Path(__file__).parent
GUIDES = HERE.parents[1] / "docs" / "guides"
ROWS = {}  # by what stands before the colon: the code in the first and in the second cell
for row in (GUIDES / "coming_from.md").read_text().split("|---|\n")[1].splitlines():
    have, write, _ = row.split(" | ")
    calls = re.findall(r"`([\w.]+\(.*?)`", write)
    ROWS[have[2:].partition(":")[0]] = re.findall("`(.*?)`", have), calls


def get_scheduler(_, optimizer, warmup, total):
    """Hugging Face's cosine."""

    def share(step):
        return min(step / warmup, 1) * cosine(max(step - warmup, 0) / (total - warmup))

    return lr_scheduler.LambdaLR(optimizer, share)


class MultiStepLRScheduler:
    """Timm's."""

    def __init__(self, optimizer, decay_t, decay_rate):
        self.base, self.decay_t, self.decay_rate = optimizer.defaults["lr"], decay_t, decay_rate

    def _get_lr(self, t):
        return [self.base * self.decay_rate ** bisect_right(self.decay_t, t + 1)]


class PiecewiseLinear:
    """Ignite's."""

    @staticmethod
    def simulate_values(num_events, param_name, milestones_values):
        return enumerate(np.interp(range(num_events), *zip(*milestones_values, strict=True)))


class MultiFactorScheduler:
    """MXNet's, which remembers the drops that it has passed."""

    def __init__(self, step, factor, base_lr, warmup_steps):
        self.left, self.factor, self.rate = [*step], factor, base_lr
        self.warmup_steps, self.warmup_final_lr = warmup_steps, base_lr

    def __call__(self, num_update):
        if num_update < self.warmup_steps:
            return self.warmup_final_lr * num_update / self.warmup_steps
        while self.left and num_update > self.left[0]:
            self.rate *= self.factor
            self.left.pop(0)
        return self.rate


class AdamConfig(SimpleNamespace):
    """Levanter's."""

    def lr_scheduler(self, num_train_steps):
        warmup = int(self.warmup * num_train_steps)
        rise = optax.linear_schedule(0.0, self.learning_rate, warmup)
        fall = optax.linear_schedule(
            self.learning_rate, 0.1 * self.learning_rate, num_train_steps - warmup
        )
        return optax.join_schedules([rise, fall], [warmup])


def linear_schedule(count):
    return 2.5e-4 * (1.0 - (count // (4 * 4)) / 976)


def cosine(share):
    return 0.5 * (1 + math.cos(math.pi * share))


def called(function, total_steps):
    return np.asarray(jax.vmap(function)(jnp.arange(total_steps)), np.float64)


def stepped(scheduler, total_steps, steps_per_epoch=1, warmup=None):
    group = scheduler.optimizer.param_groups[0]
    for count in range(total_steps):
        yield group["lr"]
        scheduler.optimizer.step()
        if warmup:
            warmup.step()
        if (count + 1) % steps_per_epoch == 0:
            scheduler.step()


def of(formula, total_steps):
    return [formula(count) for count in range(total_steps)]


def detectron2(count):
    share = cosine(max(count, 1000) / 9000)
    return 0.001 * (share if count >= 1000 else 1e-3 + (share - 1e-3) * count / 1000)


def darknet(batch):
    if batch < 1000:
        return 1e-3 * (batch / 1000) ** 4
    return 1e-3 * 0.1 ** ((batch >= 400_000) + (batch >= 450_000))


def paddle_detection(count):
    factor = [1.0, 0.5, 0.05][(count >= 800) + (count >= 1100)]
    return 0.01 * min(0.1 + 0.9 * count / 500, factor)


def yolox(count, epoch=1849):
    if count < 5 * epoch:
        return 0.01 * ((count + 1) / (5 * epoch)) ** 2
    return 0.0005 + 0.0095 * cosine((min(count, 285 * epoch) - 5 * epoch) / (285 * epoch))


def maxtext(count):
    return 3e-5 * min(count / 100, 1, 1 - 0.9 * (count - 900) / 99)


THEIRS = {
    "Optax, steps": lambda s: called(s["schedule"], 3000),
    "Optax, curves": lambda s: called(s["schedule"], 5000),
    "Keras, steps": lambda s: called(s["schedule"], 2000),
    "Keras, curves": lambda s: called(s["schedule"], 5000),
    "PyTorch": lambda s: stepped(s["scheduler"], 45_000, 500),
    "Hugging Face": lambda s: stepped(s["scheduler"], 5000),
    "Lightning": lambda s: stepped(s["config"]["scheduler"], 45_000, 500),
    "torchvision, detection": lambda s: stepped(s["scheduler"], 26_000, 1000, s["warmup"]),
    "timm": lambda s: of(lambda count: s["scheduler"]._get_lr(count // 1251)[0], 90 * 1251),
    "ignite": lambda s: np.interp(range(5000), *zip(*s["milestones_values"], strict=True)),
    "MXNet": lambda s: of(lambda count: MultiFactorScheduler([1000, 2000], 0.1, 0.4, 500)(count + 1), 3000),
    "TF Object Detection API": lambda s: of(lambda c: object_detection_cosine(c, 0.002, 0.0002, 1000, 100, 0), 900),
    "Detectron2": lambda s: of(detectron2, 9000),
    "fvcore, Detectron2's LazyConfigs": lambda s: of(lambda c: 0.02 * s["lr_multiplier"](c / 90_000), 90_000),
    "Caffe": lambda s: of(lambda count: 0.01 * (1 - count / 20_000) ** 0.9, 20_000),
    "Darknet": lambda s: of(lambda count: darknet(count + 1), 500_200),
    "PaddleDetection": lambda s: of(paddle_detection, 1300),
    "MMDetection 3, MMEngine": lambda s: mmengine_rates(0.02, s["param_scheduler"], 7330, 12 * 7330),
    "MMSegmentation, MMEngine by iterations": lambda s: mmengine_rates(0.01, s["param_scheduler"], 1, 160_000),
    "MMPretrain": lambda s: mmengine_rates(0.1, [s["param_scheduler"]], 391, 200 * 391),
    "MMDetection's YOLOX": lambda s: of(yolox, 300 * 1849),
    "MMEngine, no scheduler": lambda s: mmengine_rates(0.01, [], 1, 100),
    "MMDetection 2, MMCV 1": lambda s: lr_config_rates(0.02, s["lr_config"], 7330, 12 * 7330),
    "MMSegmentation 0, MMCV 1": lambda s: lr_config_rates(0.01, s["lr_config"], 1, 160_000),
    "MMClassification 0, MMCV 1": lambda s: lr_config_rates(1e-3, s["lr_config"], 1251, 300 * 1251),
    "big_vision": lambda s: of(lambda count: 0.5 * [1.0, 0.1][count >= 1000] * min(1, count / 200), 2000),
    "Scenic": lambda s: of(lambda count: 0.5 * [1.0, 0.1][count > 1000], 2000),
    "levanter": lambda s: called(s["config"].lr_scheduler(10_000), 10_000),
    "MaxText, warmup, stable, decay": lambda s: of(maxtext, 1000),
    "PureJaxRL": lambda s: called(linear_schedule, 976 * 16),
}  # fmt: skip


def test_every_row_has_rates_to_compare():
    assert THEIRS.keys() == ROWS.keys()
    assert all(calls for _, calls in ROWS.values())


@pytest.mark.parametrize("name", ROWS)
def test_calls(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = in_a_training(900, "cosine_decay", total_steps=1000, warmup_steps=100)
    Path("pipeline.config").write_text(config)
    Path("config.yaml").write_text("SOLVER: {LR_SCHEDULER_NAME: WarmupCosineLR, MAX_ITER: 9000}")
    scope = (
        vars(fvcore)
        | vars(keras)
        | vars(optax)
        | vars(lr_scheduler)
        | globals()
        | vars(optax_stepping)
    )
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scope |= {"optimizer": optimizer, "steps_per_epoch": 100}
    codes, calls = ROWS[name]
    for code in codes:
        if " = " in code:
            exec(code, scope)
    schedules = [eval(call, scope) for call in calls]  # before the scheduler is stepped
    theirs = np.array([*THEIRS[name](scope)], np.float64)
    for call, schedule in zip(calls, schedules, strict=True):
        ours = np.asarray(schedule(np.arange(len(theirs))), np.float64)
        error = 2e-7 + (1e-3 if "tolerance" in call else 0)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=error * theirs.max())


def of_fvcore(multiplier, max_iter=900):
    return lambda count: 0.02 * multiplier(count / max_iter)


DROPS = fvcore.MultiStepParamScheduler([1.0, 0.1, 0.01], num_updates=900, milestones=[600, 800])
# As Detectron2's WarmupParamScheduler puts them together.
WARMUP = fvcore.CompositeParamScheduler(
    [fvcore.LinearParamScheduler(0.001, 1.0), DROPS], [0.1, 0.9], ["rescaled", "fixed"]
)
SCHEDULES = {
    "Keras, staircase": (keras.ExponentialDecay(0.5, 200, 0.5, staircase=True), None, 5),
    "Keras, polynomial": (keras.PolynomialDecay(0.5, 700, 0.1), None, 2),
    "Keras, exponential": (keras.ExponentialDecay(0.5, 200, 0.5), 1e-3, 16),
    "Keras, warmup and cosine": (keras.CosineDecay(0.1, 700, warmup_target=0.2, warmup_steps=50), 1e-3, 18),
    "Keras, restarts": (keras.CosineDecayRestarts(0.1, 300), 1e-3, 40),
    "Keras, inverse time": (keras.InverseTimeDecay(0.1, 100, 0.5), 1e-3, 20),
    "fvcore, drops": (of_fvcore(DROPS), None, 3),
    "fvcore, warmup": (of_fvcore(WARMUP), None, 4),
    "fvcore, line": (of_fvcore(fvcore.LinearParamScheduler(1.0, 0.1)), None, 2),
    "fvcore, stairs": (of_fvcore(fvcore.StepWithFixedGammaParamScheduler(1.0, 3, 0.5, 900)), None, 4),
    "fvcore, polynomial": (of_fvcore(fvcore.PolynomialDecayParamScheduler(1.0, 0.9)), 1e-3, 8),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
def test_other_functions_of_keras_and_fvcore(name):
    function, tolerance, most_stages = SCHEDULES[name]
    schedule = optax_stepping.from_function(function, total_steps=900, tolerance=tolerance)
    # Keras compiles some of its schedules anew at every call.
    theirs = called(function, 900) if name.startswith("Keras") else np.array(of(function, 900))
    ours = np.asarray(schedule(np.arange(900)), np.float64)
    error = (3e-7 + (tolerance or 0)) * theirs.max()
    np.testing.assert_allclose(ours, theirs, rtol=3e-7, atol=error)
    assert schedule.rates.size <= most_stages
    assert schedule(10**6) == ours[-1]


COUNTS = {
    "test_recipes": len(RECIPES),
    "test_calls": sum(len(calls) for _, calls in ROWS.values()),
    "test_other_functions_of_keras_and_fvcore": len(SCHEDULES),
}
CASES = r"\| ([\d,]+) [^|]*\| `(\w+\.py)::(\w+)` \|"


@pytest.mark.parametrize(
    ("number", "file", "test"), re.findall(CASES, (GUIDES / "migrating.md").read_text())
)
def test_the_numbers_of_the_guide_on_migrating(number, file, test):
    examples = re.search(rf"max_examples=(\d+)\)\ndef {test}\(", (HERE / file).read_text())
    count = COUNTS[test] if test in COUNTS else int(examples[1])
    if test == "test_random_lr_configs":
        count *= len(POLICIES)
    assert int(number.replace(",", "")) == count
