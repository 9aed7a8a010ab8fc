"""Imports of optional dependencies, made when they are used."""

import importlib
from types import ModuleType


def import_extra(module: str, *, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f"{package} is needed for this and not installed; run "
            f"pip install 'optax-stepping[{extra}]'."
        ) from error
