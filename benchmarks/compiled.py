"""What does a schedule add to a compiled train step? Kernels, estimates, compile time."""

import statistics

from benchmarks.compilers import compile_for
from benchmarks.tables import Table, ratio

STAGES = [2, 4, 11, 16, 33, 34, 64, 1024, 8192]


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
        "of a small network. The floor counts steps and returns a constant.",
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
