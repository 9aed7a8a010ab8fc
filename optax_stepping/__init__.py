"""Learning rates stepped by hand, as data: manual_stepping for JAX and Optax."""

from optax_stepping import interop
from optax_stepping._manual_stepping import manual_stepping
from optax_stepping._schedule import SteppingSchedule
from optax_stepping._stack import pad, stack, unpad, unstack
from optax_stepping._stateful import SteppingState, stateful
from optax_stepping._view import describe, plot

__all__ = [
    "SteppingSchedule",
    "SteppingState",
    "describe",
    "interop",
    "manual_stepping",
    "pad",
    "plot",
    "stack",
    "stateful",
    "unpad",
    "unstack",
]
