"""The schedule in the optimizer state: found, read and replaced."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.tree_util import KeyPath, keystr, tree_flatten_with_path, tree_map_with_path

from optax_stepping._arguments import (
    bad_kind,
    bad_value,
    check_flag,
    check_leaves,
    is_traced,
    known,
    short,
    shown,
)
from optax_stepping._live import SteppingState, is_variable, plain_leaf
from optax_stepping._schedule import SteppingSchedule, check_schedule, lost_rate, make_schedule
from optax_stepping._stack import pad


def get_state(opt_state: Any, name: str | tuple[str, ...] | None = None) -> SteppingState:
    """The one :class:`SteppingState` in an optimizer state: its count, schedule and rate.

    Works inside ``jit``, on a vmapped state, and on the state of a ``flax.nnx.Optimizer``.

    Args:
      opt_state: any tree, such as the state of an optimizer.
      name: which state, if there are several: one word of its path, or several in the order of
        the path, such as ``"learning_rate"`` or ``("decoder", "learning_rate")``. Words may be
        left out. Indices are words, too: ``("0", "1")`` in nested chains. All words of a path
        mean the state with exactly that path.

    Returns:
      The state, of plain arrays.

    Raises:
      ValueError: there is no such state, or there are several; the message lists their paths.
      TypeError: ``name`` is neither a str nor a tuple of str.

    Example:
      >>> import jax.numpy as jnp, optax, optax_stepping
      >>> schedule = optax_stepping.manual_stepping([1000], [0.1, 0.01])
      >>> state = optax_stepping.get_state(optax_stepping.scale_by_stepping(schedule).init(None))
      >>> print(state.count, state.rate)
      0 0.1
    """
    return SteppingState(*map(plain_leaf, _find(opt_state, name)[1]))


def set_schedule(
    opt_state: Any,
    schedule: SteppingSchedule,
    name: str | tuple[str, ...] | None = None,
    *,
    grow: bool = False,
) -> Any:
    """The optimizer state with another schedule: the next step uses it, at the same count.

    A jitted step is not compiled again, unless the state grows. Works inside ``jit`` too, and
    for the state of a ``flax.nnx.Optimizer`` (``optimizer.opt_state =
    set_schedule(optimizer.opt_state, new)``).

    Args:
      opt_state: any tree, such as the state of an optimizer. It is not changed.
      schedule: the new schedule, which counts from step 0 of the training. A vmapped state takes
        a stack with one for every member, or one schedule for all if its members have the same
        schedule now, or are traced. The schedule is padded to the state's number of stages and
        cast to the state's precision. Its leaves are copied: donating the state never deletes
        them.
      name: which state, as for :func:`get_state`.
      grow: True lets the schedule have more stages than the state. The step then compiles once
        more.

    Returns:
      A tree of the same structure and dtypes, and of the same shapes unless the state grew.
      Outside ``jit``, every leaf stays on its devices, in its sharding. Inside ``jit``, the
      compiler chooses the shardings, as for any result.

    Raises:
      ValueError: there is no such state, or there are several; the schedule has more stages than
        the state, or another batch shape; the members of the state differ; a rate does not fit
        into the state's precision; leaves have shapes that do not belong together.
      TypeError: ``schedule`` is not a ``SteppingSchedule``; its leaves, or those of the state,
        are not integers, floats and bools; the rates of the state are in half precision.

    Example:
      >>> import optax_stepping
      >>> from optax_stepping import manual_stepping
      >>> optimizer = optax_stepping.scale_by_stepping(manual_stepping([1000], [0.1, 0.01]))
      >>> opt_state = optimizer.init(None)
      >>> opt_state = optax_stepping.set_schedule(opt_state, manual_stepping([], [0.05]))
      >>> print(optax_stepping.get_state(opt_state).rate)
      0.05
      >>> longer = manual_stepping([500, 1000], [0.1, 0.03, 0.01])
      >>> opt_state = optax_stepping.set_schedule(opt_state, longer, grow=True)
      >>> optax_stepping.get_state(opt_state).schedule.rates.shape
      (3,)
    """
    check_schedule("schedule", schedule)
    check_flag("grow", grow)
    path, state = _find(opt_state, name)
    new = _fitted(schedule, SteppingState(*map(plain_leaf, state)), grow)
    leaves = map(_replaced, state[1:], (new.boundaries, new.rates, new.ramps))
    replaced = SteppingState(state.count, *leaves)
    return tree_map_with_path(
        lambda here, leaf: replaced if here == path else leaf, opt_state, is_leaf=_is_state
    )


def one_member(state: SteppingState) -> SteppingState:
    """The state of one member, where all are the same."""
    axes = np.ndim(state.count)
    if not axes:
        return state
    if not _agree(state, axes):
        got = f"a state of {np.shape(state.count)} members that differ"
        write = "take one member: jax.tree.map(lambda leaf: leaf[0], state)"
        raise bad_value("schedule", "be one schedule", got, write)
    return SteppingState(*(leaf[(0,) * axes] for leaf in state))


def _find(opt_state: Any, name: str | tuple[str, ...] | None) -> tuple[KeyPath, SteppingState]:
    words = (name,) if isinstance(name, str) else () if name is None else name
    if not isinstance(words, tuple) or not all(isinstance(word, str) for word in words):
        write = 'write "learning_rate" or ("decoder", "learning_rate")'
        raise bad_kind("name", "be a word or a tuple of words", shown(name), write)
    flat = tree_flatten_with_path(opt_state, is_leaf=_is_state)[0]
    states = [(path, leaf) for path, leaf in flat if isinstance(leaf, SteppingState)]
    whole = [(path, leaf) for path, leaf in states if _words(path) == words]
    found = whole or [(path, leaf) for path, leaf in states if _occur(words, _words(path))]
    if len(found) == 1:
        return found[0]
    if not states:
        raise _no_state(flat)
    if not found:
        raise bad_value("name", "occur in a path", short(name), f"there are: {_listed(states)}")
    got = f"{short(name)}, which fits {len(found)}: {_listed(found)}"
    write = f"write words of one path in their order, such as name={_words(found[0][0])}"
    raise bad_value("name", "fit one state", got, write)


def _no_state(flat: list[tuple[KeyPath, Any]]) -> ValueError:
    for path, leaf in flat:
        if isinstance(leaf, optax.ScaleByScheduleState):
            here = f"opt_state{keystr(path)}"
            return bad_value(
                "opt_state",
                "hold a SteppingState",
                f"a ScaleByScheduleState, {here}, which holds a count and no schedule",
                "to go on with the schedule in the state, make the optimizer with "
                "scale_by_stepping(schedule) in place of scale_by_learning_rate, and put "
                f"get_state(optimizer.init(params))._replace(count={here}.count) there",
            )
    return bad_value(
        "opt_state",
        "hold a SteppingState",
        "none",
        "make the optimizer with scale_by_stepping(schedule), or with optax.inject_hyperparams "
        "and stateful(schedule), and restore a checkpoint into such a state",
    )


def _is_state(tree: Any) -> bool:
    return isinstance(tree, SteppingState | optax.ScaleByScheduleState)


def _words(path: KeyPath) -> tuple[str, ...]:
    return tuple(map(_word, path))


def _word(key: Any) -> str:
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)


def _occur(words: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Whether all words stand in the path, in their order."""
    rest = iter(path)
    return all(word in rest for word in words)


