"""Changes the package in one place at a time, and runs the tests that run this place.

python .ci/mutants.py [--sample N] [MODULE ...], in an environment with `.[test]` and the groups
parity and coverage. Prints each change that no test notices, and how many are noticed.
"""

import argparse
import ast
import contextlib
import gc
import importlib
import importlib.machinery
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

SWAPPED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.USub: ast.UAdd,
}  # fmt: skip
# Imported once, before the forks: it takes longer than most tests.
IMPORTED = """
chex equinox flax.nnx fvcore.common.param_scheduler haiku jax.numpy keras matplotlib.pyplot
mmengine.optim omegaconf optax orbax.checkpoint torch xdist.plugin yaml
"""
SECONDS_A_TEST = 180
LEAST_SHARE = 0.85

seconds = defaultdict(float)  # that each test took, when this file is a plugin of pytest


def pytest_runtest_setup():
    import jax

    jax.clear_caches()  # every test traces anew, and so runs the lines that its programs come from


def pytest_runtest_logreport(report):
    seconds[report.nodeid] += report.duration


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        Path(os.environ["SECONDS"]).write_text(json.dumps(seconds))


def find_tests():
    """Per file and line, the tests that run it; and per test, its seconds."""
    import coverage

    ran, took = defaultdict(lambda: defaultdict(set)), {}
    for suite in "tests", "tests/parity":
        options = ["-p", "mutants", "--cov=optax_stepping", "--cov-context=test", "--cov-report="]
        command = [sys.executable, "-m", "pytest", "-q", *options, "optax_stepping", suite]
        subprocess.run(command, check=True)
        took |= json.loads(Path(os.environ["SECONDS"]).read_text())
        found = coverage.CoverageData(os.environ["COVERAGE_FILE"])
        found.read()
        for file in found.measured_files():
            lines = ran[Path(file).relative_to(Path.cwd())]
            for line, contexts in found.contexts_by_lineno(file).items():
                lines[line] |= {context.rpartition("|")[0] for context in contexts} - {""}
    return ran, took


def changes_in(tree):
    """(place, node, field, what the field becomes): one change each."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(ops=[op]) if type(op) in SWAPPED:
                yield node, node, "ops", [SWAPPED[type(op)]()]
            case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.UnaryOp(op=op) if type(op) in SWAPPED:
                yield node, node, "op", SWAPPED[type(op)]()
            case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
                yield test, node, "test", ast.UnaryOp(ast.Not(), test)
            case ast.For(iter=items):
                yield items, node, "iter", ast.Tuple([], ast.Load())
            case ast.Expr(value=ast.Call() as call):
                yield call, node, "value", ast.Constant(None)
            case ast.Constant(value=bool(value)):
                yield node, node, "value", not value
            case ast.Constant(value=int(value) | float(value)):
                yield node, node, "value", value + 1


def changes_of(path, lines):
    """(description, file, its changed code, the tests that run the place): one change each."""
    tree = ast.parse(path.read_text())
    for place, node, field, new in changes_in(tree):
        tests = set().union(*(lines[n] for n in range(place.lineno, place.end_lineno + 1)))
        # What runs at import only, such as a default, concerns every test of the file.
        tests = tests or set().union(*lines.values())
        before, old = ast.unparse(place), getattr(node, field)
        setattr(node, field, new)
        code = compile(ast.fix_missing_locations(tree), path, "exec")
        after = ast.unparse(node if place is node else new)
        setattr(node, field, old)
        where = f"{path}:{place.lineno}:{place.col_offset + 1}"
        yield f"{where}: {before} -> {after}", path, code, tests


class Limit:
    def pytest_runtest_setup(self):
        signal.alarm(SECONDS_A_TEST)  # ends the process: as good as a failure


def start(arguments, path=None, code=None):
    """A process that runs pytest, with this code in place of the file's."""
    if child := os.fork():
        return child
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        loader, file = importlib.machinery.SourceFileLoader, path and str(path.resolve())
        get_code = loader.get_code
        loader.get_code = lambda self, name: code if self.path == file else get_code(self, name)
        options = ["-x", "-q", "-n0", "-pno:cacheprovider", f"--basetemp={tempfile.mkdtemp()}"]
        options += ["--assert=plain"]  # pytest would compile a file with a doctest anew
        os._exit(importlib.import_module("pytest").main([*options, *arguments], [Limit()]))
    finally:  # never back into the parent's code
        os._exit(1)


def wait():
    """The process that ended, and whether its tests passed."""
    child, status = os.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what the tests began
    return child, status == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, help="so many changes, drawn at random; or else all")
    parser.add_argument("modules", nargs="*", type=Path, help="files of the package; or else all")
    arguments = parser.parse_args()
    folder = tempfile.TemporaryDirectory()
    os.environ |= {
        "KERAS_BACKEND": "jax",
        "PYTHONPATH": f"{Path('.ci').resolve()}",
        "TMPDIR": folder.name,
        "COVERAGE_FILE": f"{folder.name}/coverage",
        "SECONDS": f"{folder.name}/seconds",
        # Most programs are the same after a change.
        "JAX_COMPILATION_CACHE_DIR": f"{folder.name}/programs",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    ran, took = find_tests()
    changes = [c for path in arguments.modules or sorted(ran) for c in changes_of(path, ran[path])]
    if arguments.sample:
        changes = random.sample(changes, min(arguments.sample, len(changes)))

    import hypothesis

    for name in IMPORTED.split():
        importlib.import_module(name)
    # The tests' profile inherits this: any counterexample will do, and to shrink one takes long.
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile("any", phases=phases)
    hypothesis.settings.load_profile("any")
    gc.freeze()  # what is imported: pytest collects garbage at every end

    start(["--collect-only", *took])
    if not wait()[1]:
        sys.exit("pytest does not find the tests by their names.")
    running, survived = {}, 0
    for number, (description, path, code, tests) in enumerate(changes, 1):
        running[start(sorted(tests, key=took.get), path, code)] = description
        while len(running) == os.cpu_count() or (running and number == len(changes)):
            child, passed = wait()
            description = running.pop(child)
            if passed:
                survived += 1
                print(description, flush=True)
    noticed = len(changes) - survived
    print(f"{noticed} of {len(changes)} changes are noticed")
    sys.exit(noticed < LEAST_SHARE * len(changes))


if __name__ == "__main__":
    main()
