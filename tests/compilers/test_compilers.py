"""The real GPU and TPU compilers take a train step with a schedule, and add little to it."""

import platform
import re
import sys

import pytest

from benchmarks.compilers import TARGETS, compile_for

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="the compilers for GPU and TPU exist for Linux on x86-64 only",
)

COLLECTIVES = r"all-reduce|all-gather|all-to-all|collective|reduce-scatter"
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
    sizes = [1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13, 15, 16, 24, 31, 32, 33, 64, 256, 1023, 8191]
    cases = [(rate, n + 1) for rate in ("ours", "ramps") for n in sizes]
    jobs += [job(rate, optimizer=optimizer, form=form, stages=n) for rate, n in cases]
    floor, *reports = compile_for("h200", jobs)
    for (rate, stages), report in zip(cases, reports, strict=True):
        limit = 0 if stages <= 13 else 1
        assert report["launches"] - floor["launches"] <= limit, (rate, stages)


def test_tpu_estimate_over_the_floor():
    cases = [("ours", 4), ("optax", 4), ("ours", 257), ("optax", 257)]
    jobs = [job("floor"), *(job(rate, stages=stages) for rate, stages in cases)]
    floor, *reports = compile_for("v5e", jobs)
    ours, peer, ours_257, peer_257 = (r["estimate_us"] - floor["estimate_us"] for r in reports)
    assert ours < peer
    assert ours_257 < peer_257 / 10


def test_a_sweep_compiles_for_16_tpu_chips():
    """Sharded over a v5e 4x4: each chip trains its share, and none talks to another."""
    (report,) = compile_for("v5e:4x4", [job(form="sweep", stages=4)])
    assert report["devices"] == 16
    assert not any(re.search(COLLECTIVES, op) for op in report["ops"])
    assert report["output_share"] == 1 / 16
