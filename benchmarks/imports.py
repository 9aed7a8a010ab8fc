"""What does the import cost, after Optax's?"""

import statistics
import subprocess
import sys

from benchmarks.tables import Table

CODE = """
import sys, time, optax
before = set(sys.modules)
start = time.perf_counter()
import optax_stepping
elapsed = time.perf_counter() - start
new = {name.partition('.')[0] for name in set(sys.modules) - before}
third = sorted(n for n in new - set(sys.stdlib_module_names) if n != 'optax_stepping')
print(elapsed * 1e3, ','.join(third))
"""


def tables() -> list[Table]:
    runs = [
        subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
        for _ in range(7)
    ]
    times = [float(run.stdout.split()[0]) for run in runs]
    third = " ".join(runs[0].stdout.split()[1:]) or "none"
    median = statistics.median(times)
    cells = [f"{median:.1f} ({min(times):.1f} to {max(times):.1f})", third]
    return [
        Table(
            "import optax_stepping, after import optax",
            ["ms (low to high)", "new third-party modules"],
            [cells],
        )
    ]


if __name__ == "__main__":
    print(*(table.markdown() for table in tables()), sep="\n")
