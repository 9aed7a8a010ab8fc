"""What does it cost to stack schedules?"""

import numpy as np

from benchmarks.tables import Table, measure, ratio
from optax_stepping import manual_stepping, stack

NUM_SCHEDULES = 1000


def tables() -> list[Table]:
    members = [
        manual_stepping([100, 200], [0.1 * (i + 1), 0.01, 0.001]) for i in range(NUM_SCHEDULES)
    ]

    def stack_leaves():
        for name in ("boundaries", "rates", "ramps"):
            np.stack([np.asarray(getattr(member, name)) for member in members])

    timings = measure({"ours": lambda: stack(members), "leaves": stack_leaves}, rounds=7)
    ours, leaves = timings["ours"], timings["leaves"]
    return [
        Table(
            f"stack of {NUM_SCHEDULES:,} schedules",
            ["stack, µs (low to high)", "numpy.stack of their leaves, µs", "ratio"],
            [[str(ours), str(leaves), ratio(ours.median, leaves.median)]],
        )
    ]


if __name__ == "__main__":
    print(*(table.markdown() for table in tables()), sep="\n")
