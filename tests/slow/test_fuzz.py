"""Objects of many kinds in every place of every function: what a plain value in that place gives, or
a refusal that the package itself makes and that names the argument."""

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import importlib.util
import pathlib
import random
import re
import traceback
import types
import uuid

import chex
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import omegaconf
import optax
import pydantic
import pytest
from flax import nnx
from matplotlib import pyplot

import optax_stepping as o
from optax_stepping import interop

NUMBER_OF_CALLS = 20_000
S = o.manual_stepping([10, 20], [0.1, 0.01, 0.001], warmup_steps=5)
BATCH = o.stack([S, S / 2])
OPT_STATE = optax.chain(optax.trace(0.9), o.scale_by_stepping(o.pad(S, 8))).init(jnp.zeros(2))
STATE = o.get_state(OPT_STATE)
AX = pyplot.subplots()[1]


class Odd:
    """Whatever it is asked for, it has no answer."""

    def __repr__(self):
        raise RuntimeError

    __eq__ = __bool__ = __float__ = __index__ = __len__ = __iter__ = __repr__
    __hash__ = None


class Almost:
    """A sequence of numbers, and a number, but for what it inherits from."""

    def __len__(self):
        return 2

    def __getitem__(self, i):
        return (5, 9)[i]

    def __float__(self):
        return 5.0

    __index__ = __int__ = __len__


Seven = enum.IntEnum("Seven", {"SEVEN": 7})
Pair = collections.namedtuple("Pair", ["first", "second"])
Config = pydantic.create_model("Config", steps=(list[int], [5, 9]))
Record = dataclasses.make_dataclass("Record", [("steps", list)])
Units = type("Units", (np.ndarray,), {})
DATE = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
NO_LEAVES = o.SteppingSchedule(None, None, None)
SHORT = o.SteppingSchedule(S.boundaries, S.rates[1:], S.ramps)

