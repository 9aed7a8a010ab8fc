"""The real GPU and TPU compilers take a train step with a schedule, and add little to it."""

import platform
import sys

import pytest

from benchmarks.compilers import TARGETS, compile_for

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="the compilers for GPU and TPU exist for Linux on x86-64 only",
)

FORBIDDEN = {"while", "infeed", "outfeed", "send", "recv", "conditional"}


def job(rate="ours", *, optimizer="sgd", form="argument", stages=3):
    return {"rate": rate, "optimizer": optimizer, "form": form, "stages": stages}


@pytest.mark.parametrize("target", TARGETS)
def test_train_steps_compile_without_loops_or_host(target):
    jobs = [
        job(optimizer=optimizer, form=form, stages=stages)
        for optimizer in ("sgd", "inject_hyperparams")
        for form, stages in (("argument", 4), ("vmap", 4), ("argument", 1024), ("vmap", 64))
    ]
    for this, report in zip(jobs, compile_for(target, jobs), strict=True):
        assert not FORBIDDEN & report["ops"].keys(), this
        assert not any("host" in op or "callback" in op for op in report["ops"]), this
        assert report["ops"]["fusion"] > 0, this


@pytest.mark.parametrize("form", ["argument", "closure"])
@pytest.mark.parametrize("optimizer", ["sgd", "inject_hyperparams", "adamw"])
def test_gpu_launches_over_the_floor(optimizer, form):
    jobs = [job("floor", optimizer=optimizer)]
    cases = [("ours", 2), ("ours", 3), ("ours", 8), ("ours", 64), ("ours", 1024)]
    cases += [("ramps", 3), ("ramps", 64), ("ramps", 1024)]
    jobs += [job(rate, optimizer=optimizer, form=form, stages=n) for rate, n in cases]
    floor, *reports = compile_for("h200", jobs)
    for (rate, stages), report in zip(cases, reports, strict=True):
        limit = 0 if stages <= 8 else 1
        assert report["launches"] - floor["launches"] <= limit, (rate, stages)
        assert report["copies"] <= floor["copies"], (rate, stages)


def test_tpu_estimate_over_the_floor():
    cases = [("ours", 4), ("optax", 4), ("ours", 257), ("optax", 257)]
    jobs = [job("floor"), *(job(rate, stages=stages) for rate, stages in cases)]
    floor, *reports = compile_for("v5e", jobs)
    ours_4, optax_4, ours_257, optax_257 = (
        report["estimate_us"] - floor["estimate_us"] for report in reports
    )
    assert ours_4 < optax_4
    assert ours_257 < optax_257 / 10
