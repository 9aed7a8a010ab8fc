"""The README's chart: cost over the number of stages, ours and the peers'."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.compilers import compile_for
from benchmarks.eager import peers
from benchmarks.tables import measure

STAGES = [2, 4, 16, 64, 256]


def draw(path: Path) -> None:
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    calls, estimates = figure.subplots(1, 2)
    timings = [measure(peers(stages - 1), seconds=0.02, rounds=5) for stages in STAGES]
    names = {"ours (array)": "optax-stepping", "Optax": "Optax", "Keras (JAX)": "Keras (JAX)",
             "torch, step()": "PyTorch, step()", "identity, jitted (array)": "a jitted identity"}  # fmt: skip
    for name, label in names.items():
        if name in timings[0]:
            style = {"lw": 2.5} if "ours" in name else {"lw": 1, "ls": "--"}
            calls.plot(STAGES, [t[name].median for t in timings], marker=".", label=label, **style)
    calls.set(
        xscale="log", yscale="log", xlabel="stages", ylabel="µs", title="one eager call (CPU)"
    )
    calls.legend(fontsize=8)
    common = {"optimizer": "sgd", "form": "argument"}
    jobs = [{"rate": "floor", "stages": 3} | common]
    jobs += [{"rate": rate, "stages": n} | common for rate in ("ours", "optax") for n in STAGES[1:]]
    floor, *reports = (report["estimate_us"] for report in compile_for("v5e", jobs))
    extra = np.array(reports).reshape(2, -1) - floor
    estimates.plot(STAGES[1:], extra[0], marker=".", lw=2.5, label="optax-stepping")
    estimates.plot(STAGES[1:], extra[1], marker=".", lw=1, ls="--", label="Optax", color="C1")
    estimates.set(xscale="log", yscale="log", xlabel="stages", ylabel="µs")
    estimates.set(title="added to a train step (TPU v5e, estimate)")
    estimates.legend(fontsize=8)
    figure.savefig(path, dpi=120)
