"""Importers on reference tables, on configs as they occur in the wild, and on broken input."""

import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import same
from reference_tables import DETECTRON2, OBJECT_DETECTION

from optax_stepping import manual_stepping
from optax_stepping.interop import (
    from_detectron2,
    from_fvcore,
    from_keras,
    from_mmengine,
    from_optax,
    from_optax_exponential_decay,
    from_tf_object_detection,
    from_torch,
)

TABLES = [(from_tf_object_detection, table) for table in OBJECT_DETECTION]
TABLES += [(from_detectron2, table) for table in DETECTRON2]


@pytest.mark.parametrize(("importer", "table"), TABLES)
def test_reference_tables(importer, table):
    schedule = importer(table["config"])
    for count, rate in table["rates"].items():
        held = schedule(int(count)) in schedule.rates
        tolerance = np.spacing(np.float32(rate)) if held else 1e-6 * rate
        assert abs(float(schedule(int(count))) - rate) <= tolerance, count


EXPECTED = manual_stepping([900, 1200], [3e-4, 3e-5, 3e-6])
MANUAL = """manual_step_learning_rate {
  initial_learning_rate: .0003
  schedule { step: 900 learning_rate: 3e-5 }
  schedule { step: 1200 learning_rate: 3.0E-06 }
}"""
IN_THE_WILD = {
    "plain": MANUAL,
    "in a learning rate": f"learning_rate {{ {MANUAL} }}",
    "whole": f"""
        # A config: with {{ braces in a comment
        model {{ ssd {{ num_classes: 90 image_resizer {{ fixed_shape_resizer {{ height: 300 }} }} }} }}
        train_config: {{ batch_size: 24; optimizer {{ rms_prop_optimizer: {{
          learning_rate: {{ {MANUAL} }} momentum_optimizer_value: 0.9, decay: 0.9 }} }}
          fine_tune_checkpoint: "PATH {{ with a brace" }}""",
    "angle brackets": f"optimizer < sgd < learning_rate < {MANUAL} > > >",
    "unquoted placeholders": f"a {{ path: PATH_TO_BE_CONFIGURED/model.ckpt }} learning_rate {{{MANUAL}}}",
    "a value is missing": f"num_steps:\nbatch_size: 3\nlearning_rate {{{MANUAL}}}",
    "a colon is missing": f"num_steps 3 batch_size 4 learning_rate {{{MANUAL}}}",
    "an open quote": f'path: "never closed\nlearning_rate {{{MANUAL}}}',
    "lists": f"scales: [0.25, 0.5] boxes: [{{ a: 1 }}, {{ a: 2 }}] learning_rate {{{MANUAL}}}",
    "extensions": f"[my.pkg.ext] {{ a: 1 }} [other.ext]: 3 learning_rate {{{MANUAL}}}",
    "other rates": f"eval {{ learning_rate: 0.5 }} learning_rate {{{MANUAL}}} layer_learning_rate: 3",
    "suffixes and hexadecimal": """manual_step_learning_rate: { initial_learning_rate: 3e-4f,
        schedule: { step: 0x384; learning_rate: 3e-5F }; schedule { step: 1200 learning_rate: 3e-6 } }""",
    "schedules in a list": """manual_step_learning_rate { initial_learning_rate: 0.0003
        schedule: [{ step: 900 learning_rate: 0.00003 }, { step: 1200 learning_rate: 0.000003 }] }""",
    "the last value counts": f"learning_rate {{{MANUAL[:-1]} initial_learning_rate: 0.0003 }} }}",
}


@pytest.mark.parametrize("case", IN_THE_WILD)
def test_configs_in_the_wild(case, tmp_path):
    assert same(from_tf_object_detection(IN_THE_WILD[case]), EXPECTED)
    path = tmp_path / "pipeline.config"
    path.write_text(IN_THE_WILD[case])
    assert same(from_tf_object_detection(path), EXPECTED)
    assert same(from_tf_object_detection(str(path)), EXPECTED)


