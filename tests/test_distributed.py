"""Two real processes, joined by jax.distributed over the loopback interface."""

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np

from optax_stepping import manual_stepping

SCRIPT = Path(__file__).with_name("distributed_process.py")
INPUTS = np.linspace(-1, 1, 48).reshape(16, 3)


def test_two_processes_agree():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    commands = [[sys.executable, str(SCRIPT), str(i), port] for i in range(2)]
    processes = [subprocess.Popen(command, **pipes) for command in commands]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    first, second = (
        [line for line in out.splitlines() if line.startswith("result")] for out, _ in outputs
    )
    assert first == second
    schedule = manual_stepping([6, 12], [0.5, 0.25, 0.125], warmup_steps=4)
    *rates, params = first[0].split()[1:]
    assert rates == [np.asarray(schedule(count)).tobytes().hex() for count in range(16)]
    alone, trace = np.zeros(3), np.zeros(3)
    for count in range(16):  # the same training in NumPy
        trace = 0.9 * trace + INPUTS.T @ (INPUTS @ alone - 1) / 8
        alone -= float(schedule(count)) * trace
    params = np.frombuffer(bytes.fromhex(params), schedule.rates.dtype)
    np.testing.assert_allclose(params, alone, 1e-5, 1e-6)
