"""Importers on reference tables, on configs as they occur in the wild, and on broken input."""

import ast
import math
import re
import subprocess
import sys
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import same
from reference_tables import DETECTRON2, OBJECT_DETECTION

import optax_stepping
from optax_stepping import manual_stepping
from optax_stepping.interop import (
    from_detectron2,
    from_mmengine,
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


SOLVER = "base_lr: 0.5\nlr_policy: '%s'\ngamma: 0.25\npower: 2\nstepsize: 30\nmax_iter: 90"
BROKEN = {
    "nothing": ("", "there is no file '.'"),
    "no file": ("pipeline.config", "there is no file 'pipeline.config'"),
    "no learning rate": ("train_config { batch_size: 3 }", r"config must have one learning rate, got \[\]; keep or write one in an optimizer, as learning_rate {"),
    "cosine": ("learning_rate {\n cosine_decay_learning_rate { total_steps: 30000 } }", "line 2: cosine_decay_learning_rate: .* step 10000 to step 29999.*tolerance=1e-3"),
    "cosine without steps": ("learning_rate {\n cosine_decay_learning_rate { total_steps: 9 } }", "line 2: .*total_steps must be positive and at least warmup_steps = 10000, got 9"),
    "cosine below its warmup": ("cosine_decay_learning_rate { learning_rate_base: 1e-4 }", r"learning_rate_base must be at least warmup_learning_rate = 0\.0002, got 0\.0001"),
    "cosine of a billion steps": ("cosine_decay_learning_rate { total_steps: 1000000000 }", "total_steps must be at most 10000000, .* got 1000000000; write at most"),
    "exponential without end": ("learning_rate {\n exponential_decay_learning_rate { staircase: false } }", "line 2: exponential_decay_learning_rate: it has no end; .* total_steps=90000"),
    "exponential without steps": ("exponential_decay_learning_rate { decay_steps: 0 }", "line 1: .*: decay_steps must be positive, got 0"),
    "exponential of endless stairs": ("exponential_decay_learning_rate { decay_steps: 1 decay_factor: 0.9999 }", "has no end; .* total_steps=90000"),
    "exponential that grows": ("exponential_decay_learning_rate { decay_steps: 100 decay_factor: 2 }", "has no end; .* total_steps=90000"),
    "exponential that grows above its floor": ("exponential_decay_learning_rate { decay_steps: 100 decay_factor: 2 min_learning_rate: 1 }", "has no end; .* total_steps=90000"),
    "another": ("learning_rate { my_learning_rate { } }", "line 1: my_learning_rate is not known; write one of constant_learning_rate, .* or hand the rates to from_table"),
    "two": (f"learning_rate {{ {MANUAL} }}\nlearning_rate {{ {MANUAL} }}", "one learning rate, got .*manual_step_learning_rate in line 1', 'manual_step_learning_rate in line 6"),
    "no schedule": ("learning_rate { manual_step_learning_rate { } }", r"there is no schedule, .* write constant_learning_rate { learning_rate: 0\.002 }"),
    "unknown field": (MANUAL.replace("initial_learning_rate", "initial_rate"), "line 2: initial_rate is not known; write one of initial_learning_rate, schedule, warmup, or"),
    "not a number": (MANUAL.replace(".0003", "fast"), "line 2: initial_learning_rate is 'fast'"),
    "a fraction of a step": (MANUAL.replace("900", "900.5"), r"line 3: step is '900\.5'; write a whole number"),
    "many digits": (MANUAL.replace("900", "9" * 5000), r"line 3: step is '9+ \.\.\. 9+'; write a whole number"),
    "negative": (MANUAL.replace("900", "-900"), "line 3: step is '-900'"),
    "not a bool": (MANUAL[:-1] + "warmup: maybe }", "warmup is 'maybe'; write true or false"),
    "a step that only Python reads": (MANUAL.replace("900", "9_00"), "line 3: step is '9_00'; write a whole"),
    "a rate that only Python reads": (MANUAL.replace("3e-5", "1_0.5"), "line 3: learning_rate is '1_0.5'"),
    "unsorted": (MANUAL.replace("1200", "800"), r"boundaries\[1\] = 800 after boundaries\[0\] = 900"),
    "later zero": (MANUAL.replace("1200", "0"), r"boundaries\[1\] must be positive, got 0"),
    "infinite": (MANUAL.replace(".0003", "inf"), "initial_learning_rate is 'inf'; write a number"),
    "empty value": (MANUAL.replace(".0003", ""), "line [23]"),
    "a message for a number": (MANUAL.replace(".0003", "{ a: 1 }"), "line 2: initial_learning_rate is '{'; write a number"),
    "a number for a message": (MANUAL[:-1] + "schedule: 3 }", "schedule is '3'; write a message"),
    "a list for a number": (MANUAL.replace(".0003", "[.1, .2]"), r"line 2: \.2 is not known; write one of initial_learning_rate,"),
    "never closed": (f"learning_rate {{ {MANUAL}", "'learning_rate' of line 1 is never closed"),
    "the innermost one": ("a {\nb {\nc {\nd: 1 }", "config: 'b' of line 2 is never closed"),
    "several": ("".join(f"learning_rate {{\n{kind}_learning_rate {{ }} }}\n" for kind in "abc"), "one learning rate, got .'a_learning_rate in line 2', 'b_learning_rate in line 4', 'c_learning_rate in line 6'.; keep or write one"),
    "never opened": (f"{MANUAL} }}", "closes a brace that was never opened"),
    "deep": ("a {" * 200, "nested deeper than 100 levels"),
    "a solver of another policy": (SOLVER % "plateau", r"from_function\(lambda c: \.\.\., total_steps=90, tolerance=1e-3\)\."),
    "half a solver": ((SOLVER % "step")[:50], r"lambda c: 0\.5 \* 0\.25 \*\* \(c // \.\.\.\), total_steps=\.\.\.,"),
    "a line of a solver": ("base_lr: 1\n", r"lambda c: \.\.\., total_steps=\.\.\.,"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_configs(case):
    text, message = BROKEN[case]
    with pytest.raises(ValueError, match=message):
        from_tf_object_detection(text)


def test_the_length_of_a_training():
    """The one that is given, that of the file, that of a cosine."""
    cosine = "cosine_decay_learning_rate { total_steps: 300 warmup_steps: 0 }"
    config = f"train_config {{ num_steps: 200 optimizer {{ learning_rate {{ {cosine} }} }} }}"
    for text, total_steps, last in ((cosine, None, 299), (config, None, 199), (config, 90, 89)):
        schedule = from_tf_object_detection(text, total_steps=total_steps, tolerance=1e-3)
        assert schedule.boundaries[-1] == last
    for endless in ("0", "many", "", "{ a: 1 }"):
        text = config.replace("200", endless)
        assert from_tf_object_detection(text, tolerance=1e-3).boundaries[-1] == 299


def test_a_staircase_without_a_length_goes_on_until_float32_underflows():
    stairs = "{ initial_learning_rate: .5 decay_steps: 100 decay_factor: .5 }"
    schedule = from_tf_object_detection(f"exponential_decay_learning_rate {stairs}")
    assert schedule.boundaries.tolist() == [*range(100, 15_000, 100)]
    assert schedule.rates.tolist() == [*(2.0**-k for k in range(1, 150)), 0.0]


POLICIES = {
    "fixed": lambda c: 0.5,
    "step": lambda c: 0.5 * 0.25 ** (c // 30),
    "exp": lambda c: 0.5 * 0.25**c,
    "inv": lambda c: 0.5 / (1 + 0.25 * c) ** 2,
    "multistep": lambda c: 0.5 * 0.25 ** ((c >= 50) + (c >= 70)),
    "poly": lambda c: 0.5 * (1 - c / 90) ** 2,
    "sigmoid": lambda c: 0.5 / (1 + math.exp(-0.25 * (c - 30))),
}


@pytest.mark.parametrize("policy", POLICIES)
def test_a_solver_of_caffe_is_told_apart(policy):
    with pytest.raises(ValueError, match=r"config: base_lr is of Caffe's solver; write") as refusal:
        from_tf_object_detection(SOLVER % policy + "\nstepvalue: 50\nstepvalue: 70\n")
    call = str(refusal.value).partition("write ")[2].removesuffix(".")
    schedule = eval(call, {"optax_stepping": optax_stepping, "math": math})
    for count in (0, 1, 29, 30, 49, 50, 69, 70, 89):
        assert abs(schedule(count) - POLICIES[policy](count)) <= 0.5e-3


def test_the_largest_config():
    for text in ("a {" * 97 + f"learning_rate {{ {MANUAL} }}" + "}" * 97, MANUAL.rjust(1_000_000)):
        assert same(from_tf_object_detection(text), EXPECTED)
        with pytest.raises(ValueError, match=r"line 3 is nested deeper than 100|1000006 charact"):
            from_tf_object_detection(f"a {{ {text} }}")


PARTS = st.sampled_from(
    ["learning_rate", "manual_step_learning_rate", "schedule", "step", "warmup", "{", "}", "<", ">",
     ":", ";", ",", "[", "]", "[a.b]", '"', "'", "#", "\n", " ", "0", "10", "-3", ".5", "1e9", "true",
     "constant_learning_rate", "initial_learning_rate", "\\", "\x00", "é", "nan"]
)  # fmt: skip


WHOLE = IN_THE_WILD["whole"]
DAMAGED = st.builds(
    lambda at, damage: WHOLE[:at] + damage + WHOLE[at + 1 :],
    st.integers(0, len(WHOLE) - 1),
    st.text(max_size=3),
)


@given(
    (st.lists(PARTS, max_size=60).map(" ".join) | st.text(max_size=200)).map("{{ }} {}".format)
    | DAMAGED
)
@settings(max_examples=200)
def test_fuzzed_configs_give_a_schedule_or_an_error(text):
    try:
        schedule = from_tf_object_detection(text)
    except ValueError:
        return
    assert np.isfinite(schedule(100))


COSINE = {"LR_SCHEDULER_NAME": "WarmupCosineLR", "BASE_LR": 0.01}
SOLVERS = [
    (3, TypeError, "cfg must be a Detectron2 config, .* of type int; of a LazyConfig, from_func"),
    ({}, TypeError, "cfg must be a Detectron2 config, .* got {}"),
    ({"SOLVER": {"MOMENTUM": 0.9}}, TypeError, "cfg must be a Detectron2 config"),
    ({"STEPS": (5, 3)}, ValueError, r"STEPS must be strictly ascending, got \[5, 3\]; .*\[3, 5\]"),
    ({"STEPS": (0, 3)}, ValueError, r"STEPS\[0\] must be positive, got 0; leave it out"),
    ({"STEPS": (0.5,)}, TypeError, r"STEPS\[0\] must be an integer"),
    ({"STEPS": 5}, TypeError, "cfg: STEPS must be a list.*got 5"),
    ({"STEPS": "(3, __import__('os'))"}, TypeError, r"cfg: STEPS must be a list.*got .*of type str; .*\(60000"),
    ({"BASE_LR": "{[]: 1}"}, TypeError, r"cfg: BASE_LR must be a real number, got '{\[\]: 1}'"),
    ({"MAX_ITER": 0}, ValueError, "MAX_ITER must be positive, got 0"),
    ({"MAX_ITER": 10**8}, ValueError, "MAX_ITER must be at most 10000000, .* got 100000000; write at most 10000000"),
    ({"GAMMA": [2]}, TypeError, r"cfg: GAMMA must be a real .*\[2\]"),
    ({"GAMMA": 1e300, "STEPS": [5, 9]}, ValueError, "rates"),
    ({"BASE_LR": None}, TypeError, "cfg: BASE_LR must be a real"),
    ({"WARMUP_METHOD": np.ones(2)}, ValueError, r"WARMUP_METHOD must be one of linear, constant, got array\(\[1\., 1\.\]\)"),
    ({"STEPS": np.array([0.5])}, TypeError, r"STEPS\[0\] must be an integer, got 0\.5"),
    ({"WARMUP_METHOD": "exp"}, ValueError, "WARMUP_METHOD must be one of linear, constant, got 'exp'"),
    ({"LR_SCHEDULER_NAME": "MyLR"}, ValueError, "must be one of WarmupMultiStepLR, .* got 'MyLR'"),
    ({"RESCALE_INTERVAL": 1}, TypeError, "RESCALE_INTERVAL must be True or False, got 1"),
    (COSINE | {"BASE_LR_END": 0.02}, ValueError, "must lie between 0 and BASE_LR = 0.01, got 0.02"),
    (COSINE | {"BASE_LR": 0}, ValueError, "must lie between 0 and BASE_LR = 0.0"),
    (COSINE, ValueError, "cfg: WarmupCosineLR: .* step 1000 to step 39999.*tolerance=1e-3"),
    ("SOLVER: {LR_POLICY: steps_with_decay, GAMMA: 0.1, STEPS: [0, 600], MAX_ITER: 900}", ValueError, "cfg: SOLVER must have Detectron2's keys about rates, got LR_POLICY.*; correct"),
    ("SOLVER: {MAX_ITER: 1200, LR_STEPS: [800], GAMMA: 0.5, LR: 0.004}", ValueError, "cfg: SOLVER must have Detectron2's keys about rates, got LR_STEPS, LR.*; correct"),
    ("SOLVER: {MAX_EPOCHS: 120, LARGE_FC_LR: False, BASE_LR: 0.008}", ValueError, "cfg: SOLVER must have Detectron2's keys about rates, got MAX_EPOCHS, LARGE_FC_LR.*; correct"),
    ("SOLVER: {LRS: [1, 0.1], WARMUP_START_LR: 0.01, MAX_EPOCH: 20}", ValueError, "cfg: SOLVER must have Detectron2's keys about rates, got LRS, WARMUP_START_LR, MAX_EPOCH.*; correct"),
    ("SOLVER: {SCHED: CosineAnnealingLR, FREEZE_ITERS: 9, OPT: Adam}", ValueError, "cfg: SOLVER must have Detectron2's keys about rates, got SCHED, FREEZE_ITERS.*; correct"),
    ("SOLVER: {BASE_LR: 0.01, GAMA: 0.5, STEP: [10], MAX_ITERS: 30}", ValueError, "cfg: SOLVER must have Detectron2's keys about rates, got GAMA, STEP, MAX_ITERS.*; correct"),
    ("SOLVER: {WARMUP_MULTIPLIER: 2, LR_FACTOR: 0.5, warmup_iters: 3}", ValueError, "cfg: SOLVER must have Detectron2's keys about rates, got WARMUP_MULTIPLIER, LR_FACTOR, w.*; correct"),
    ("SOLVER:\n  STEPS: !!python/object/apply:os.system [ls]\n", TypeError, "'!!object/apply:os"),
    ("SOLVER: !mine [ls]", ValueError, "must be YAML that is read safely, got the error: could not determine"),
    ("a: [1, 2\n", ValueError, "the text must be YAML .*line 2"),
    ("a: 2001-13-45\n", ValueError, "cfg: the text must be YAML .*: month must be in"),
    ("x" * 3000, ValueError, "cfg: there is no file 'xxx"),
    ("- 1\n- 2\n", ValueError, "the text must hold a mapping"),
    ("nowhere.yaml", ValueError, "there is no file 'nowhere.yaml'"),
    ("_BASE_: base.yaml\nSOLVER: {}\n", ValueError, "not have a _BASE_, got 'base.yaml'; hand in"),
    ("a: " + "[\n" * 1000 + "]" * 1000, ValueError, "the text must be YAML .* maximum recursion depth .*; cut out its SOL"),
    ("# " + "x" * 10_000_000 + "\na: 1", ValueError, "1000.* characters, at most 1000000 are read"),
]  # fmt: skip


@pytest.mark.parametrize(("cfg", "error", "message"), SOLVERS)
def test_solvers_that_are_refused(cfg, error, message):
    with pytest.raises(error, match=message):
        from_detectron2(cfg)


@pytest.mark.parametrize(
    "mark", ["MODEL: {WEIGHT: a}", "TEST: {AUG_ON: 1}", "MODEL: {BACKBONE: {CONV_BODY: R-50}}"]
)
def test_an_older_file_has_to_say_its_warmup(mark):
    solver = "SOLVER: {BASE_LR: 0.02, MAX_ITER: 90, STEPS: [60], WARMUP_FACTOR: 0.5"
    with pytest.raises(ValueError, match=r"come with VERSION or a full warmup.* mask") as refusal:
        from_detectron2(f"{mark}\n{solver}}}")
    keys = str(refusal.value).partition("maskrcnn-benchmark's ")[2].removesuffix(".")
    schedule = from_detectron2(f"{mark}\nSOLVER: {{BASE_LR: 1, {keys}}}")
    assert (schedule.boundaries[0], schedule(0)) == (500, np.float32(0.3333))
    expected = from_detectron2(f"{solver}, WARMUP_ITERS: 9}}")
    assert same(from_detectron2(f"{mark}\n{solver}, WARMUP_ITERS: 9}}"), expected)
    versioned = from_detectron2(f"VERSION: 1\n{mark}\n{solver}}}")
    assert versioned(0) == np.float32(0.01)


def test_keys_of_other_settings_are_ignored():
    keys = [
        "WEIGHT_DECAY", "WEIGHT_DECAY_NORM", "MODEL_EMA_DECAY", "SWA_ITER", "CLIP_GRADIENTS",
        "BIAS_LR_FACTOR", "HEADS_LR_FACTOR", "BACKBONE_MULTIPLIER", "HEAD_LR_MULT", "OPTIMIZER",
        "IMS_PER_BATCH", "CHECKPOINT_PERIOD", "REFERENCE_WORLD_SIZE", "AMP", "MOMENTUM",
    ]  # fmt: skip
    expected = from_detectron2(SOLVER_OF_STEPS)
    assert same(from_detectron2(SOLVER_OF_STEPS | dict.fromkeys(keys, 1)), expected)


def test_steps_beyond_the_end_are_said():
    with pytest.warns(UserWarning, match=r"STEPS = \[9, 12\] are unused, as MAX_ITER = 9"):
        schedule = from_detectron2({"STEPS": (7, 9, 12), "MAX_ITER": 9, "WARMUP_ITERS": 0})
    assert schedule.boundaries.tolist() == [7]


SOLVER_OF_STEPS = {"STEPS": [7], "MAX_ITER": 9, "WARMUP_ITERS": 0}


class Halved(SimpleNamespace):
    """In the manner of torch."""

    def step(self):
        self.last_epoch += 1
        self.optimizer.param_groups[0]["lr"] = 0.5**self.last_epoch


HALVED = Halved(
    optimizer=SimpleNamespace(param_groups=[{"params": [], "lr": 1.0}], step=len), last_epoch=0
)


@pytest.mark.parametrize("tolerance", [0, -1, True, math.inf, math.nan, 1e-7, "x"])
@pytest.mark.parametrize(
    "convert",
    [
        lambda tolerance: from_detectron2(SOLVER_OF_STEPS, tolerance=tolerance),
        lambda tolerance: from_mmengine(None, base_lr=0.1, tolerance=tolerance),
        lambda tolerance: from_tf_object_detection(MANUAL, tolerance=tolerance),
        lambda tolerance: from_torch(HALVED, total_steps=3, tolerance=tolerance),
    ],
)
def test_a_tolerance_that_is_not_needed_is_checked(convert, tolerance):
    with pytest.raises((TypeError, ValueError), match=r"^tolerance must be .*; write .*1e-3"):
        convert(tolerance)


def written(call, error=ValueError):
    """What the refusal of a call says to write."""
    with pytest.raises(error) as refusal:
        call()
    return re.split("write |; of a LazyConfig, ", str(refusal.value))[-1].removesuffix(".")


def test_what_refusals_say_to_write():
    """Other calls are in the tests of Caffe, of plateaus, and in tests/parity."""
    names = {"optax_stepping": optax_stepping, "from_function": optax_stepping.from_function}
    names |= {"lr": 0.5, "lr_multiplier": lambda share: 1.0, "n": 9}
    constant = manual_stepping([], [0.5])
    assert same(eval(written(lambda: from_detectron2(3), TypeError), names), constant)
    text = "manual_step_learning_rate { initial_learning_rate: 0.5 }"
    assert same(from_tf_object_detection(written(lambda: from_tf_object_detection(text))), constant)
    unknown = written(lambda: from_mmengine({"type": "FooLR"}, base_lr=0.5))
    assert same(eval(unknown, names | {"rates": [0.5] * 9}), constant)
    solver = COSINE | {"MAX_ITER": 900, "WARMUP_ITERS": 90}
    option, number = written(lambda: from_detectron2(solver)).split(", which takes ")
    curve = eval(f"from_detectron2(solver, {option})", {**globals(), "solver": solver})
    assert f"{curve.ramps.sum() - 1} ramps" == number  # beside the warmup's
    solver = {"STEPS": (5, 3), "MAX_ITER": 9, "WARMUP_ITERS": 0}
    steps = ast.literal_eval(written(lambda: from_detectron2(solver)))
    assert from_detectron2(solver | {"STEPS": steps}).boundaries.tolist() == [3, 5]


BASE = """
SOLVER:
  BASE_LR: 0.02
  STEPS: (60000, 80000)
  MAX_ITER: 9e4
  WARMUP_ITERS: 500
MODEL:
  SIZES: !!python/object/apply:eval ["[2**k for k in range(3)]"]
"""


def test_detectron2_yaml(tmp_path):
    """As in Detectron2's own configs: files over files, tuples that YAML leaves as strings."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "a.yaml").write_text(BASE)
    (tmp_path / "c.yaml").write_text("SOLVER: {BASE_LR: 0.5}")
    child = tmp_path / "b.yaml"
    solver = "SOLVER:\n  STEPS: (120000, 160000)\n  MAX_ITER: 180000\n"
    once = {"BASE_LR": 0.02, "STEPS": (60000, 80000), "MAX_ITER": 90000, "WARMUP_ITERS": 500}
    twice = once | {"STEPS": (120000, 160000), "MAX_ITER": 180000}
    assert same(from_detectron2(BASE), from_detectron2(once))
    for base in ("base/a.yaml", "[c.yaml, base/a.yaml]"):
        child.write_text(f"_BASE_: {base}\n{solver}")
        for path in (child, str(child)):
            assert same(from_detectron2(path), from_detectron2(twice))
    child.write_text("_BASE_: b.yaml\nSOLVER: {}\n")
    with pytest.raises(ValueError, match="more than 10 files are based on each other"):
        from_detectron2(child)
    child.write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(ValueError, match=r"b\.yaml' is not a text file"):
        from_detectron2(child)


def test_a_missing_yaml_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ImportError, match=r"pip install 'optax-stepping\[detectron2\]'"):
        from_detectron2(BASE)


def test_a_warmup_within_the_tolerance_of_detectron2_is_none():
    solver = {"BASE_LR": 0.5, "STEPS": [], "MAX_ITER": 2_000_000, "WARMUP_ITERS": 1}
    assert same(from_detectron2(solver), manual_stepping([], [0.5]))
    at_once = solver | {"STEPS": [1], "GAMMA": 0.5}
    assert same(from_detectron2(at_once), manual_stepping([], [0.25]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: from_detectron2(COSINE | {"MAX_ITER": 90, "WARMUP_ITERS": 9}, tolerance=1e-2),
        lambda: from_detectron2({"STEPS": [6], "MAX_ITER": 9, "WARMUP_ITERS": 4}),
        lambda: from_mmengine({"type": "LinearLR", "end": 3}, base_lr=0.2, steps_per_epoch=5),
        lambda: from_tf_object_detection(MANUAL),
        lambda: from_tf_object_detection("exponential_decay_learning_rate { }"),
        lambda: from_tf_object_detection("exponential_decay_learning_rate { }", total_steps=9),
    ],
)
def test_read_inside_jit_and_without_transfers(make):
    expected, found = make(), []

    @jax.jit
    def inside():
        found.append(make())
        return found[0].rates

    with jax.transfer_guard("disallow"):
        found.append(make())
    inside()
    assert all(same(schedule, expected) for schedule in found)


def test_no_framework_is_imported():
    code = (
        "import sys, optax_stepping.interop;"
        "assert not {'torch', 'keras', 'tensorflow', 'mmengine', 'fvcore', 'google.protobuf',"
        " 'yaml', 'matplotlib'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_hostile_files_are_refused(tmp_path):
    path = tmp_path / "hostile.config"
    for content in (b"a {" * 4_000_000, b"\xff\xfe" * 100, b'"' * 900_000, b"[" * 900_000):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="config"):
            from_tf_object_detection(path)
    with pytest.raises(TypeError, match=r"total_steps must be an integer, got 0\.5"):
        from_tf_object_detection(MANUAL, total_steps=0.5)
