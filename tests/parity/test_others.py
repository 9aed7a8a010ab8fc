"""fvcore (as Detectron2 combines it), MMEngine, protocol buffers."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from agreement import assert_agrees
from fvcore.common.param_scheduler import (
    CompositeParamScheduler,
    ConstantParamScheduler,
    LinearParamScheduler,
    MultiStepParamScheduler,
)
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.optim import scheduler as mm

from optax_stepping.interop import (
    from_detectron2,
    from_mmengine,
    from_tf_object_detection,
)

pytestmark = pytest.mark.filterwarnings("ignore")
INCREASING = st.lists(st.integers(1, 200), min_size=1, max_size=5, unique=True).map(sorted)
EPOCH = 7330


def detectron2_multiplier(solver):
    """The schedulers that Detectron2's WarmupMultiStepLR puts together."""
    steps = [step for step in solver["STEPS"] if step <= solver["MAX_ITER"]]
    drops = MultiStepParamScheduler(
        values=[solver["GAMMA"] ** k for k in range(len(steps) + 1)],
        milestones=steps,
        num_updates=solver["MAX_ITER"],
    )
    share = min(solver["WARMUP_ITERS"] / solver["MAX_ITER"], 1.0)
    start = solver["WARMUP_FACTOR"] * drops(0.0)
    if solver["WARMUP_METHOD"] == "linear":
        warmup = LinearParamScheduler(start, drops(share))
    else:
        warmup = ConstantParamScheduler(start)
    return CompositeParamScheduler([warmup, drops], [share, 1 - share], ["rescaled", "fixed"])


def solver(steps, max_iter, *, base=0.02, gamma=0.1, warmup=1000, factor=1e-3, method="linear"):
    return {
        "BASE_LR": base, "STEPS": steps, "GAMMA": gamma, "MAX_ITER": max_iter,
        "WARMUP_ITERS": warmup, "WARMUP_FACTOR": factor, "WARMUP_METHOD": method,
    }  # fmt: skip


def assert_detectron2(cfg, counts):
    multiplier = detectron2_multiplier(cfg)
    theirs = [cfg["BASE_LR"] * multiplier(count / cfg["MAX_ITER"]) for count in counts]
    for handed_in in (cfg, {"SOLVER": cfg}, SimpleNamespace(SOLVER=SimpleNamespace(**cfg))):
        assert_agrees(from_detectron2(handed_in), counts, theirs)


@pytest.mark.parametrize("method", ["linear", "constant"])
@pytest.mark.parametrize(
    ("steps", "max_iter"),
    [
        ((60_000, 80_000), 90_000),
        ((120_000, 160_000), 180_000),
        ((210_000, 250_000), 270_000),
        ((500, 60_000), 90_000),
        ((60_000, 95_000), 90_000),
        ((), 5_000),
    ],
)
def test_detectron2_recipes(steps, max_iter, method):
    assert_detectron2(solver(steps, max_iter, method=method), range(max_iter))


