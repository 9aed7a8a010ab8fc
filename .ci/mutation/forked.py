"""Cosmic Ray, with the tests of every change in a fork of one process that has JAX imported.

python forked.py baseline|exec ...: as `cosmic-ray`; its test command is what pytest is given. To
import JAX and the frameworks takes longer than most tests that notice a change.
"""

import contextlib
import gc
import importlib
import os
import shlex
import signal
import sys
import tempfile
import traceback

import cosmic_ray.cli
import cosmic_ray.mutating
import hypothesis
import pytest
from cosmic_ray.work_item import TestOutcome
from hypothesis import Phase

IMPORTED = """
chex equinox flax.nnx fvcore.common.param_scheduler haiku hypothesis jax.numpy keras
matplotlib.pyplot mmengine.optim omegaconf optax orbax.checkpoint torch xdist.plugin yaml
"""


def run_tests(arguments: str, timeout: float) -> tuple[TestOutcome, str]:
    """The outcome, and what pytest wrote."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        child = os.fork()
        if not child:
            try:
                os.setsid()
                signal.alarm(int(timeout))  # ends the child: as good as a failure
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                os._exit(pytest.main(shlex.split(arguments)))
            finally:  # never back into the parent's code
                traceback.print_exc()
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # processes that the tests began
        output.seek(0)
        return TestOutcome.KILLED if status else TestOutcome.SURVIVED, output.read()


if __name__ == "__main__":
    for name in IMPORTED.split():
        importlib.import_module(name)
    # The tests' profile inherits this: any counterexample will do, and to shrink one takes long.
    hypothesis.settings.register_profile("any", phases=[Phase.explicit, Phase.generate])
    hypothesis.settings.load_profile("any")
    gc.freeze()  # what is imported: pytest collects garbage at every end
    cosmic_ray.mutating.run_tests = run_tests
    sys.exit(cosmic_ray.cli.main())