def _listed(states: list[tuple[KeyPath, SteppingState]]) -> str:
    paths = [f"opt_state{keystr(path)}" for path, _ in states]
    return ", ".join(paths if len(paths) <= 6 else [*paths[:6], "..."])


def _fitted(schedule: SteppingSchedule, state: SteppingState, grow: bool) -> SteppingSchedule:
    """The schedule in the shapes and dtypes of the state, or a refusal."""
    _check_dtypes(schedule, state)
    room, stages = state.rates.shape[-1], schedule.rates.shape[-1]
    if stages > room and not grow:
        raise bad_value(
            "schedule",
            f"fit into the {room} stages of the state",
            f"{stages} stages",
            "write set_schedule(..., grow=True), which compiles the step once more, or start the "
            f"training with pad(schedule, num_stages={stages}) or more",
        )
    _check_members(schedule, state)
    padded = pad(schedule, max(room, stages))

    def fitted(leaf: Any, like: Any) -> Any:
        xp = jnp if is_traced(leaf) else np
        with np.errstate(all="ignore"):
            cast = known(leaf).astype(like.dtype)
        return xp.broadcast_to(cast, (*like.shape[:-1], leaf.shape[-1]))

    new = SteppingSchedule(*map(fitted, vars(padded).values(), state[1:]))
    lost = "" if is_traced(schedule.rates) else lost_rate(known(padded.rates), new.rates)
    if lost:
        must = f"have rates that fit into {state.rates.dtype}, the dtype of the state"
        raise bad_value("schedule", must, lost, "write rates closer to 1")
    return make_schedule(*vars(new).values())


def _check_dtypes(schedule: SteppingSchedule, state: SteppingState) -> None:
    check_leaves("the schedule of the state", *state[1:])
    for field, leaf in (("boundaries", state.boundaries), ("rates", state.rates)):
        if leaf.dtype.itemsize < 4:
            raise bad_kind(
                "opt_state",
                "hold its schedule in 32 bits or more",
                f"{field} of {leaf.dtype}",
                "leave the SteppingState out where a state is cast to half precision, and put "
                "get_state(optimizer.init(params))._replace(count=...) in place of this one",
            )
    if schedule.ramps.dtype != bool:
        write = "write schedule.replace(ramps=schedule.ramps.astype(bool))"
        raise bad_kind("schedule", "have bools as ramps", schedule.ramps.dtype, write)


def _check_members(schedule: SteppingSchedule, state: SteppingState) -> None:
    batch, members = schedule.rates.shape[:-1], state.rates.shape[:-1]
    if batch == members:
        return
    if batch:
        write = "write stack([...]) with a schedule for every member of the state"
        raise bad_value("schedule", f"have the batch shape {members} of the state", batch, write)
    if not _agree(state[1:], len(members)):
        must = f"be a stack of batch shape {members}, as the members of the state differ"
        write = "write stack([...]) with a schedule for every member of the state"
        raise bad_value("schedule", must, "one schedule", write)


def _agree(leaves: Sequence[jax.Array], axes: int) -> bool:
    """Whether the members along the first axes are the same, as far as they are known."""
    arrays = [np.asarray(known(leaf)) for leaf in leaves if not is_traced(leaf)]
    return all((array == array[(slice(1),) * axes]).all() for array in arrays)


def _replaced(old: Any, new: jax.Array) -> Any:
    """``new`` in the place of ``old``: on its devices, in its variable."""
    if is_variable(old):
        return old.replace(_replaced(old.__jax_array__(), new))
    committed = isinstance(old, jax.Array) and not is_traced(old) and old.committed
    return jax.device_put(new, old.sharding) if committed else new
