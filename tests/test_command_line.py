"""python -m optax_stepping, as its user calls it."""

import subprocess
import sys

import pytest
from test_view import TABLE

from optax_stepping.__main__ import main

SHOW = ["show", "--boundaries", "1000,2000,3000", "--rates", "0.1,0.05,0.01,0.005"]
WARMUP = ["--warmup-steps", "500", "--warmup-init-value", "0.001"]
PNG = b"\x89PNG\r\n"


def test_show(capsys, tmp_path):
    png = tmp_path / "schedule.png"
    main([*SHOW, *WARMUP, "--total-steps", "4000", "--png", str(png)])
    assert capsys.readouterr().out == f"{TABLE}\ndrawn: {png}\n"
    assert png.read_bytes().startswith(PNG)


def test_show_a_constant(capsys, tmp_path):
    main(["show", "--boundaries", "", "--rates", "0.1", "--png", str(tmp_path / "constant.png")])
    assert "0.1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: command"),
        (["sow"], "invalid choice: 'sow'"),
        (["show"], "write both --boundaries and --rates"),
        (["show", "--boundaries", "1,x", "--rates", "1"], "'1,x'"),
        (["show", "--boundaries", "2,1", "--rates", "1,2,3"], "boundaries[1] = 1 after"),
        (["show", "--boundaries", "2", "--rates", "1"], "got 1 rates for 1 boundaries"),
        ([*SHOW, "--total-steps", "0"], "0 is not positive"),
        ([*SHOW, "--png", "picture.pdf"], "picture.pdf does not end in .png"),
        ([*SHOW, "--png", "/nowhere/at/all.png"], "/nowhere/at/all.png"),
        ([*SHOW, "--frobnicate"], "--frobnicate"),
        ([*SHOW, "--warmup", "--warmup-steps", "3"], "exclude each other"),
        (["demo", "--steps", "many"], "'many'"),
        (["sweep", "--steps", "-1"], "-1 is not positive"),
        (["show", "--pipeline-config", "nowhere"], "there is no file 'nowhere'"),
        ([*SHOW, "--pipeline-config", "nowhere"], "brings its own"),
    ],
)
def test_bad_options_get_one_line_and_status_2(arguments, words, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == "" or arguments[0] == "show"
    assert len(captured.err.splitlines()) == 1
    assert words in captured.err


def test_show_a_pipeline_config(capsys, tmp_path):
    path = tmp_path / "pipeline.config"
    path.write_text("learning_rate { constant_learning_rate { learning_rate: 0.25 } }")
    main(["show", "--pipeline-config", str(path)])
    assert "0.25" in capsys.readouterr().out
    path.write_text("learning_rate { cosine_decay_learning_rate { } }")
    with pytest.raises(SystemExit) as exit_info:
        main(["show", "--pipeline-config", str(path)])
    assert exit_info.value.code == 2
    assert "optax.warmup_cosine_decay_schedule" in capsys.readouterr().err


def test_the_sweep(tmp_path):
    png = tmp_path / "sweep.png"
    command = [sys.executable, "-m", "optax_stepping", "sweep", "--steps", "150"]
    process = subprocess.run(
        [*command, "--output", str(png)], capture_output=True, text=True, check=True
    )
    assert png.read_bytes().startswith(PNG)
    rows = [line.split("│")[1:-1] for line in process.stdout.splitlines() if line.startswith("│")]
    losses = [float(row[3]) for row in rows]
    assert len(rows) == 10
    assert losses == sorted(losses)
    assert float(rows[0][-1].strip().rstrip("%")) >= 95


def test_the_demo(tmp_path):
    """Trains for real, as a user would start it; long enough to pass the warmup."""
    png = tmp_path / "demo.png"
    command = [sys.executable, "-m", "optax_stepping", "demo", "--steps", "1000"]
    options = ["--boundaries", "400,700", "--rates", "0.1,0.05,0.01", "--warmup-steps", "200"]
    process = subprocess.run(
        [*command, *options, "--output", str(png)], capture_output=True, text=True, check=True
    )
    assert png.read_bytes().startswith(PNG)
    assert "0.001 -> 0.1" in process.stdout
    rows = [line.split("│")[1:-1] for line in process.stdout.splitlines() if line.startswith("│")]
    assert [row[1].strip() for row in rows] == ["200", "400", "700", "1000"]
    assert float(rows[-1][-1].strip().rstrip("%")) >= 97
