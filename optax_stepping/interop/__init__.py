"""Schedules of other frameworks, with the same rate at every step.

No other framework is imported. A copy of a PyTorch scheduler is stepped. Other recipes are read and
stepped by the formulas of their framework.
"""

from optax_stepping.interop._detectron2 import from_detectron2
from optax_stepping.interop._mmengine import from_mmengine
from optax_stepping.interop._tf_object_detection import from_tf_object_detection
from optax_stepping.interop._torch import from_torch

__all__ = ["from_detectron2", "from_mmengine", "from_tf_object_detection", "from_torch"]