BROKEN = {
    "nothing": ("", "there is no file '.'"),
    "no file": ("pipeline.config", "there is no file 'pipeline.config'"),
    "no learning rate": ("train_config { batch_size: 3 }", "there is no learning rate in it"),
    "cosine": (
        "learning_rate {\n cosine_decay_learning_rate { total_steps: 30000 } }",
        r"line 2: cosine_decay_learning_rate .*optax\.cosine_decay_schedule\(0\.002, 20000\)",
    ),
    "cosine without steps": (
        "learning_rate {\n cosine_decay_learning_rate { total_steps: 9 } }",
        "line 2: total_steps = 9 leaves no step for the cosine after 10000",
    ),
    "exponential": (
        "learning_rate {\n exponential_decay_learning_rate { staircase: false } }",
        r"line 2: exponential_decay_learning_rate without staircase .*"
        r"optax\.exponential_decay\(0\.002, 4000000, 0\.95, staircase=False\)",
    ),
    "exponential without steps": (
        "exponential_decay_learning_rate { decay_steps: 0 }",
        "line 1: decay_steps must be positive, got 0",
    ),
    "exponential of endless stages": (
        "exponential_decay_learning_rate { decay_steps: 1 decay_factor: 0.9999 }",
        "more than 10000 stages; .* total_steps",
    ),
    "exponential that grows": (
        "exponential_decay_learning_rate { decay_steps: 100 decay_factor: 2 }",
        "grows beyond float32 at step 13[0-9]+; .*total_steps",
    ),
    "another": ("learning_rate { my_learning_rate { } }", "my_learning_rate .*manual_stepping"),
    "two": (f"learning_rate {{ {MANUAL} }}\nlearning_rate {{ {MANUAL} }}", "2 learning rates"),
    "no schedule": ("learning_rate { manual_step_learning_rate { } }", "has no schedule"),
    "unknown field": (
        MANUAL.replace("initial_learning_rate", "initial_rate"),
        "line 2: initial_rate is not known in manual_step_learning_rate",
    ),
    "not a number": (MANUAL.replace(".0003", "fast"), "line 2: initial_learning_rate is 'fast'"),
    "a fraction of a step": (
        MANUAL.replace("900", "900.5"),
        r"line 3: step is '900\.5'; write an in",
    ),
    "negative": (MANUAL.replace("900", "-900"), r"boundaries\[0\] must be positive, got -900"),
    "not a bool": (MANUAL[:-1] + "warmup: maybe }", "warmup is 'maybe'; write true or false"),
    "unsorted": (
        MANUAL.replace("1200", "800"),
        r"boundaries\[1\] = 800 after boundaries\[0\] = 900",
    ),
    "later zero": (MANUAL.replace("1200", "0"), r"boundaries\[1\] must be positive, got 0"),
    "infinite": (MANUAL.replace(".0003", "inf"), "initial_learning_rate is 'inf'; write a number"),
    "empty value": (MANUAL.replace(".0003", ""), "line [23]"),
    "a message for a number": (MANUAL.replace(".0003", "{ a: 1 }"), "wrong kind"),
    "never closed": (f"learning_rate {{ {MANUAL}", "'learning_rate' of line 1 is never closed"),
    "the innermost one": ("a {\nb {\nc {\nd: 1 }", "the message 'b' of line 2 is never closed"),
    "several": (
        "".join(f"learning_rate {{\n{kind}_learning_rate {{ }} }}\n" for kind in "abc"),
        "3 learning rates, a_learning_rate in line 2 and b_learning_rate in line 4; keep one",
    ),
    "never opened": (f"{MANUAL} }}", "closes a brace that was never opened"),
    "deep": ("a {" * 200, "nested deeper than 100 levels"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_configs(case):
    text, message = BROKEN[case]
    with pytest.raises(ValueError, match=message):
        from_tf_object_detection(text)


@pytest.mark.parametrize(
    ("text", "boundaries", "rates"),
    [
        ("constant_learning_rate { }", [], [0.002]),
        ("manual_step_learning_rate { schedule { } }", [], [0.002]),
        ("manual_step_learning_rate { schedule { step: 9 } }", [9], [0.002, 0.002]),
        ("exponential_decay_learning_rate { }", [4_000_000, 8_000_000], [0.002, 0.0019, 0.001805]),
        (
            "exponential_decay_learning_rate { burnin_steps: 500 }",
            [4_000_500, 8_000_500],
            [0.002, 0.0019, 0.001805],
        ),
    ],
)
def test_defaults_of_the_object_detection_api(text, boundaries, rates):
    schedule = from_tf_object_detection(f"learning_rate {{ {text} }}", total_steps=10_000_000)
    np.testing.assert_allclose(schedule.rates, manual_stepping(boundaries, rates).rates, rtol=2e-7)
    assert schedule.boundaries.tolist() == boundaries


@pytest.mark.parametrize("value", ["true", "t", "True", "1", "false", "f", "False", "0"])
def test_bools_of_the_text_format(value):
    warmup = value in ("true", "t", "True", "1")
    schedule = from_tf_object_detection(f"{MANUAL[:-1]} warmup: {value} }}")
    assert same(schedule, manual_stepping([900, 1200], [3e-4, 3e-5, 3e-6], warmup))


def test_a_step_at_the_end_of_training_is_left_out():
    assert same(from_tf_object_detection(MANUAL, 900), manual_stepping([], [3e-4]))
    assert same(from_tf_object_detection(MANUAL, 901), manual_stepping([900], [3e-4, 3e-5]))


def test_defaults_of_a_cosine():
    expression = (
        r"optax\.join_schedules\(\[optax\.linear_schedule\(0\.0002, 0\.002, 10000\), "
        r"optax\.constant_schedule\(0\.002\), "
        r"optax\.cosine_decay_schedule\(0\.002, 3990000\)\], \[10000, 10000\]\)"
    )
    with pytest.raises(ValueError, match=expression):
        from_tf_object_detection("learning_rate { cosine_decay_learning_rate { } }")
    with pytest.raises(ValueError, match="total_steps = 10000 leaves no step for the cosine"):
        from_tf_object_detection("cosine_decay_learning_rate { total_steps: 10000 }")


@pytest.mark.parametrize("step", ["9_00", "1_0.5", "_9"])
def test_numbers_that_only_python_reads(step):
    with pytest.raises(ValueError, match=f"step is '{step}'; write an integer such as"):
        from_tf_object_detection(MANUAL.replace("900", step))
    with pytest.raises(ValueError, match=f"learning_rate is '{step}'; write a number such as"):
        from_tf_object_detection(MANUAL.replace("3e-5", step))


def test_a_hundred_levels():
    text = "a {" * 97 + f"learning_rate {{ {MANUAL} }}" + "}" * 97
    assert same(from_tf_object_detection(text), from_tf_object_detection(MANUAL))
    with pytest.raises(ValueError, match="line 3 is nested deeper than 100 levels"):
        from_tf_object_detection(f"a {{ {text} }}")


def test_a_text_of_a_megabyte():
    longest = MANUAL.rjust(1_000_000)
    assert same(from_tf_object_detection(longest), from_tf_object_detection(MANUAL))
    with pytest.raises(ValueError, match="1000001 characters are too many, at most 1000000 are"):
        from_tf_object_detection(" " + longest)


PARTS = st.sampled_from(
    ["learning_rate", "manual_step_learning_rate", "schedule", "step", "warmup", "{", "}", "<", ">",
     ":", ";", ",", "[", "]", "[a.b]", '"', "'", "#", "\n", " ", "0", "10", "-3", ".5", "1e9", "true",
     "constant_learning_rate", "initial_learning_rate", "\\", "\x00", "é", "nan"]
)  # fmt: skip


@given(st.lists(PARTS, max_size=60).map(" ".join) | st.text(max_size=200))
def test_fuzzed_configs_give_a_schedule_or_an_error(text):
    try:
        schedule = from_tf_object_detection("{ } " + text)
    except ValueError:
        return
    assert np.isfinite(schedule(100))


@given(st.integers(0, len(IN_THE_WILD["whole"]) - 1), st.text(max_size=3))
def test_damaged_configs_give_a_schedule_or_an_error(position, damage):
    whole = IN_THE_WILD["whole"]
    try:
        schedule = from_tf_object_detection(whole[:position] + damage + whole[position + 1 :])
    except ValueError:
        return
    assert np.isfinite(schedule(100))


class MultiStepLR:
    """Has what torch's has, for machines without torch."""

    def __init__(self, milestones, gamma=0.1, base_lrs=(0.1,), last_epoch=0):
        self.milestones, self.gamma, self.base_lrs = milestones, gamma, list(base_lrs)
        self.last_epoch = last_epoch
        passed = sum(1 for milestone in milestones if milestone <= last_epoch)
        self._last_lr = [base * gamma**passed for base in base_lrs]


@pytest.mark.not_under("JAX_ENABLE_X64", reason="shows float32")
def test_a_scheduler_that_looks_like_one_of_torch():
    expected = manual_stepping([30, 60], [0.1, 0.01, 0.001])
    assert same(from_torch(MultiStepLR([30, 60])), expected)
    assert same(from_torch(MultiStepLR([30, 60], last_epoch=45)), expected)
    cut = from_torch(MultiStepLR([30, 60]), total_steps=60)
    assert same(cut, manual_stepping([30], [0.1, 0.01]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: from_keras({"boundaries": [1]}), ValueError, "no 'values'"),
        (
            lambda: from_keras({"boundaries": [-1], "values": [1, 2]}),
            ValueError,
            r"boundaries\[0\] = -1",
        ),
        (lambda: from_keras(None), TypeError, "must be a PiecewiseConstantDecay"),
        (lambda: from_torch(None), TypeError, "must be a torch learning rate scheduler"),
        (lambda: from_detectron2(3), TypeError, "cfg must be a Detectron2 config"),
        (lambda: from_detectron2({"STEPS": (5, 3)}), ValueError, "STEPS must be ascending"),
        (
            lambda: from_detectron2({"MAX_ITER": 0}),
            ValueError,
            "MAX_ITER must be positive, got 0",
        ),
        (lambda: from_detectron2({"STEPS": (0.5,)}), TypeError, r"STEPS\[0\] must be an integer"),
        (lambda: from_detectron2({"WARMUP_METHOD": "exp"}), ValueError, "got 'exp'"),
        (
            lambda: from_detectron2({"LR_SCHEDULER_NAME": "WarmupCosineLR"}),
            ValueError,
            r"WarmupCosineLR .*optax\.warmup_cosine_decay_schedule",
        ),
        (lambda: from_detectron2({"RESCALE_INTERVAL": True}), ValueError, "RESCALE_INTERVAL"),
        (
            lambda: from_mmengine(0.1, 3, steps_per_epoch=10),
            TypeError,
            "param_scheduler must be a list",
        ),
        (lambda: from_mmengine(0.1, [3], steps_per_epoch=10), TypeError, r"param_scheduler\[0\]"),
        (
            lambda: from_mmengine(0.1, [], steps_per_epoch=0),
            ValueError,
            "steps_per_epoch must be positive",
        ),
        (
            lambda: from_mmengine(0.1, {"type": "CosineAnnealingLR"}, steps_per_epoch=10),
            ValueError,
            r"CosineAnnealingLR .*optax\.cosine_decay_schedule",
        ),
        (
            lambda: from_mmengine(0.1, {"type": "MultiStepLR", "gama": 1}, steps_per_epoch=10),
            ValueError,
            "'gama' is not known in MultiStepLR",
        ),
        (
            lambda: from_mmengine(0.1, {"type": "MultiStepLR"}, steps_per_epoch=10),
            ValueError,
            "MultiStepLR needs 'milestones'",
        ),
        (
            lambda: from_mmengine(
                0.1, {"type": "StepLR", "step_size": 3, "begin": 9, "end": 4}, steps_per_epoch=1
            ),
            ValueError,
            "begin=9, end=4",
        ),
        (
            lambda: from_mmengine(0.1, {"type": "LinearLR"}, steps_per_epoch=10),
            ValueError,
            r"param_scheduler\[0\]: LinearLR needs 'end'.* max_epochs",
        ),
        (
            lambda: from_mmengine(0.1, {"type": "StepLR", "step_size": 0}, steps_per_epoch=10),
            ValueError,
            r"param_scheduler\[0\]: step_size must be positive, got 0",
        ),
        (lambda: from_detectron2({"STEPS": 5}), TypeError, "cfg: STEPS must be a list.*got 5"),
        (lambda: from_detectron2({"GAMMA": [2]}), TypeError, r"cfg: GAMMA must be a real .*\[2\]"),
        (lambda: from_detectron2({"BASE_LR": None}), TypeError, "cfg: BASE_LR must be a real"),
        (
            lambda: from_detectron2({"SOLVER": {"MAX_EPOCH": 60, "STEPS": [30, 50]}}),
            ValueError,
            "MAX_EPOCH = 60 is not of Detectron2: this is a config of fast-reid",
        ),
        (
            lambda: from_detectron2("SOLVER:\n  STEPS: (3, __import__('os'))\n"),
            ValueError,
            "cfg: STEPS = .* is no Python value",
        ),
        (
            lambda: from_detectron2("SOLVER:\n  STEPS: !!python/object/apply:os.system [ls]\n"),
            ValueError,
            "no YAML that is read safely: could not determine a constructor",
        ),
        (lambda: from_detectron2("a: [1, 2\n"), ValueError, "the text is no YAML .*line 2"),
        (lambda: from_detectron2("- 1\n- 2\n"), ValueError, "the text must hold a mapping"),
        (lambda: from_detectron2("nowhere.yaml"), ValueError, "there is no file 'nowhere.yaml'"),
        (
            lambda: from_detectron2("_BASE_: base.yaml\nSOLVER: {}\n"),
            ValueError,
            "_BASE_ = 'base.yaml' is relative to the file",
        ),
        (
            lambda: from_detectron2("a: " + "[\n" * 1000 + "]" * 1000),
            ValueError,
            "line 100 is nested deeper than 100 levels",
        ),
        (
            lambda: from_detectron2("# " + "x" * 10_000_000 + "\na: 1"),
            ValueError,
            "1000.* characters are too many",
        ),
        (
            lambda: from_mmengine(0.1, {"milestones": [3]}, steps_per_epoch=10),
            ValueError,
            r"param_scheduler\[0\] has no 'type', only \['milestones'\]",
        ),
        (
            lambda: from_mmengine(0.1, {"type": "MultiStepLR", "milestones": 3}, steps_per_epoch=9),
            TypeError,
            r"param_scheduler\[0\]: milestones must be a list.*got 3",
        ),
        (
            lambda: from_mmengine("a", [], steps_per_epoch=10),
            TypeError,
            "base_lr must be a real number, got 'a'",
        ),
        (
            lambda: from_mmengine(0.1, {"policy": "poly"}, steps_per_epoch=10),
            ValueError,
            r"lr_config: policy: PolyLR .*optax\.polynomial_schedule",
        ),
        (
            lambda: from_mmengine(0.1, {"policy": "step"}, steps_per_epoch=10),
            ValueError,
            "policy 'step' needs 'step'; write step=",
        ),
        (
            lambda: from_mmengine(0.1, {"policy": "step", "step": [9, 8]}, steps_per_epoch=10),
            ValueError,
            r"step must be in ascending order, got \[9, 8\]",
        ),
        (
            lambda: from_mmengine(0.1, {"policy": "fixed", "warmup": "exp"}, steps_per_epoch=10),
            ValueError,
            "warmup must be 'linear' or 'constant', got 'exp'",
        ),
        (
            lambda: from_mmengine(0.1, {"policy": "fixed", "target": 1}, steps_per_epoch=10),
            ValueError,
            "lr_config: 'target' is not known; known are",
        ),
        (
            lambda: from_keras({"boundaries": [3], "values": [0.1]}),
            ValueError,
            "values must have one entry more than boundaries, got 1 for 1",
        ),
        (
            lambda: from_keras({"boundaries": ["a"], "values": [0.1, 0.2]}),
            TypeError,
            r"boundaries\[0\] must be a real number, got 'a'",
        ),
        (
            lambda: from_optax_exponential_decay(0.1, 10, 0.0),
            ValueError,
            "decay_rate must be positive, got 0.0",
        ),
        (
            lambda: from_optax_exponential_decay(0.1, 0, 0.9),
            ValueError,
            "transition_steps must be positive, got 0",
        ),
        (
            lambda: from_optax_exponential_decay(0.1, 1, 0.9999),
            ValueError,
            "more than 10000 stages; .*total_steps",
        ),
        (lambda: from_fvcore(None, 0.1, num_updates=3), TypeError, "must be a ParamScheduler"),
        (
            lambda: from_tf_object_detection(MANUAL, 0.5),
            TypeError,
            "total_steps must be an integer, got 0.5",
        ),
        (lambda: from_optax(0.1, [3]), TypeError, "must be a dict"),
        (
            lambda: from_optax(0.1, {3: -1.0}),
            ValueError,
            r"boundaries_and_scales\[3\] must not be negative, got -1\.0",
        ),
        (lambda: from_optax(0.1, {3.5: 1.0}), TypeError, "step must be an integer, got 3.5"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


BASE = """
SOLVER:
  BASE_LR: 0.02
  STEPS: (60000, 80000)
  MAX_ITER: 90000
  WARMUP_ITERS: 500
  IMS_PER_BATCH: 16
"""


def test_detectron2_yaml(tmp_path):
    """As in Detectron2's own configs: files over files, tuples that YAML leaves as strings."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "a.yaml").write_text(BASE)
    child = tmp_path / "b.yaml"
    child.write_text(
        '_BASE_: "base/a.yaml"\nSOLVER:\n  STEPS: (120000, 160000)\n  MAX_ITER: 180000\n'
    )
    once = {"BASE_LR": 0.02, "STEPS": (60000, 80000), "MAX_ITER": 90000, "WARMUP_ITERS": 500}
    twice = once | {"STEPS": (120000, 160000), "MAX_ITER": 180000}
    assert same(from_detectron2(BASE), from_detectron2(once))
    for path in (child, str(child)):
        assert same(from_detectron2(path), from_detectron2(twice))
    child.write_text("_BASE_: b.yaml\nSOLVER: {}\n")
    with pytest.raises(ValueError, match="more than 10 files are based on each other"):
        from_detectron2(child)
    child.write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(ValueError, match=r"b\.yaml' is no text file"):
        from_detectron2(child)


def test_a_missing_yaml_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ImportError, match=r"pip install 'optax-stepping\[detectron2\]'"):
        from_detectron2(BASE)


def test_a_ramp_across_a_milestone_goes_on_at_another_height():
    schedule = from_mmengine(
        0.5,
        [
            {"type": "LinearLR", "by_epoch": False, "end": 501, "start_factor": 0.5},
            {"type": "MultiStepLR", "by_epoch": False, "milestones": [300]},
        ],
        steps_per_epoch=10,
    )
    for count in range(600):
        expected = 0.5 * (0.5 + 0.5 * min(count, 500) / 500) * (0.1 if count >= 300 else 1)
        np.testing.assert_allclose(schedule(count), expected, rtol=3e-7)


def test_a_decay_of_a_negative_rate_goes_on():
    expected = manual_stepping([9, 18], [-0.5, -0.25, -0.125])
    assert same(from_optax_exponential_decay(-0.5, 9, 0.5, total_steps=19), expected)


def test_milestones_of_mmengine_count_from_the_beginning_to_the_end():
    config = {"type": "MultiStepLR", "by_epoch": False, "milestones": [0, 3, 15], "gamma": 0.5}
    schedule = from_mmengine(1, config | {"begin": 5, "end": 20}, steps_per_epoch=9)
    assert same(schedule, manual_stepping([5, 8], [1, 0.5, 0.25]))
    with pytest.raises(ValueError, match=r"begin must lie in 0 \.\. end - 1, got begin=5, end=5"):
        from_mmengine(1, config | {"begin": 5, "end": 5}, steps_per_epoch=9)


def test_a_scheduler_of_mmengine_that_begins_at_the_second_step():
    config = {"type": "LinearLR", "start_factor": 0.5, "end_factor": 0.25, "by_epoch": False}
    schedule = from_mmengine(1, config | {"begin": 1, "end": 5}, steps_per_epoch=9)
    ramps = [False, True]
    assert same(schedule, manual_stepping([1, 4], [1, 0.5, 0.25], interpolate=ramps))


def test_epochs_of_two_steps():
    schedule = from_mmengine(1, {"policy": "step", "step": [3]}, steps_per_epoch=2)
    assert same(schedule, manual_stepping([6], [1, 0.1]))


def test_ten_thousand_stages():
    schedule = from_optax_exponential_decay(1, 1, 0.9999, total_steps=10_000)
    assert schedule.rates.size == 10_000
    with pytest.raises(ValueError, match="has more than 10000 stages"):
        from_optax_exponential_decay(1, 1, 0.9999, total_steps=10_001)


def test_a_decay_by_nothing_is_a_constant():
    for rate in (0.5, float(np.finfo(np.float32).max)):
        assert same(from_optax_exponential_decay(rate, 1, 1.0), manual_stepping([], [rate]))


def test_an_exponential_decay_of_keras():
    config = {"initial_learning_rate": 1, "decay_rate": 0.5, "decay_steps": 9, "staircase": True}
    expected = manual_stepping([9, 18], [1, 0.5, 0.25])
    assert same(from_keras(config, total_steps=19), expected)


def test_a_growth_ends_at_its_bound():
    schedule = from_optax_exponential_decay(1, 9, 1.5, end_value=3, total_steps=40)
    assert same(schedule, manual_stepping([9, 18, 27], [1, 1.5, 2.25, 3]))


def test_a_decay_ends_where_its_bound_is_reached():
    """Before it has too many stages."""
    schedule = from_optax_exponential_decay(0.5, 1, 0.999, end_value=0.1)
    assert schedule.boundaries.size == 1609
    assert schedule(10**6) == np.float32(0.1)


@pytest.mark.parametrize(
    ("config", "boundaries", "rates", "ramps"),
    [
        ({"policy": "fixed"}, [], [1], []),
        ({"policy": "step", "step": [1]}, [1], [1, 0.1], False),
        ({"policy": "step", "step": 2**31 - 1}, [2**31 - 1], [1, 0.1], False),
        ({"policy": "step", "step": [3, 6], "min_lr": 0.1}, [3], [1, 0.1], False),
        ({"policy": "fixed", "warmup": "constant", "warmup_iters": 5}, [5], [0.1, 1], False),
        ({"policy": "fixed", "warmup": "linear", "warmup_iters": 1}, [1], [0.1, 1], True),
    ],
)
def test_lr_config_by_iterations(config, boundaries, rates, ramps):
    schedule = from_mmengine(1, config | {"by_epoch": False}, steps_per_epoch=10)
    assert same(schedule, manual_stepping(boundaries, rates, interpolate=ramps))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"policy": "fixed", "warmup": "linear"}, "warmup_iters must be positive, got 0"),
        ({"policy": "step", "step": 0}, "step must be positive, got 0"),
        ({"policy": "fixed", "steps": [3]}, "'steps' is not known; known are"),
        ({"policy": "step", "step": [0, 4]}, r"step\[0\] must be positive, got 0"),
    ],
)
def test_lr_configs_that_are_refused(config, message):
    with pytest.raises(ValueError, match=message):
        from_mmengine(0.5, config, steps_per_epoch=10)


def test_a_flag_of_lr_config_is_a_bool():
    with pytest.raises(TypeError, match="lr_config: warmup_by_epoch must be True or False, got 1"):
        from_mmengine(0.5, {"policy": "fixed", "warmup_by_epoch": 1}, steps_per_epoch=10)


def test_defaults_of_detectron2():
    expected = manual_stepping([1000, 30_000], [1e-6, 1e-3, 1e-4], interpolate=[True, False])
    assert same(from_detectron2({"WARMUP_METHOD": "linear"}), expected)
    until_the_end = from_detectron2({"STEPS": [39_999, 40_000, 40_001]})
    assert until_the_end.boundaries.tolist() == [1000, 39_999, 40_000]


def test_a_warmup_of_detectron2_starts_from_a_share_of_the_first_rate():
    solver = {"BASE_LR": 1, "STEPS": [0], "GAMMA": 0.5, "WARMUP_METHOD": "constant"}
    solver |= {"WARMUP_FACTOR": 0.25, "WARMUP_ITERS": 9, "MAX_ITER": 20}
    assert same(from_detectron2(solver), manual_stepping([9], [0.125, 0.5]))


def test_a_warmup_within_the_tolerance_of_detectron2_is_none():
    solver = {"BASE_LR": 0.5, "STEPS": [], "MAX_ITER": 2_000_000, "WARMUP_ITERS": 1}
    assert same(from_detectron2(solver), manual_stepping([], [0.5]))
    at_once = solver | {"STEPS": [1], "GAMMA": 0.5}
    assert same(from_detectron2(at_once), manual_stepping([], [0.25]))


def test_keras_stages_start_after_a_boundary_and_before_the_end():
    config = {"boundaries": [0, 1000, 2000], "values": [4, 3, 2, 1]}
    assert same(from_keras(config), manual_stepping([1, 1001, 2001], [4, 3, 2, 1]))
    assert same(from_keras(config, total_steps=1001), manual_stepping([1], [4, 3]))
    assert same(from_keras(config, total_steps=1002), manual_stepping([1, 1001], [4, 3, 2]))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"decay_rate": 0.5}, "has no 'boundaries', only"),
        ({"initial_learning_rate": 1, "decay_rate": 0.5, "decay_steps": 9}, "without staircase"),
        (
            {"initial_learning_rate": 1, "decay_rate": 0.5, "decay_steps": 0, "staircase": True},
            "decay_steps must be positive, got 0",
        ),
    ],
)
def test_keras_configs_that_are_refused(config, message):
    with pytest.raises(ValueError, match=message):
        from_keras(config)


def test_a_chain_of_eleven_files(tmp_path):
    (tmp_path / "0.yaml").write_text("SOLVER: 3\nOTHER: {A: 1}\n")
    for i in range(1, 12):
        solver = "SOLVER: {BASE_LR: 0.5, STEPS: [7], MAX_ITER: 9, WARMUP_ITERS: 0}\nOTHER: 2\n"
        (tmp_path / f"{i}.yaml").write_text(f"_BASE_: {i - 1}.yaml\n" + solver)
    expected = from_detectron2({"BASE_LR": 0.5, "STEPS": [7], "MAX_ITER": 9, "WARMUP_ITERS": 0})
    assert same(from_detectron2(tmp_path / "10.yaml"), expected)
    with pytest.raises(ValueError, match="more than 10 files are based on each other"):
        from_detectron2(tmp_path / "11.yaml")


def test_no_framework_is_imported():
    code = (
        "import sys, optax_stepping.interop;"
        "assert not {'torch', 'keras', 'tensorflow', 'mmengine', 'fvcore', 'google.protobuf',"
        " 'yaml', 'matplotlib'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_hostile_files_are_refused_quickly(tmp_path):
    path = tmp_path / "hostile.config"
    for content in (
        b"a {" * 4_000_000,
        b"\xff\xfe" * 100,
        b'"' * 900_000,
        b"[" * 900_000,
        b"a:" * 450_000,
    ):
        path.write_bytes(content)
        start = time.perf_counter()
        with pytest.raises(ValueError, match="config"):
            from_tf_object_detection(path)
        assert time.perf_counter() - start < 20
    with pytest.raises(TypeError, match="got 3 of type int"):
        from_tf_object_detection(3)
