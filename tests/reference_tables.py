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


def near(*edges):
    return sorted({max(edge + offset, 0) for edge in (0, *edges) for offset in (-2, -1, 0, 1, 2)})


def object_detection(steps, rates, warmup, counts):
    table = {}
    for count in counts:
        stage = len([step for step in steps if step <= count])
        rate = Fraction(rates[stage])
        if warmup and stage == 0:
            rate += count * (Fraction(rates[1]) - Fraction(rates[0])) / steps[0]
        table[count] = float(rate)
    return table


def detectron2(base, steps, gamma, warmup_iters, factor, counts):
    def dropped(count):
        return Fraction(base) * Fraction(gamma) ** len([step for step in steps if step <= count])

    table = {}
    for count in counts:
        rate = dropped(count)
        if count < warmup_iters:
            start, end = Fraction(factor) * Fraction(base), dropped(warmup_iters)
            rate = start + (end - start) * count / warmup_iters
        table[count] = float(rate)
    return table


OBJECT_DETECTION = [
    {
        "origin": "the recipe of samples/configs/faster_rcnn_resnet101_kitti.config",
        "config": "optimizer { momentum_optimizer: { learning_rate: { manual_step_learning_rate {"
        " initial_learning_rate: 0.0001 schedule { step: 500000 learning_rate: .00001 }"
        " schedule { step: 700000 learning_rate: .000001 } } } momentum_optimizer_value: 0.9 } }",
        "rates": object_detection(
            [500000, 700000], ["0.0001", "0.00001", "0.000001"], False, near(500000, 700000)
        ),
    },
    {
        "origin": "an old file: its first entry, at step 0, replaces the initial rate",
        "config": "rms_prop_optimizer { learning_rate { manual_step_learning_rate {"
        " initial_learning_rate: 0.5 schedule { step: 0 learning_rate: 3e-4 };"
        " schedule { step: 900000, learning_rate: 3e-5, } } } }",
        "rates": object_detection([900000], ["0.0003", "0.00003"], False, near(900000)),
    },
    {
        "origin": "a warmup, as in the configs of Context R-CNN",
        "config": "adam_optimizer < learning_rate < manual_step_learning_rate <"
        " initial_learning_rate: 0.0 schedule < step: 2000 learning_rate: 0.002 >"
        " schedule < step: 200000 learning_rate: 0.0002 > warmup: true > > >",
        "rates": object_detection(
            [2000, 200000], ["0", "0.002", "0.0002"], True, [*near(2000, 200000), 500, 1000, 1777]
        ),
    },
    {
        "origin": "the defaults of protos/optimizer.proto",
        "config": "learning_rate { manual_step_learning_rate { schedule { step: 10 } } }",
        "rates": object_detection([10], ["0.002", "0.002"], False, near(10)),
    },
    {
        "origin": "the default of protos/optimizer.proto for a constant",
        "config": "momentum_optimizer { learning_rate { constant_learning_rate { } } }",
        "rates": object_detection([], ["0.002"], False, [0, 10, 10**6]),
    },
]
DETECTRON2 = [
    {
        "origin": f"the {times}x schedule of configs/Base-RCNN-FPN.yaml and its relatives",
        "config": {
            "BASE_LR": 0.02, "STEPS": steps, "MAX_ITER": max_iter,
            "WARMUP_ITERS": 1000, "WARMUP_FACTOR": 0.001, "GAMMA": 0.1,
        },
        "rates": detectron2("0.02", steps, "0.1", 1000, "0.001", [*near(1000, *steps), 250, 777]),
    }
    for times, steps, max_iter in (
        (1, [60000, 80000], 90000),
        (2, [120000, 160000], 180000),
        (3, [210000, 250000], 270000),
    )
]  # fmt: skip
DETECTRON2.append(
    {
        "origin": "the defaults of detectron2/config/defaults.py",
        "config": {"BASE_LR": 0.001},
        "rates": detectron2("0.001", [30000], "0.1", 1000, "0.001", near(1000, 30000)),
    }
)
