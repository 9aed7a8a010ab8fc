"""Piecewise learning-rate schedules as data, for JAX and Optax."""

from optax_stepping import interop
from optax_stepping._edit import get_state, set_schedule
from optax_stepping._function import from_function
from optax_stepping._join import join, shift, stretch
from optax_stepping._live import SteppingState, scale_by_stepping, stateful
from optax_stepping._manual_stepping import manual_stepping
from optax_stepping._runtime_check import check
from optax_stepping._schedule import SteppingSchedule, as_function
from optax_stepping._stack import pad, stack, unpad, unstack
from optax_stepping._table import from_table
from optax_stepping._view import describe, plot, to_dict

__version__ = "0.1.0"

__all__ = [
    "SteppingSchedule",
    "SteppingState",
    "as_function",
    "check",
    "describe",
    "from_function",
    "from_table",
    "get_state",
    "interop",
    "join",
    "manual_stepping",
    "pad",
    "plot",
    "scale_by_stepping",
    "set_schedule",
    "shift",
    "stack",
    "stateful",
    "stretch",
    "to_dict",
    "unpad",
    "unstack",
]
