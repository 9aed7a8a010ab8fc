"""Settings that must precede the import of JAX, and what several tests share."""

import contextlib
import os
from pathlib import Path

# Eight devices on the host, for the tests of sharding.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)
# The compilers for GPU and TPU that the tests bring along look for hardware; on a machine
# that has none, spare them (and the log) the search.
if not any([*Path("/dev").glob(name)] for name in ("nvidia[0-9]*", "accel*", "vfio")):
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
import pytest
from hypothesis import HealthCheck, settings

MODES = {"JAX_ENABLE_X64", "JAX_NUMPY_DTYPE_PROMOTION", "JAX_DEBUG_NANS", "JAX_CHECK_TRACER_LEAKS"}

settings.register_profile(
    "suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")


def pytest_collection_modifyitems(items):
    """Under JAX's strict modes, skips what the mode itself forbids."""
    for item in items:
        for mark in item.iter_markers("not_under"):
            if mark.args[0] in os.environ:
                item.add_marker(pytest.mark.skip(reason=mark.kwargs["reason"]))
        if isinstance(item, pytest.DoctestItem) and MODES & os.environ.keys():
            item.add_marker(pytest.mark.skip(reason="docstrings show JAX's defaults"))


def present_backends() -> list[str]:
    found = []
    for platform in ("cpu", "gpu", "tpu"):
        with contextlib.suppress(RuntimeError):
            jax.devices(platform)
            found.append(platform)
    return found


@pytest.fixture(params=present_backends())
def backend(request):
    """Every backend of this machine in turn, as the default device."""
    with jax.default_device(jax.devices(request.param)[0]):
        yield request.param
