"""Parity with the real frameworks: pip install --group parity, pytest tests/parity."""

import os

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("JAX_PLATFORMS", "cpu")


def pytest_configure(config):
    # The other frameworks' own deprecations, at import too.
    config.addinivalue_line("filterwarnings", "ignore")
