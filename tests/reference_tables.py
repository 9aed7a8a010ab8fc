"""Rates of known recipes by the published formulas, in exact fractions.

The formulas:
- TF Object Detection API, manual_stepping (object_detection/utils/learning_schedules.py) with
  the defaults of protos/optimizer.proto: with warmup, the rate at count c below the first
  boundary b is r0 + c * (r1 - r0) / b; from a boundary on, the rate of that boundary.
- Detectron2, WarmupMultiStepLR (detectron2/solver/lr_scheduler.py, defaults of
  detectron2/config/defaults.py): BASE_LR * GAMMA ** (number of STEPS <= c), and below
  WARMUP_ITERS the line from WARMUP_FACTOR * BASE_LR to the rate at WARMUP_ITERS.
"""

from fractions import Fraction


def table(config, rate, edges, others):
    """The rates on both sides of each edge and at other counts."""
    near = {max(edge + offset, 0) for edge in (0, *edges) for offset in (-2, -1, 0, 1, 2)}
    return {"config": config, "rates": {c: float(rate(c)) for c in sorted({*near, *others})}}


def object_detection(config, steps, rates, *others, warmup=False):
    def rate(count):
        stage = sum(step <= count for step in steps)
        first, *rest = map(Fraction, rates[stage:])
        return first + count * (rest[0] - first) / steps[0] if warmup and stage == 0 else first

    return table(config, rate, steps, others)


def detectron2(base, steps, *others, **config):
    def dropped(count):
        return Fraction(base) * Fraction("0.1") ** sum(step <= count for step in steps)

    def rate(count):
        start = Fraction("0.001") * Fraction(base)
        return start + (dropped(1000) - start) * count / 1000 if count < 1000 else dropped(count)

    return table({"BASE_LR": float(base), **config}, rate, [1000, *steps], others)


OBJECT_DETECTION = [
    object_detection(  # of samples/configs/faster_rcnn_resnet101_kitti.config
        "optimizer { momentum_optimizer: { learning_rate: { manual_step_learning_rate {"
        " initial_learning_rate: 0.0001 schedule { step: 500000 learning_rate: .00001 }"
        " schedule { step: 700000 learning_rate: .000001 } } } momentum_optimizer_value: 0.9 } }",
        [500000, 700000], ["0.0001", "0.00001", "0.000001"],
    ),
    object_detection(  # an old file: its first entry, at step 0, replaces the initial rate
        "rms_prop_optimizer { learning_rate { manual_step_learning_rate {"
        " initial_learning_rate: 0.5 schedule { step: 0 learning_rate: 3e-4 };"
        " schedule { step: 900000, learning_rate: 3e-5, } } } }",
        [900000], ["0.0003", "0.00003"],
    ),
    object_detection(  # a warmup, as in the configs of Context R-CNN
        "adam_optimizer < learning_rate < manual_step_learning_rate <"
        " initial_learning_rate: 0.0 schedule < step: 2000 learning_rate: 0.002 >"
        " schedule < step: 200000 learning_rate: 0.0002 > warmup: true > > >",
        [2000, 200000], ["0", "0.002", "0.0002"], 500, 1000, 1777, warmup=True,
    ),
    # The defaults of protos/optimizer.proto.
    object_detection("learning_rate { manual_step_learning_rate { schedule { step: 10 } } }", [10], ["0.002"] * 2),
    object_detection("momentum_optimizer { learning_rate { constant_learning_rate { } } }", [], ["0.002"], 10, 10**6),
]  # fmt: skip
WARMUP = {"WARMUP_ITERS": 1000, "WARMUP_FACTOR": 0.001, "GAMMA": 0.1}
STEPS_AND_ENDS = (60000, 80000, 90000), (120000, 160000, 180000), (210000, 250000, 270000)
DETECTRON2 = [
    # The 1x, 2x and 3x schedules of configs/Base-RCNN-FPN.yaml and its relatives, then the defaults.
    *(
        detectron2("0.02", [*steps], 250, 777, STEPS=tuple(steps), MAX_ITER=end, **WARMUP)
        for *steps, end in STEPS_AND_ENDS
    ),
    detectron2("0.001", [30000]),
]