# Of every kind: the object (or what makes it anew), and the same thing in plain Python where there is one.
REFUSED = object()
SAME = object()
OBJECTS = {
    "None": (None, SAME), "bool": (True, SAME), "int": (7, SAME), "zero": (0, SAME), "negative": (-3, SAME),
    "2**31": (2**31, SAME), "10**400": (10**400, SAME), "10**5000": (10**5000, SAME), "float": (2.5, SAME),
    "whole float": (7.0, 7), "nan": (float("nan"), SAME), "infinity": (float("inf"), SAME), "tiny": (1e-50, SAME),
    "complex": (1j, SAME), "str": ("7", SAME), "word": ("learning_rate", SAME), "bytes": (b"7", REFUSED),
    "bytearray": (bytearray(b"57"), REFUSED), "memoryview": (memoryview(b"57"), REFUSED),
    "memoryview of ints": (memoryview(array.array("i", [5, 9])), REFUSED), "range": (range(5, 10, 4), [5, 9]),
    "list": ([5, 9], SAME), "empty": ([], SAME), "tuple": ((5, 9), SAME), "nested": ([[5], [9]], SAME),
    "dict": ({5: 9}, SAME), "set": ({5, 9}, SAME), "deque": (collections.deque([5, 9]), [5, 9]),
    "UserList": (collections.UserList([5, 9]), [5, 9]), "named tuple": (Pair(5, 9), [5, 9]),
    "array.array": (array.array("i", [5, 9]), [5, 9]), "floats of array": (array.array("d", [5.0, 9.0]), [5, 9]),
    "iterator": (lambda: iter([5, 9]), REFUSED), "generator": (lambda: (i for i in [5, 9]), REFUSED),
    "slice": (slice(5, 9), REFUSED), "ellipsis": (..., REFUSED), "NotImplemented": (NotImplemented, REFUSED),
    "object": (object(), REFUSED), "class": (dict, REFUSED), "function": (len, REFUSED),
    "partial": (functools.partial(int, 5), REFUSED), "module": (types, REFUSED),
    "error": (ValueError("7"), REFUSED), "odd": (Odd(), REFUSED), "almost": (Almost(), REFUSED),
    "Decimal": (decimal.Decimal("0.5"), REFUSED), "Fraction": (fractions.Fraction(1, 2), 0.5),
    "IntEnum": (Seven.SEVEN, 7), "int subclass": (type("Int", (int,), {})(7), 7),
    "float subclass": (type("Float", (float,), {})(0.5), 0.5), "list subclass": (type("List", (list,), {})([5, 9]), [5, 9]),
    "date": (DATE.date(), REFUSED), "datetime": (DATE, REFUSED), "timedelta": (datetime.timedelta(7), REFUSED),
    "time": (DATE.time(), REFUSED), "path": (pathlib.PurePath("7"), REFUSED), "uuid": (uuid.UUID(int=7), REFUSED),
    "pattern": (re.compile("7"), REFUSED), "dataclass": (Record([5, 9]), REFUSED), "pydantic": (Config(), REFUSED),
    "OmegaConf list": (omegaconf.OmegaConf.create([5, 9]), [5, 9]), "OmegaConf": (omegaconf.OmegaConf.create({"a": 5}), REFUSED),
    **{f"np.{t.__name__}": (t(7), 7) for t in (np.int8, np.uint8, np.int32, np.uint64, np.float16, np.float32, np.float64)},
    "np.longdouble": (np.longdouble(7), 7), "np.complex64": (np.complex64(7), REFUSED), "np.bool": (np.bool_(True), True),
    "np.str_": (np.str_("7"), "7"), "np.bytes_": (np.bytes_(b"7"), REFUSED), "bfloat16": (ml_dtypes.bfloat16(7), 7),
    "np.datetime64": (np.datetime64("2026"), REFUSED), "np.datetime64[ns]": (np.datetime64(7, "ns"), REFUSED),
    "np.timedelta64": (np.timedelta64(7, "D"), REFUSED), "np.timedelta64[ns]": (np.timedelta64(7, "ns"), REFUSED),
    "0-d": (np.array(7), 7), "0-d dates": (np.array(7, "m8[ns]"), REFUSED), "1 entry": (np.array([7]), [7]),
    **{f"array of {t}": (np.array([5, 9], t), [5, 9]) for t in ("i1", "u2", ">i4", "u8", "f2", "f4", "f8", "O", ml_dtypes.bfloat16)},
    "array of longdouble": (np.array([5, 9], "g"), [5, 9]), "strided": (np.arange(5, 13)[::4], [5, 9]),
    "ndarray subclass": (np.array([5, 9]).view(Units), [5, 9]), "matrix": (np.array([[5, 9]]).view(np.matrix), [[5, 9]]),
    "array of complex": (np.array([5j, 9]), REFUSED), "array of str": (np.array(["5", "9"]), ["5", "9"]),
    "array of None": (np.array([None, 9]), [None, 9]), "array of bool": (np.array([True, False]), [True, False]),
    "empty array": (np.array([]), []), "2-D": (np.array([[5], [9]]), [[5], [9]]), "dates": (np.array([5, 9], "M8[D]"), REFUSED),
    "durations": (np.array([5, 9], "m8[ns]"), REFUSED), "dates in ns": (np.array([5, 9], "M8[ns]"), REFUSED),
    "structured": (np.array([(5, 9.0)], "i4,f4"), REFUSED), "structured scalar": (np.array([(5, 9.0)], "i4,f4")[0], REFUSED),
    "records": (np.rec.array([(5, 9.0)]), REFUSED), "masked": (np.ma.array([5, 9], mask=[0, 1]), REFUSED),
    "nothing masked": (np.ma.array([5.0, 9.0]), REFUSED), "np.ma.masked": (np.ma.masked, REFUSED),
    "jnp scalar": (jnp.int32(7), 7), "jnp.array": (jnp.array([5, 9]), [5, 9]), "jnp floats": (jnp.array([5.0, 9.0]), [5, 9]),
    "jnp bfloat16": (jnp.array([5, 9], jnp.bfloat16), [5, 9]), "jnp float16": (jnp.float16(7), 7),
    "jnp bools": (jnp.array([True, False]), [True, False]), "jnp complex": (jnp.array([5j, 9]), REFUSED),
    "key": (jax.random.key(0), REFUSED), "keys": (jax.random.split(jax.random.key(0)), REFUSED),
    "float0": (np.zeros(2, jax.dtypes.float0), REFUSED), "shape": (jax.ShapeDtypeStruct((2,), jnp.int32), REFUSED),
    "dtype": (np.dtype("i4"), REFUSED), "variable": (nnx.Param(jnp.array(7)), 7), "axes": (AX, SAME),
    "schedule": (S, SAME), "stack": (BATCH, SAME), "schedules": ([S, S], SAME), "opt_state": (OPT_STATE, SAME), "state": (STATE, SAME),
    "stateful": (o.stateful(S), REFUSED), "optimizer": (o.scale_by_stepping(S), REFUSED), "optax": (optax.constant_schedule(0.1), SAME),
    "without leaves": (NO_LEAVES, REFUSED), "too short": (SHORT, REFUSED), "lists": (o.SteppingSchedule([5], [0.1, 0.2], [False]), REFUSED),
    "numbers": (o.SteppingSchedule(1, 2, 3), REFUSED), "masked leaf": (o.SteppingSchedule(S.boundaries, S.rates, np.ma.ones(3, bool)), REFUSED),
    "scalars": (o.SteppingSchedule(*map(jnp.float32, range(3))), REFUSED), "keys as leaves": (o.SteppingSchedule(*[jax.random.split(jax.random.key(0))] * 3), REFUSED),
    "NumPy leaves": (o.SteppingSchedule(*map(np.asarray, vars(S).values())), S), "state of None": (o.SteppingState(None, None, None, None), REFUSED),
    "state too short": (STATE._replace(rates=STATE.rates[2:]), REFUSED), "state of float16": (STATE._replace(rates=STATE.rates.astype("f2")), SAME),
}  # fmt: skip


