"""The real GPU and TPU compilers on a machine that has neither: they compile, nothing runs.

``compile_for(target, jobs)`` compiles train steps (see ``programs.make_program``) in a
process of its own, because the compilers read their environment when JAX is imported, and
reports what the optimised programs consist of.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

TPU_TOPOLOGIES = {"v4": "v4:2x2x1", "v5e": "v5e:2x2", "v5p": "v5p:2x2x1", "v6e": "v6e:2x2"}
TARGETS = ["h200", *TPU_TOPOLOGIES]

# What the GPU compiler has to know of the device, as a text-format GpuTargetConfigProto.
H200 = """
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 4800000000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: 151397597184
  shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 }
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 }
device_description_str: "NVIDIA H200"
"""

ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu,cuda",
    "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "TPU_HOST_BOUNDS": "1,1,1",
    "TPU_CHIPS_PER_HOST_BOUNDS": "2,2,1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def compile_for(target: str, jobs: list[dict]) -> list[dict]:
    """Compiles every job and reports, per job, ``ops`` (how often each op stands in the
    program), ``launches`` (fusions, library calls and copies of its entry: a GPU launches each
    once), ``copies`` among them, ``estimate_us`` (the TPU compiler's own
    estimate), ``compile_s``, ``devices`` and ``output_share`` (the largest share
    of a result that one device holds)."""
    environment = os.environ | ENVIRONMENT
    environment.pop("XLA_FLAGS", None)
    if target != "h200":
        environment["JAX_PLATFORMS"] = "cpu"
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.compilers", target],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
        env=environment,
    )
    if process.returncode:
        raise RuntimeError(f"compiling for {target} failed:\n{process.stderr[-4000:]}")
    return json.loads(process.stdout.splitlines()[-1])


def get_topology(target: str):
    from jax.experimental import topologies

    if target == "h200":
        return topologies.get_topology_desc(
            topology_name="h200", platform="cuda", topology="1x1x1", target_config=H200
        )
    return topologies.get_topology_desc(TPU_TOPOLOGIES.get(target, target), platform="tpu")


def report(compiled, seconds: float) -> dict:
    text = compiled.as_text()
    start = text.index("\nENTRY")
    entry = Counter(re.findall(r" ([a-z][a-z-]*)\(", text[start : text.index("\n}", start)]))
    cost = compiled.cost_analysis() or {}
    copies = entry["copy"] + entry["copy-start"]
    return {
        "ops": Counter(re.findall(r" ([a-z][a-z-]*)\(", text)),
        "launches": entry["fusion"] + entry["custom-call"] + copies,
        "copies": copies,
        "estimate_us": cost.get("optimal_seconds", float("nan")) * 1e6,
        "compile_s": seconds,
    }


def main() -> None:
    import jax
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    from benchmarks.programs import make_program

    devices = get_topology(sys.argv[1]).devices
    reports = []
    for job in json.load(sys.stdin):
        function, arguments = make_program(job)
        used = devices if job["form"] == "sweep" else devices[:1]
        mesh = Mesh(np.array(used), "device")
        replicated = NamedSharding(mesh, PartitionSpec())
        spread = NamedSharding(mesh, PartitionSpec("device"))
        members = spread if job["form"] == "sweep" else replicated
        lowered = jax.jit(
            function,
            in_shardings=(members, members, members, replicated, replicated),
            out_shardings=members,
        ).lower(*arguments)
        start = time.perf_counter()
        compiled = lowered.compile()
        seconds = time.perf_counter() - start
        shares = {
            sharding.shard_shape(leaf.shape)[0] / leaf.shape[0]
            for sharding, leaf in zip(
                jax.tree.leaves(compiled.output_shardings),
                jax.tree.leaves(lowered.out_info),
                strict=True,
            )
            if leaf.shape
        }
        extent = {"devices": len(used), "output_share": max(shares)}
        reports.append(report(compiled, seconds) | extent)
    print(json.dumps(reports))


if __name__ == "__main__":
    main()
