"""Runs every benchmark and writes RESULTS.md and cost.png: python -m benchmarks."""

import datetime
import importlib.metadata
import os
import platform
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
from tqdm import tqdm

from benchmarks import arrays, chart, compiled, eager, imports, on_gpu, sweep

HERE = Path(__file__).parent
PACKAGES = ["jax", "optax", "numpy", "keras", "torch", "libtpu", "jax-cuda12-plugin"]
REJECTED = """\
## Tried and rejected

- Five gathers per count, of both ends of a stage: 20 launches where the floor has 18 (a
  three-layer network with SGD); the rate of every stage at once, then one pick: 14 to 19.
- One masked reduction over all stages instead of `searchsorted` and a pick: a kernel of its own
  at every size (19 launches), because XLA does not merge it into the kernels that use the rate.
- `searchsorted` by binary search for one count: unrolled, +1 launch from 8 boundaries on and a
  program that grows with them; as a loop, a `while` in the train step.
- For a million counts: all comparisons at once beyond 32 boundaries takes 35 times the memory of
  the result and 10 times as long; the unrolled search nine times the memory; sorting 140 ms.
- `lax.cond` over "at most one stage ramps" for arrays of counts: 0.4 to 0.6 ms instead of 1.1 to
  1.8 at up to 32 stages, but a conditional makes a GPU wait for the host.
"""


def versions() -> str:
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{package} not installed")
    return ", ".join(found)


def main() -> None:
    questions = [compiled, eager, arrays, sweep, imports, on_gpu]
    tables = [table for question in tqdm(questions) for table in question.tables()]
    device = jax.devices()[0]
    head = (
        "# What a schedule costs\n\n"
        "Written by `python -m benchmarks`. Ratios are between measurements of the same run.\n\n"
        f"- date: {datetime.datetime.now(datetime.UTC).date()}\n"
        f"- machine: {platform.machine()} {platform.system()}, {os.cpu_count()} cores; default "
        f"device: {device.device_kind}\n"
        f"- Python {platform.python_version()}, {versions()}\n"
    )
    parts = [head, *(table.markdown() for table in tables), REJECTED]
    (HERE / "RESULTS.md").write_text("\n".join(parts))
    chart.draw(HERE / "cost.png")


if __name__ == "__main__":
    main()