CONFIG = "train_config { learning_rate { constant_learning_rate { learning_rate: 1 } } }"
FROM_TORCH = {"scheduler": None}
if importlib.util.find_spec("torch"):
    import torch

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)
    FROM_TORCH = {"scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 3), "total_steps": 9}
    FROM_TORCH |= {"param_group": 0, "steps_per_epoch": 2, "tolerance": 0.5}
    OBJECTS |= {"tensor": (torch.tensor([5, 9]), [5, 9]), "torch scalar": (torch.tensor(7), 7)}


def curves(axes):
    data = [line.get_data() for line in axes.lines]
    axes.clear()
    return data


# Of every function, a right call.
FUNCTIONS = {
    "manual_stepping": (o.manual_stepping, {"boundaries": [10, 20], "rates": [0.3, 0.2, 0.1], "warmup": False,
                        "warmup_steps": 4, "warmup_init_value": 0.5, "interpolate": [True, False]}),
    "call": (lambda count: S(np.array(count) if isinstance(count, list) else count), {"count": 7}),
    "times": (lambda factor: S * factor, {"factor": 2}), "from the left": (lambda factor: factor * S, {"factor": 2}),
    "batch times": (lambda factor: BATCH * factor, {"factor": 2}), "over": (lambda divisor: S / divisor, {"divisor": 2}),
    "replace": (lambda boundaries, rates, ramps: S.replace(boundaries=boundaries, rates=rates, ramps=ramps)(7),
                {"boundaries": [5, 9], "rates": [0.1, 0.2, 0.3], "ramps": [True, False]}),
    "join": (o.join, {"schedules": [S, S], "boundaries": [7]}), "shift": (o.shift, {"schedule": S, "steps": 7}),
    "stretch": (o.stretch, {"schedule": S, "factor": 7}), "to_dict": (o.to_dict, {"schedule": S}),
    "stack": (o.stack, {"schedules": [S, S], "num_stages": 7}), "unstack": (o.unstack, {"batch": BATCH}),
    "pad": (o.pad, {"schedule": S, "num_stages": 7}), "unpad": (o.unpad, {"schedule": S}),
    "as_function": (lambda schedule: o.as_function(schedule)(7), {"schedule": S}),
    "check": (o.check, {"schedule": S}), "describe": (o.describe, {"schedule": S, "total_steps": 70, "all_stages": False}),
    "plot": (lambda **given: curves(o.plot(**given)), {"schedule": S, "total_steps": 70, "ax": AX}),
    "stateful": (lambda schedule: o.stateful(schedule).init(), {"schedule": S}),
    "scale_by_stepping": (lambda **given: o.scale_by_stepping(**given).init(None), {"schedule": S, "flip_sign": True}),
    "update": (lambda state: o.scale_by_stepping(S).update(jnp.ones(2), state), {"state": STATE}),
    "get_state": (lambda opt_state, name: o.get_state(opt_state, name).schedule(7), {"opt_state": OPT_STATE, "name": None}),
    "set_schedule": (o.set_schedule, {"opt_state": OPT_STATE, "schedule": S, "name": "1", "grow": True}),
    "from_table": (o.from_table, {"rates": [0.1, 0.1, 0.2], "tolerance": 0.5, "num_stages": 7}),
    "from_function": (o.from_function, {"function": S, "total_steps": 40, "tolerance": 0.5, "num_stages": 7}),
    "from_detectron2": (interop.from_detectron2, {"cfg": {"STEPS": [30, 50], "BASE_LR": 0.1}, "tolerance": 0.5}),
    "from_mmengine": (interop.from_mmengine, {"param_scheduler": [], "base_lr": 0.1, "steps_per_epoch": 7, "total_steps": 70, "tolerance": 0.5}),
    "from_tf_object_detection": (interop.from_tf_object_detection, {"config": CONFIG, "total_steps": 70, "tolerance": 0.5}),
    "from_torch": (lambda scheduler, **given: interop.from_torch(scheduler, **{"total_steps": 9, **given}), FROM_TORCH),
}  # fmt: skip
# What may stand in a message instead of the name of the argument.
ALIASES = {"state": "schedule|count", "opt_state": "schedule"}
ALIASES |= dict.fromkeys(["factor", "divisor"], "SteppingSchedule")
PACKAGE = str(pathlib.Path(o.__file__).parent)


def calls():
    """Right calls with one or two arguments replaced, or one entry of a list: where, by what, and the
    arguments, once with the object and once with its plain value."""
    rng = random.Random(0)
    for i in range(NUMBER_OF_CALLS):
        function = sorted(FUNCTIONS)[i % len(FUNCTIONS)]
        yield function, *replaced(rng, FUNCTIONS[function][1])


def replaced(rng, arguments):
    places = rng.sample(sorted(arguments), min(rng.choice([1, 1, 1, 2]), len(arguments)))
    given, plain, names = dict(arguments), dict(arguments), []
    for place in places:
        name, entries = rng.choice(sorted(OBJECTS)), arguments[place]
        thing, value = OBJECTS[name]
        thing = thing() if name in ("iterator", "generator") else thing
        value = thing if value is SAME else value
        if isinstance(entries, list) and entries and rng.random() < 0.5:
            i = rng.randrange(len(entries))
            thing = [*entries[:i], thing, *entries[i + 1 :]]
            value = REFUSED if value is REFUSED else [*entries[:i], value, *entries[i + 1 :]]
        given[place], plain[place] = thing, value
        names.append(name)
    return places, names, given, plain


def outcome(function, arguments, places):
    """The leaves of the result, or None where the call is refused by name."""
    try:
        result = FUNCTIONS[function][0](**arguments)
    except (ValueError, TypeError) as error:
        check_refusal(error, places)
        return None
    ours = o.SteppingSchedule | o.SteppingState
    for leaf in jax.tree.leaves(result, is_leaf=lambda tree: isinstance(tree, ours)):
        if isinstance(leaf, ours):
            o.check(leaf)
    return jax.tree.leaves(result)


def check_refusal(error, places):
    message, last = str(error), traceback.extract_tb(error.__traceback__)[-1]
    names = "|".join([*places, *(ALIASES.get(place, place) for place in places)])
    # Python itself refuses arithmetic with what knows none.
    assert last.filename.startswith(PACKAGE) or "SteppingSchedule" in message, error
    assert re.search(names, message), error
    assert len(message) < 900, error


@pytest.mark.filterwarnings("ignore:Python iterable type:DeprecationWarning")  # JAX, of a tree
def test_a_right_result_or_a_refusal_by_name():
    assert len(OBJECTS) > 100
    outcomes = collections.Counter()
    for function, places, names, given, plain in calls():
        try:
            found = outcome(function, given, places)
            if found is not None:
                taken = [value for value in plain.values() if value is REFUSED]
                assert not taken, "it is taken for a number"
                chex.assert_trees_all_equal(found, outcome(function, plain, places))
        except Exception as error:
            pytest.fail(f"{function} with {names} as {places}: {error!r}")
        outcomes[function, found is not None] += 1
    for function in FUNCTIONS:
        assert outcomes[function, False], function
        assert outcomes[function, True] or function in interop.__all__, function
