"""The documents say what is so: their code runs, their links lead somewhere."""

import re
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.not_under(
    "JAX_NUMPY_DTYPE_PROMOTION", reason="Adam raises a float to an int"
)

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
GUIDES = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/guides/*.md"))
WITH_CODE = ["README.md", "docs/index.md", *GUIDES]
NEIGHBORS = sorted(path.name for path in ROOT.glob("[!R]*.md"))
OTHERS = [*NEIGHBORS, "benchmarks/RESULTS.md", "tests/README.md"]
BLOCKS = [
    (name, block)
    for name in WITH_CODE
    for block in re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)
]


@pytest.mark.parametrize(("name", "block"), BLOCKS)
def test_every_block_of_code_runs_on_its_own(name, block, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    exec(compile(block, name, "exec"), {})


def test_the_quickstart_is_short_and_prints_what_it_says(capsys):
    assert len(BLOCKS) >= 8
    _, quickstart = BLOCKS[0]
    assert quickstart in README.split("## Quickstart")[1]
    assert len(quickstart.splitlines()) <= 15
    exec(quickstart, {})
    printed = capsys.readouterr().out
    assert "0 -> 0.1" in printed
    assert "0.05 [0.   0.1  0.05]" in printed


def test_the_set_up_commands_are_one_line_each():
    commands = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    assert {len(command.splitlines()) for command in commands} == {1}


@pytest.mark.parametrize("name", WITH_CODE + OTHERS)
def test_links_lead_somewhere(name):
    document = ROOT / name
    for target in re.findall(r"\]\(([^)#]+)[)#]", document.read_text()):
        if not target.startswith("https://"):
            assert (document.parent / target).exists(), target
