"""A run that is killed again and again ends with the bits of an undisturbed one."""

import pickle
import random
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("training_process.py")
STEPS = 1500
KILLS = 20


def start(directory):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(directory), str(STEPS)], stdout=subprocess.PIPE, text=True
    )


def test_killed_at_random_points(tmp_path):
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    undisturbed.mkdir()
    disturbed.mkdir()
    with start(undisturbed) as process:
        process.communicate()
    rng = random.Random(0)
    for _ in range(KILLS):
        with start(disturbed) as process:
            lines = rng.randrange(1, 60)
            for _ in range(lines):
                assert process.stdout.readline(), "finished before it was killed often enough"
            process.kill()
    with start(disturbed) as process:
        process.communicate()
    assert process.returncode == 0
    results = [pickle.loads((d / "result").read_bytes()) for d in (undisturbed, disturbed)]
    assert results[0] == results[1]
    assert len(results[0][1]) == 4 * STEPS
