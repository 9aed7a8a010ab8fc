"""What does a schedule add to a compiled train step? Kernels, estimates, compile time."""

import statistics

from benchmarks.compilers import compile_for
from benchmarks.tables import Table, verdict

STAGES = [2, 3, 8, 11, 16, 24, 32, 64, 1024]


def job(rate, stages, optimizer="sgd", form="argument"):
    return {"rate": rate, "stages": stages, "optimizer": optimizer, "form": form}


def kernels() -> Table:
    rows = []
    for optimizer in ("sgd", "adamw", "inject_hyperparams"):
        for form in ("argument", "closure"):
            jobs = [job("floor", 3, optimizer, form)]
            jobs += [job("ours", stages, optimizer, form) for stages in STAGES]
            jobs += [job("optax", stages, optimizer, form) for stages in (4, 65)]
            floor, *reports = compile_for("h200", jobs)
            extra = [f"{report['launches'] - floor['launches']:+d}" for report in reports]
            rows.append([optimizer, form, str(floor["launches"]), *extra])
    header = ["optimizer", "form", "floor", *(f"{stages} stages" for stages in STAGES)]
    return Table(
        "Launches on a GPU beyond a schedule that only counts",
        [*header, "Optax, 4 stages", "Optax, 65 stages"],
        rows,
        "Kernels, library calls and copies in the optimised program for an H200, of a train step "
        "of a small network. The floor counts steps and returns a constant. The same numbers "
        "hold when every stage ramps. Target: 0 up to 32 stages, at most 1 beyond. It is met up "
        "to 11 stages everywhere, and with `inject_hyperparams` up to 32. With plain SGD (from 12 "
        "stages) and AdamW (from 24), XLA's cost model prefers to compute the rate once, in a "
        "kernel of its own, to comparing 31 boundaries in every thread: one launch too many.",
    )


def estimates() -> Table:
    sizes = [4, 64, 257]
    jobs = [job("floor", 3)] + [job(rate, n) for n in sizes for rate in ("ours", "optax")]
    floor, *reports = compile_for("v5e", jobs)
    rows = []
    for i, stages in enumerate(sizes):
        ours, optax = (r["estimate_us"] - floor["estimate_us"] for r in reports[2 * i : 2 * i + 2])
        limit = 1.0 if stages == 4 else 0.1
        target = verdict(ours / optax, limit) if stages != 64 else ""
        rows.append([str(stages), f"{ours:.4f}", f"{optax:.4f}", f"{ours / optax:.3f}", target])
    return Table(
        "The TPU compiler's own estimate, over the same floor",
        ["stages", "ours, µs", "Optax, µs", "ratio", "target"],
        rows,
        f"`optimal_seconds` for a v5e; the whole step at the floor is {floor['estimate_us']:.4f} µs.",
    )


def compile_time() -> Table:
    sizes = {"ours": (3, 1024), "optax": (3, 1024)}
    rows = []
    for rate, (few, many) in sizes.items():
        # The first compilation in a process warms the compiler up. Optax's 1,023 unrolled
        # boundaries take minutes: 257 stages, once, have to do.
        many, repeats = (many, 5) if rate == "ours" else (257, 1)
        jobs = [job(rate, few)] + [job(rate, few), job(rate, many)] * repeats
        seconds = [report["compile_s"] for report in compile_for("h200", jobs)[1:]]
        ratio = statistics.median(seconds[1::2]) / statistics.median(seconds[::2])
        target = verdict(ratio, 3) if rate == "ours" else ""
        times = [f"{statistics.median(seconds[start::2]):.2f}" for start in (0, 1)]
        rows.append([rate, f"{many}", *times, f"{ratio:.2f}", target])
    return Table(
        "Compile time, many stages over 3",
        ["schedule", "many", "3 stages, s", "many stages, s", "ratio", "target"],
        rows,
        "The GPU compiler, medians of 5 (Optax: once).",
    )


def tables() -> list[Table]:
    return [kernels(), estimates(), compile_time()]


if __name__ == "__main__":
    print(*(table.markdown() for table in tables()), sep="\n")
