"""Anything, over the whole public surface: a result, or a refusal that the package itself raises."""

import collections
import traceback
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import optax
from hypothesis import given, settings
from hypothesis import strategies as st
from test_errors import ODD, mostly

import optax_stepping as o
from optax_stepping import interop

S = o.manual_stepping([10, 20], [0.1, 0.01, 0.001], warmup_steps=5)
BATCH = o.stack([S, S / 2])
STATE = optax.chain(optax.trace(0.9), o.scale_by_stepping(o.pad(S, 8))).init(jnp.zeros(2))

NUMBER = st.one_of(
    st.integers(-5, 5), st.integers(), st.floats(), st.sampled_from([0.5, 2.0**31, 2**31 - 1])
)
ANYTHING = st.one_of(
    ODD,
    NUMBER,
    st.sampled_from([S, BATCH, STATE, STATE[1], np.arange(3), jnp.float32(2), np.ones((2, 2))]),
    st.lists(st.sampled_from([S, BATCH, 0.1, None]), max_size=3),
)
SCHEDULE = mostly(st.just(S))
STEP = mostly(st.integers(1, 100))
RATE = mostly(st.floats(0, 1, width=32))

# Of every function: a call with arguments of which most are right, and some anything.
CALLS = {
    "call": (lambda s, c: s(c), SCHEDULE, st.one_of(STEP, ANYTHING)),
    "times": (lambda s, f: s * f, st.just(S), st.one_of(RATE, ANYTHING)),
    "over": (lambda s, f: s / f, st.just(S), st.one_of(RATE, ANYTHING)),
    "join": (lambda a, b, at: o.join([a, b], at), SCHEDULE, SCHEDULE, mostly(st.just([7]))),
    "joined": (o.join, ANYTHING, ANYTHING),
    "shift": (o.shift, SCHEDULE, st.one_of(STEP, ANYTHING)),
    "stretch": (o.stretch, SCHEDULE, st.one_of(STEP, RATE, st.fractions(), ANYTHING)),
    "to_dict": (o.to_dict, st.one_of(SCHEDULE, ANYTHING)),
    "stack": (lambda s, n: o.stack(s, num_stages=n), mostly(st.just([S, S])), mostly(st.just(5))),
    "stacked": (o.stack, ANYTHING),
    "unstack": (o.unstack, st.one_of(st.just(BATCH), ANYTHING)),
    "pad": (o.pad, SCHEDULE, mostly(st.integers(4, 9))),
    "unpad": (o.unpad, st.one_of(SCHEDULE, ANYTHING)),
    "check": (o.check, st.one_of(SCHEDULE, ANYTHING)),
    "describe": (o.describe, SCHEDULE, STEP),
    "stateful": (o.stateful, st.one_of(SCHEDULE, ANYTHING)),
    "scale_by_stepping": (o.scale_by_stepping, st.one_of(SCHEDULE, ANYTHING)),
    "get_state": (o.get_state, mostly(st.just(STATE)), mostly(st.none())),
    "set_schedule": (o.set_schedule, mostly(st.just(STATE)), SCHEDULE, mostly(st.none())),
    "from_optax": (
        interop.from_optax,
        RATE,
        mostly(
            st.dictionaries(st.one_of(st.integers(1, 100), st.floats()), RATE, max_size=3)
        ),
    ),
    "from_optax_exponential_decay": (
        lambda r, n, g, e: interop.from_optax_exponential_decay(r, n, g, total_steps=e),
        RATE, STEP, RATE, st.just(200),
    ),
    "from_mmengine": (
        lambda r, p, n: interop.from_mmengine(r, p, steps_per_epoch=n),
        RATE,
        mostly(
            st.builds(
                lambda m, g: [{"type": "MultiStepLR", "by_epoch": True, "milestones": m, "gamma": g}],
                mostly(st.just([3, 5])), RATE,
            )
        ),
        STEP,
    ),
    "from_detectron2": (
        interop.from_detectron2,
        mostly(
            st.builds(
                lambda steps, rate, n: {"STEPS": steps, "BASE_LR": rate, "WARMUP_ITERS": n},
                mostly(st.just([30, 50])), RATE, STEP,
            )
        ),
    ),
    "from_tf_object_detection": (interop.from_tf_object_detection, ANYTHING),
    "from_keras": (
        interop.from_keras,
        mostly(
            st.builds(
                lambda b, v: {"boundaries": b, "values": v},
                mostly(st.just([3.0, 5.5])), mostly(st.just([0.1, 0.2, 0.3])),
            )
        ),
    ),
}  # fmt: skip
RARELY_RIGHT = ("joined", "stacked", "from_tf_object_detection")
OUTCOMES = collections.Counter()
PACKAGE = str(Path(o.__file__).parent)


@settings(max_examples=1500)
@given(st.sampled_from(sorted(CALLS)).flatmap(lambda n: st.tuples(st.just(n), *CALLS[n][1:])))
def check_anything(call):
    name, *arguments = call
    try:
        CALLS[name][0](*arguments)
    except (ValueError, TypeError) as error:
        # Python itself refuses arithmetic with what knows none, and calls of what is no function.
        frames = traceback.extract_tb(error.__traceback__)
        outcome = "refused" if str(error) else "refused without a word"
        if not frames[-1].filename.startswith((PACKAGE, __file__)):
            outcome = f"{error!r} of {frames[-1].filename}"
    else:
        outcome = "done"
    OUTCOMES[name, outcome] += 1
    assert outcome in ("refused", "done"), (call, outcome)


def test_anything_is_done_or_refused_by_name():
    check_anything()
    for name in CALLS:
        assert OUTCOMES[name, "refused"] > 0, (name, OUTCOMES)
        assert OUTCOMES[name, "done"] > 0 or name in RARELY_RIGHT, name
