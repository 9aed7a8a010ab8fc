"""Schedules of the TensorFlow Object Detection API."""

import contextlib
import os
from typing import Any

from optax_stepping._arguments import integer
from optax_stepping._manual_stepping import manual_stepping
from optax_stepping._pieces import Piece, to_schedule
from optax_stepping._schedule import SteppingSchedule
from optax_stepping.interop._factors import at_least, last_step, staircase, until
from optax_stepping.interop._pipeline_config import Field, find_learning_rate, read_config
from optax_stepping.interop._refusals import not_in_stages


def from_tf_object_detection(
    config: str | os.PathLike[str], total_steps: int | None = None
) -> SteppingSchedule:
    """The learning rate of a ``pipeline.config`` of the TensorFlow Object Detection API.

    Reads ``manual_step_learning_rate``, ``constant_learning_rate``, and
    ``exponential_decay_learning_rate`` with ``staircase`` (the default), of any optimizer, with
    the defaults of the API's ``protos/optimizer.proto``: rates 0.002, no warmup. A first entry
    ``step: 0``, as in old files, replaces the initial rate. Compared with the formulas of
    ``utils/learning_schedules.py``, stepped in plain Python.

    Args:
      config: the text of the file, or its path. At most a million characters.
      total_steps: leave out stages that start at this step or later, of which an exponential
        decay may have thousands.

    Returns:
      The schedule, in steps of the optimizer.

    Raises:
      ValueError: another kind of learning rate (the message names the Optax schedule to
        use), none, several, or a malformed one; a file that is too large or too deeply
        nested.
      TypeError: ``config`` is neither a ``str`` nor a path.

    Example:
      >>> from optax_stepping import interop
      >>> interop.from_tf_object_detection('''
      ...     learning_rate { manual_step_learning_rate {
      ...       initial_learning_rate: .0003
      ...       schedule { step: 900000 learning_rate: .00003 }
      ...     } }''')
      SteppingSchedule(boundaries=[900000], rates=[0.0003, 3e-05], ramps=[False])
    """
    end = last_step(total_steps)
    message = find_learning_rate(read_config(config))
    if message.name == "constant_learning_rate":
        return manual_stepping([], [_read_message(message, learning_rate=0.002)["learning_rate"]])
    if message.name == "exponential_decay_learning_rate":
        return _exponential_decay(message, end)
    if message.name == "cosine_decay_learning_rate":
        raise not_in_stages(f"config: line {message.line}", message.name, _cosine_decay(message))
    if message.name != "manual_step_learning_rate":
        raise not_in_stages(f"config: line {message.line}", message.name)
    fields = _read_message(message, initial_learning_rate=0.002, schedule=[], warmup=False)
    entries = [_read_message(entry, step=0, learning_rate=0.002) for entry in fields["schedule"]]
    if not entries:
        raise ValueError(
            f"config: line {message.line}: manual_step_learning_rate has no schedule, which the "
            f"API refuses; write constant_learning_rate for a constant."
        )
    boundaries = [entry["step"] for entry in entries]
    rates = [fields["initial_learning_rate"], *(entry["learning_rate"] for entry in entries)]
    if boundaries[0] == 0:
        boundaries, rates = boundaries[1:], rates[1:]
    # A warmup leads to the first boundary, wherever the training ends.
    kept = max(sum(step < end for step in boundaries), int(fields["warmup"]))
    return manual_stepping(boundaries[:kept], rates[: kept + 1], fields["warmup"])


def _exponential_decay(message: Field, end: int) -> SteppingSchedule:
    fields = _read_message(
        message,
        initial_learning_rate=0.002,
        decay_steps=4_000_000,
        decay_factor=0.95,
        staircase=True,
        burnin_learning_rate=0.0,
        burnin_steps=0,
        min_learning_rate=0.0,
    )
    here = f"config: line {message.line}"
    rate, factor = fields["initial_learning_rate"], fields["decay_factor"]
    burnin_steps, floor = fields["burnin_steps"], fields["min_learning_rate"]
    period = integer(f"{here}: decay_steps", fields["decay_steps"], low=1, example="800720")
    integer(f"{here}: burnin_steps", burnin_steps, example="2000")
    burnin_rate = fields["burnin_learning_rate"] or rate
    if not fields["staircase"]:
        decay = (
            f"optax.exponential_decay({rate}, {period}, {factor}, staircase=False"
            f"{f', end_value={floor}' if floor else ''})"
        )
        if burnin_steps:
            burnin = f"optax.constant_schedule({burnin_rate})"
            decay = f"optax.join_schedules([{burnin}, {decay}], [{burnin_steps}])"
        raise not_in_stages(here, f"{message.name} without staircase", decay)
    pieces = staircase(rate, period, factor, burnin_steps, end, floor)
    if burnin_steps:
        pieces = [Piece(0, burnin_rate), pieces[0]._replace(start=burnin_steps), *pieces[1:]]
    return to_schedule(until(at_least(pieces, floor), end))


def _cosine_decay(message: Field) -> str:
    """The expression in Optax that has its rates."""
    fields = _read_message(
        message,
        learning_rate_base=0.002,
        total_steps=4_000_000,
        warmup_learning_rate=0.0002,
        warmup_steps=10_000,
        hold_base_rate_steps=0,
    )
    rate, warmup_steps = fields["learning_rate_base"], fields["warmup_steps"]
    start = warmup_steps + fields["hold_base_rate_steps"]
    if fields["total_steps"] <= start:
        raise ValueError(
            f"config: line {message.line}: total_steps = {fields['total_steps']} leaves no step "
            f"for the cosine after {start} of warmup_steps and hold_base_rate_steps; raise it."
        )
    warmup = f"optax.linear_schedule({fields['warmup_learning_rate']}, {rate}, {warmup_steps})"
    cosine = f"optax.cosine_decay_schedule({rate}, {fields['total_steps'] - start})"
    return (
        f"optax.join_schedules([{warmup}, optax.constant_schedule({rate}), {cosine}], "
        f"[{warmup_steps}, {start}])"
    )


def _read_message(message: Field, **defaults: Any) -> dict[str, Any]:
    """The fields of a message by name, of the types of their defaults; a field with a list
    as default may be repeated, of others the last counts, as in protocol buffers.
    """
    fields = dict(defaults) | {k: [] for k, v in defaults.items() if v == []}
    for field in message.value:
        assert isinstance(field, Field)
        here = f"config: line {field.line}: {field.name or 'a field without a name'}"
        if field.name not in defaults:
            raise ValueError(
                f"{here} is not known in {message.name}; known are {', '.join(defaults)}."
            )
        if isinstance(field.value, list) != isinstance(defaults[field.name], list):
            raise ValueError(f"{here} has a value of the wrong kind.")
        if isinstance(field.value, list):
            fields[field.name].append(field)
        else:
            fields[field.name] = _read_scalar(here, field.value, type(defaults[field.name]))
    return fields


def _read_scalar(here: str, text: str, kind: type) -> Any:
    if kind is bool:
        values = {"true": True, "t": True, "True": True, "1": True}
        values |= {"false": False, "f": False, "False": False, "0": False}
        if text in values:
            return values[text]
    elif "_" not in text:  # which Python takes
        with contextlib.suppress(ValueError):
            return int(text, 0) if kind is int else float(text.removesuffix("f").removesuffix("F"))
    kinds = {
        bool: "true or false",
        int: "an integer such as 90000",
        float: "a number such as .0003",
    }
    raise ValueError(f"{here} is {text!r}; write {kinds[kind]}.")