@pytest.mark.parametrize("max_iter", [1_000_000, 2_500_000, 9_999_999])
def test_detectron2_over_a_million_iterations(max_iter):
    """Where its comparisons of shares, with a tolerance, come some steps early."""
    steps = (max_iter // 2, max_iter * 3 // 4)
    for warmup in (1000, 777):
        edges = {c + d for c in (warmup, *steps) for d in range(-15, 16)}
        cfg = solver(steps, max_iter, warmup=warmup)
        assert_detectron2(cfg, sorted({0, 1, warmup // 2, max_iter - 1} | edges))


@given(
    max_iter=st.integers(50, 400), steps=INCREASING, gamma=st.floats(0.1, 1.0),
    warmup=st.integers(0, 60), factor=st.just(0.0) | st.floats(0.001, 1.0),
    method=st.sampled_from(["linear", "constant"]),
)  # fmt: skip
@settings(deadline=None, max_examples=200)
def test_random_detectron2(max_iter, steps, gamma, warmup, factor, method):
    # fvcore refuses a step at the very end of the training, which would change nothing.
    steps = [step for step in steps if step != max_iter]
    cfg = solver(
        tuple(steps),
        max_iter,
        gamma=gamma,
        warmup=min(warmup, max_iter),
        factor=factor,
        method=method,
    )
    assert_detectron2(cfg, range(max_iter))


def mmengine_rates(base, configs, steps_per_epoch, total_steps):
    """MMEngine's own schedulers, stepped as its hook does."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
    by_iteration, by_epoch = [], []
    for config in configs:
        settings_ = dict(config)
        kind = getattr(mm, settings_.pop("type"))
        per_epoch = settings_.get("by_epoch", True)
        if settings_.pop("convert_to_iter_based", False):
            scheduler = kind.build_iter_from_epoch(
                optimizer=optimizer, epoch_length=steps_per_epoch, **{"by_epoch": True} | settings_
            )
            per_epoch = False
        else:
            scheduler = kind(optimizer, **settings_)
        (by_epoch if per_epoch else by_iteration).append(scheduler)
    rates = []
    for count in range(total_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        for scheduler in by_iteration:
            scheduler.step()
        if (count + 1) % steps_per_epoch == 0:
            for scheduler in by_epoch:
                scheduler.step()
    return rates


def coco(times):
    epochs = 12 * times
    warmup = {"type": "LinearLR", "start_factor": 0.001, "by_epoch": False, "begin": 0, "end": 500}
    drops = {
        "type": "MultiStepLR", "begin": 0, "end": epochs, "by_epoch": True,
        "milestones": [epochs - 4, epochs - 1], "gamma": 0.1,
    }  # fmt: skip
    return [warmup, drops], EPOCH, epochs * EPOCH


MMENGINE = {
    "detection 1x": coco(1),
    "detection 2x": coco(2),
    "detection 3x": coco(3),
    "constant warmup": ([{"type": "ConstantLR", "factor": 0.1, "by_epoch": False, "end": 400}, {"type": "MultiStepLR", "by_epoch": False, "milestones": [900, 1200]}], 100, 1500),
    "epoch warmup": ([{"type": "LinearLR", "start_factor": 0.1, "end": 5}, {"type": "StepLR", "step_size": 7, "begin": 5}], 10, 400),
    "converted": ([{"type": "LinearLR", "start_factor": 0.1, "end": 5, "convert_to_iter_based": True}, {"type": "MultiStepLR", "milestones": [8, 11], "end": 12, "convert_to_iter_based": True}], 10, 200),
    "begin later": ([{"type": "LinearLR", "start_factor": 0.5, "end_factor": 0.25, "by_epoch": False, "begin": 20, "end": 41}, {"type": "MultiStepLR", "by_epoch": False, "milestones": [5, 9, 9], "begin": 50, "end": 70}], 10, 100),
    "end before a milestone": ([{"type": "MultiStepLR", "milestones": [3, 6, 9], "end": 7}], 5, 80),
    "StepLR with an end": ([{"type": "StepLR", "step_size": 3, "gamma": 0.5, "end": 20, "by_epoch": False}], 5, 50),
    "one step each": ([{"type": "ConstantLR", "by_epoch": False, "begin": 3, "end": 4}, {"type": "LinearLR", "by_epoch": False, "begin": 6, "end": 8}], 5, 20),
    "step for ever": ([{"type": "StepLR", "step_size": 2, "by_epoch": False}], 5, 100),
}  # fmt: skip


@pytest.mark.parametrize("recipe", MMENGINE)
def test_mmengine_recipes(recipe):
    configs, steps_per_epoch, total_steps = MMENGINE[recipe]
    theirs = mmengine_rates(0.02, configs, steps_per_epoch, total_steps)
    schedule = from_mmengine(0.02, configs, steps_per_epoch=steps_per_epoch)
    assert_agrees(schedule, range(total_steps), theirs)


@pytest.mark.parametrize("form", ["class", "scoped", "to_dict"])
def test_mmengine_types_of_every_form(form):
    configs, steps_per_epoch, total_steps = MMENGINE["constant warmup"]
    theirs = mmengine_rates(0.02, configs, steps_per_epoch, total_steps)
    if form == "class":
        configs = [config | {"type": getattr(mm, config["type"])} for config in configs]
    if form == "scoped":
        configs = [config | {"type": f"mmengine.{config['type']}"} for config in configs]
    if form == "to_dict":
        configs = Config({"param_scheduler": configs}).to_dict()["param_scheduler"]
    for handed_in in (configs, Config({"param_scheduler": configs}).param_scheduler):
        schedule = from_mmengine(0.02, handed_in, steps_per_epoch=steps_per_epoch)
        assert_agrees(schedule, range(total_steps), theirs)


@given(
    warmup=st.integers(3, 30), factor=st.floats(0.01, 1.0), gamma=st.floats(0.1, 1.2),
    milestones=INCREASING, steps_per_epoch=st.integers(1, 7), by_epoch=st.booleans(),
    kind=st.sampled_from(["LinearLR", "ConstantLR"]),
)  # fmt: skip
@settings(deadline=None, max_examples=150)
def test_random_mmengine(warmup, factor, gamma, milestones, steps_per_epoch, by_epoch, kind):
    name = "start_factor" if kind == "LinearLR" else "factor"
    configs = [
        {"type": kind, name: factor, "by_epoch": False, "end": warmup},
        {"type": "MultiStepLR", "gamma": gamma, "by_epoch": by_epoch,
         "milestones": [warmup + milestone for milestone in milestones]},
    ]  # fmt: skip
    theirs = mmengine_rates(0.3, configs, steps_per_epoch, 300)
    schedule = from_mmengine(0.3, configs, steps_per_epoch=steps_per_epoch)
    assert_agrees(schedule, range(300), theirs)


def learning_rate_message():
    """The messages of protos/optimizer.proto that matter, for the real text format parser."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="optimizer.proto", package="p", syntax="proto2")
    messages = {
        "Entry": [("step", 1, "uint32", None), ("learning_rate", 2, "float", "0.002")],
        "Manual": [
            ("initial_learning_rate", 1, "float", "0.002"),
            ("schedule", 2, "Entry", None),
            ("warmup", 3, "bool", "false"),
        ],
        "LearningRate": [("manual_step_learning_rate", 3, "Manual", None)],
    }
    kinds = {"uint32": field.TYPE_UINT32, "float": field.TYPE_FLOAT, "bool": field.TYPE_BOOL}
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind, default in fields:
            label = field.LABEL_REPEATED if field_name == "schedule" else field.LABEL_OPTIONAL
            added = message.field.add(name=field_name, number=number, label=label)
            added.type = kinds.get(kind, field.TYPE_MESSAGE)
            if kind in messages:
                added.type_name = f".p.{kind}"
            if default is not None:
                added.default_value = default
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("p.LearningRate"))


LearningRate = learning_rate_message()
SPACES = st.sampled_from([" ", "\n", "  # a comment }\n", "\t"])
NUMBERS = st.sampled_from(["0.1", ".0003", "3e-4", "1E-2", "0.5f", "1", "2."])


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_the_text_format_as_protocol_buffers_read_it(data):
    def draw(*choices):
        return data.draw(st.sampled_from(choices))

    def block(name, inside):
        opening, closing = draw("{}", "<>")
        return f"{name}{draw('', ':', ' : ')}{opening}{data.draw(SPACES)}{inside}{closing}"

    def scalar(name, value):
        return f"{name}{draw(':', ' : ', ':  ')}{value}{draw(' ', ';', ',', data.draw(SPACES))} "

    step, inside = 0, ""
    if draw(True, False):
        inside += scalar("initial_learning_rate", data.draw(NUMBERS))
    for _ in range(data.draw(st.integers(1, 4))):
        step += data.draw(st.integers(1, 10**6))
        entry = scalar("step", draw(str(step), hex(step)))
        if draw(True, False):
            entry += scalar("learning_rate", data.draw(NUMBERS))
        inside += block("schedule", entry) + draw(" ", ",", ";")
    if draw(True, False):
        inside += scalar("warmup", draw("true", "false", "1", "0", "t", "f", "True", "False"))
    text = block("manual_step_learning_rate", inside)
    theirs = text_format.Parse(text, LearningRate()).manual_step_learning_rate
    ours = from_tf_object_detection(f"learning_rate {{ {text} }}")
    assert np.asarray(ours.boundaries).tolist() == [entry.step for entry in theirs.schedule]
    rates = [theirs.initial_learning_rate, *(entry.learning_rate for entry in theirs.schedule)]
    np.testing.assert_array_equal(ours.rates, np.float32(rates))
    assert bool(ours.ramps[0]) == theirs.warmup
