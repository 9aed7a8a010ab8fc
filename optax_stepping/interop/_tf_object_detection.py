"""Schedules of the TensorFlow Object Detection API, from protocol buffers in text format."""

import os
import re
from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np

from optax_stepping import _arguments as arguments
from optax_stepping._arguments import bad_kind, bad_value, integer, short, shown
from optax_stepping._changes import LONGEST_TABLE
from optax_stepping._manual_stepping import manual_stepping
from optax_stepping._schedule import SteppingSchedule
from optax_stepping._table import from_table
from optax_stepping.interop._files import read_text

MAX_DEPTH = 100
MAX_STAIRS = 10_000


class Field(NamedTuple):
    """A field of the message ``parent``. If it is a message itself, its text is the brace."""

    line: int
    parent: str
    name: str
    text: str
    inside: list[Any]


def from_tf_object_detection(
    config: str | os.PathLike[str],
    *,
    total_steps: int | None = None,
    tolerance: float | None = None,
) -> SteppingSchedule:
    """The learning rate of a ``pipeline.config`` of the TensorFlow Object Detection API.

    Every kind, with the defaults of ``protos/optimizer.proto``, and the formulas and checks of
    ``utils/learning_schedules.py``. A first ``step: 0``, as in old files, has the initial rate.

    Args:
      config: the text of the file, or its path. At most a million characters.
      total_steps: the optimizer steps after which the last rate holds. By default, those of the
        file: ``num_steps`` of its train_config, or a cosine's ``total_steps``. Without any, an
        exponential staircase ends where float32 underflows. Manual steps need none.
      tolerance: the largest error of a curve, relative to the largest rate, as in
        :func:`optax_stepping.from_table`. Steps, stairs and lines are exact without it.

    Returns:
      The schedule, in steps of the optimizer.

    Raises:
      ValueError: not one learning rate, or a malformed one; a curve without a ``tolerance`` or an
        end; a file that is too large, or Caffe's solver.prototxt (it says what to write).
      TypeError: ``config`` is neither a ``str`` nor a path.

    Example:
      >>> from optax_stepping import interop
      >>> interop.from_tf_object_detection('''manual_step_learning_rate {
      ...   initial_learning_rate: .0003 schedule { step: 900000 learning_rate: .00003 } }''')
      SteppingSchedule(boundaries=[900000], rates=[0.0003, 3e-05], ramps=[False])
    """
    if total_steps is not None:
        total_steps = integer("total_steps", total_steps, low=1, example="90000")
    arguments.check_options(tolerance)
    message, num_steps = read_config(config)
    name, known = message.name, {name: kind.__kwdefaults__ for name, kind in _KINDS.items()}
    [fields] = _read([message], known)[name]
    length = total_steps or num_steps or fields.get("total_steps")
    try:
        if "decay" in name and length:
            integer("total_steps", length, high=LONGEST_TABLE)
        with np.errstate(all="ignore"):  # what is not finite is refused
            return _KINDS[name](total_steps, length, tolerance, **fields)
    except ValueError as error:
        raise ValueError(f"config: line {message.line}: {name}: {error}") from None


# Keyword arguments are fields of protos/optimizer.proto, a dict those of a repeated message.
_ENTRY = {"step": 0, "learning_rate": 0.002}


def _manual_steps(
    total_steps: int | None, *_: Any, initial_learning_rate: float = 0.002, schedule: Any = _ENTRY,
    warmup: bool = False,
) -> SteppingSchedule:  # fmt: skip
    if not schedule:
        write = f"write constant_learning_rate {{ learning_rate: {initial_learning_rate} }}"
        raise ValueError(f"there is no schedule, which the API refuses; for a constant, {write}.")
    stages = [(0, initial_learning_rate), *(entry.values() for entry in schedule)]
    steps, rates = zip(*(stages if schedule[0]["step"] else stages[1:]), strict=True)
    # A warmup leads to the first boundary, wherever the training ends.
    kept = max(sum(step < (total_steps or np.inf) for step in steps), 1 + warmup)
    return manual_stepping(steps[1:kept], rates[:kept], warmup)


