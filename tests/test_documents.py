"""The documents say what is so: their code runs, their links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "benchmarks/RESULTS.md",
    "tests/README.md",
]


def test_the_code_of_the_readme_runs(capsys):
    """In one session, from top to bottom."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 5
    session = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), session)
    printed = capsys.readouterr().out
    assert "0.0 -> 0.1" in printed
    assert "0.05 [0.   0.1  0.05]" in printed


def test_the_quickstart_is_short():
    quickstart = README.split("## Quickstart")[1]
    block = re.search(r"```python\n(.*?)```", quickstart, re.DOTALL)[1]
    assert len(block.splitlines()) <= 15


def test_the_set_up_commands_are_one_line_each():
    commands = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    assert [len(command.splitlines()) for command in commands] == [1, 1]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    document = ROOT / name
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target
