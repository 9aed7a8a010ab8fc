"""What does a schedule add to a compiled train step? Kernels, estimates, compile time."""

import statistics

from benchmarks.compilers import compile_for
from benchmarks.programs import OPTIMIZERS
from benchmarks.tables import Table, ratio

BOUNDARIES = [1, 3, 7, 8, 10, 12, 13, 24, 32, 64, 256]


def job(rate, stages, optimizer="sgd", form="argument"):
    return {"rate": rate, "stages": stages, "optimizer": optimizer, "form": form}


def kernels() -> Table:
    rows = []
    for optimizer in OPTIMIZERS:
        cases = [("ours", "argument"), ("ours", "closure"), ("optax", "closure")]
        jobs = [job("floor", 3, optimizer)]
        jobs += [job(rate, n + 1, optimizer, form) for rate, form in cases for n in BOUNDARIES]
        floor, *reports = compile_for("h200", [one | {"hidden": 256} for one in jobs])
        extra = [f"{report['launches'] - floor['launches']:+d}" for report in reports]
        for i, (rate, form) in enumerate(cases):
            name = f"ours, {form}" if rate == "ours" else "Optax"
            counts = extra[i * len(BOUNDARIES) : (i + 1) * len(BOUNDARIES)]
            rows.append([f"{optimizer} ({floor['launches']})", name, *counts])
    return Table(
        "Launches on a GPU beyond a schedule that only counts, by boundaries",
        ["optimizer (its floor)", "schedule", *map(str, BOUNDARIES)],
        rows,
        "Kernels, library calls and copies in the optimised program for an H200, of a train step "
        "of a 64-256-10 network. The floor is a schedule that counts steps and returns a constant. "
        "Optax's closure has the same rates: a warmup joined to constant pieces.",
    )


def estimates() -> Table:
    sizes = [4, 64, 257]
    jobs = [job("floor", 3)] + [job(rate, n) for n in sizes for rate in ("ours", "optax")]
    floor, *reports = compile_for("v5e", jobs)
    rows = []
    for i, stages in enumerate(sizes):
        ours, optax = (r["estimate_us"] - floor["estimate_us"] for r in reports[2 * i : 2 * i + 2])
        rows.append([str(stages), f"{ours:.4f}", f"{optax:.4f}", ratio(ours, optax)])
    return Table(
        "The TPU compiler's own estimate, over the same floor",
        ["stages", "ours, µs", "Optax, µs", "ours / Optax"],
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
        few_s, many_s = (statistics.median(seconds[start::2]) for start in (0, 1))
        rows.append([rate, str(many), f"{few_s:.2f}", f"{many_s:.2f}", ratio(many_s, few_s)])
    return Table(
        "Compile time, many stages over 3",
        ["schedule", "many", "3 stages, s", "many stages, s", "many / 3 stages"],
        rows,
        "The GPU compiler, medians of 5 (Optax: once).",
    )


def tables() -> list[Table]:
    return [kernels(), estimates(), compile_time()]


if __name__ == "__main__":
    print(*(table.markdown() for table in tables()), sep="\n")