def _exponential(
    _: Any, length: int | None, tolerance: float | None, *, initial_learning_rate: float = 0.002,
    decay_steps: int = 4_000_000, decay_factor: float = 0.95, staircase: bool = True,
    burnin_learning_rate: float = 0.0, burnin_steps: int = 0, min_learning_rate: float = 0.0,
) -> SteppingSchedule:  # fmt: skip
    integer("decay_steps", decay_steps, low=1, example="800720")
    # Without a length, stair by stair, as far as counts go or until the rate changes no more.
    starts = np.unique([0, *range(burnin_steps, arguments.INT32_MAX + 1, decay_steps)[:MAX_STAIRS]])
    counts = np.arange(length) if length else starts
    power = np.maximum(counts - burnin_steps, 0) / decay_steps
    rates = initial_learning_rate * decay_factor ** (np.floor(power) if staircase else power)
    burnin = burnin_learning_rate or initial_learning_rate
    rates = np.maximum(np.where(counts < burnin_steps, burnin, rates), min_learning_rate)
    if length:
        return from_table(rates, tolerance=tolerance)
    rates[np.float32(rates) == 0] = 0.0
    # Two infinities are equal, but their difference is not 0.
    new = np.append(True, np.diff(rates) != 0)
    if not staircase or (len(starts) >= MAX_STAIRS and new[-1]):
        raise ValueError("it has no end; write total_steps=90000, say, the steps of the training.")
    return manual_stepping(starts[new][1:], rates[new])


def _cosine(
    _: Any, length: int, tolerance: float | None, *, learning_rate_base: float = 0.002,
    total_steps: int = 4_000_000, warmup_learning_rate: float = 0.0002,
    warmup_steps: int = 10_000, hold_base_rate_steps: int = 0,
) -> SteppingSchedule:  # fmt: skip
    if total_steps < max(warmup_steps, 1):
        must = f"be positive and at least warmup_steps = {warmup_steps}"
        raise bad_value("total_steps", must, total_steps, "raise it")
    if warmup_steps and learning_rate_base < warmup_learning_rate:
        must = f"be at least warmup_learning_rate = {warmup_learning_rate}"
        raise bad_value("learning_rate_base", must, learning_rate_base, "raise it")
    counts, start = np.arange(length), warmup_steps + hold_base_rate_steps
    # Where no step is left for the cosine, it is not looked at.
    share = (counts - start) / max(total_steps - start, 1)
    cosine = 0.5 * learning_rate_base * (1 + np.cos(np.pi * share))
    slope = (learning_rate_base - warmup_learning_rate) / max(warmup_steps, 1)
    stages = [counts < warmup_steps, counts > total_steps, counts <= start]
    rates = [warmup_learning_rate + slope * counts, 0.0, learning_rate_base]
    return from_table(np.select(stages, rates, cosine), tolerance=tolerance)


_KINDS: dict[str, Any] = {
    "constant_learning_rate": lambda *_, learning_rate=0.002: manual_stepping([], [learning_rate]),
    "manual_step_learning_rate": _manual_steps,
    "exponential_decay_learning_rate": _exponential,
    "cosine_decay_learning_rate": _cosine,
}
# Of Caffe, by the names of sgd_solver.cpp.
_POLICIES = {
    "fixed": "{base_lr}", "step": "{base_lr} * {gamma} ** (c // {stepsize})",
    "exp": "{base_lr} * {gamma} ** c", "inv": "{base_lr} * (1 + {gamma} * c) ** -{power}",
    "multistep": "{base_lr} * {gamma} ** sum(c >= step for step in [{stepvalue}])",
    "poly": "{base_lr} * (1 - c / {max_iter}) ** {power}",
    "sigmoid": "{base_lr} / (1 + math.exp(-{gamma} * (c - {stepsize})))",
}  # fmt: skip
# Between fields and values, commas, brackets and comments are skipped.
_SKIP = r"(?:[\s,;\[\]]|\#.*+)*+"
_ATOM = r"""(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[^\s{}<>\[\]:;,"'\#]+|["'])"""
_REST = rf"{_SKIP}(?:(?::{_SKIP})?(?P<open>[{{<])|:{_SKIP}(?P<value>{_ATOM})|)"
# In a list of messages, the first alone has a name. That of the others is empty here.
_ITEM = re.compile(rf"\#.*|(?P<close>[}}>])|(?P<name>{_ATOM}|(?=[{{<])){_REST}")
# Values in the text format of protocol buffers. Longer integers fit into none of its types.
_VALUES: dict[type, tuple[str, Any, str]] = {
    bool: (r"t|true|True|1|f|false|False|0", lambda text: text[0] in "tT1", "true or false"),
    int: (r"0|[1-9]\d{0,9}|0[xX][\da-fA-F]{1,8}", lambda text: int(text, 0), "a whole number"),
    float: (r"-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?[fF]?", lambda text: float(text.rstrip("fF")),
            "a number such as .0003"),
    dict: (r"\{", None, "a message in braces"),
}  # fmt: skip


def _read(found: list[Field], known: dict[str, Any]) -> dict[str, Any]:
    """Fields by name: all messages, and the last of other values, as in protocol buffers."""
    fields = {name: [] if isinstance(default, dict) else default for name, default in known.items()}
    for line, _, name, text, inside in found:
        if name not in known:
            write = f"write one of {', '.join(known)}, or hand the rates to from_table"
            raise ValueError(f"config: line {line}: {name or 'a value'} is not known; {write}.")
        pattern, parsed, write = _VALUES[type(known[name])]
        if not re.fullmatch(pattern, text):
            raise ValueError(f"config: line {line}: {name} is {short(text)}; write {write}.")
        if parsed:
            fields[name] = parsed(text)
        else:
            fields[name].append(_read(inside, known[name]))
    return fields


def read_config(config: str | os.PathLike[str]) -> tuple[Field, int | None]:
    """The one learning rate of a text or a file, and the length of training, if it says so."""
    if not isinstance(config, str | os.PathLike):
        raise bad_kind("config", "be a text or a path", shown(config), "write a str or a Path")
    text, _ = read_text("config", config, r"[{<\n]", "cut out its train_config")
    fields = _fields(text)
    rates = [f for f in fields if f.text == "{" and f.name.endswith("_learning_rate")]
    found = [rate for rate in rates if rate.parent in ("learning_rate", "")]
    solver = defaultdict(lambda: "...", {f.name: f.text for f in fields if not f.parent})
    if "base_lr" in solver and not found:
        solver["stepvalue"] = ", ".join(f.text for f in fields if f.name == "stepvalue")
        rate = _POLICIES.get(solver["lr_policy"].strip("\"'"), "...").format_map(solver)
        call = f"from_function(lambda c: {rate}, total_steps={solver['max_iter']}, tolerance=1e-3)"
        raise ValueError(f"config: base_lr is of Caffe's solver; write optax_stepping.{call}.")
    if len(found) != 1:
        got = short([f"{rate.name} in line {rate.line}" for rate in found])
        write = "keep or write one in an optimizer, as learning_rate { constant_learning_rate { } }"
        raise bad_value("config", "have one learning rate", got, write)
    texts = ["", *(f.text for f in fields if (f.parent, f.name) == ("train_config", "num_steps"))]
    # 0 is the API's word for a training without end.
    return found[0], int(texts[-1]) or None if re.fullmatch(r"\d{1,99}", texts[-1]) else None


def _fields(text: str) -> list[Field]:
    """All fields of the text and of its messages, in its order."""
    fields, around = [], [Field(1, "", "", "{", [])]
    line, position, closed = 1, 0, ""
    for item in _ITEM.finditer(text):
        line, position = line + text.count("\n", position, item.start()), item.start()
        if item["close"]:
            closed = around.pop().name
            if not around:
                raise ValueError(f"config: line {line} closes a brace that was never opened.")
        elif item["name"] is not None:
            # The messages of a list have one name for all.
            name, value = item["name"] or closed, "{" if item["open"] else item["value"] or ""
            fields.append(Field(line, around[-1].name, name, value, []))
            around[-1].inside.append(fields[-1])
            around += fields[-1:] if item["open"] else []
            if len(around) > MAX_DEPTH + 1:
                raise ValueError(f"config: line {line} is nested deeper than {MAX_DEPTH} levels.")
    if len(around) > 1:
        raise ValueError(f"config: {around[-1].name!r} of line {around[-1].line} is never closed.")
    return fields
