"""python -m optax_stepping, as its user calls it."""

import pytest
from test_view import TABLE

from optax_stepping import __main__, __version__, describe, manual_stepping
from optax_stepping.__main__ import main

SHOWN = "show --boundaries 1000,2000,3000 --rates 0.1,0.05,0.01,0.005"
PNG = b"\x89PNG\r\n"


def test_show(capsys, tmp_path):
    png = tmp_path / "schedule.png"
    warmup = "--warmup-steps 500 --warmup-init-value 0.001 --total-steps 4000"
    main([*SHOWN.split(), *warmup.split(), "--png", str(png)])
    assert capsys.readouterr().out == f"{TABLE}\ndrawn: {png}\n"
    assert png.read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ("--boundaries 9 --rates 0.1,0.01", describe(manual_stepping([9], [0.1, 0.01]))),
        ("--boundaries 9 --rates 0.1,0.01 --warmup", describe(manual_stepping([9], [0.1, 0.01], True))),
        ("--boundaries 1e3 --rates 1e-1,2 --warmup-steps 5e1", describe(manual_stepping([1000], [0.1, 2], warmup_steps=50))),
        ("--boundaries= --rates 0.1 --total-steps 1", describe(manual_stepping([], [0.1]), 1)),
    ],
)  # fmt: skip
def test_options_are_those_of_manual_stepping(arguments, meant, capsys):
    main(["show", *arguments.split()])
    assert capsys.readouterr().out == f"{meant}\n"


@pytest.mark.parametrize(
    ("boundaries", "rates", "total_steps"), [("50,100", "3,2,1", 120), ("", "1", 1)]
)
def test_the_last_stage_is_a_sixth_of_the_picture(
    boundaries, rates, total_steps, tmp_path, monkeypatch
):
    drawn = []
    monkeypatch.setattr(__main__, "plot", lambda schedule, steps, axes: drawn.append(steps))
    png = str(tmp_path / "schedule.png")
    main(["show", "--boundaries", boundaries, "--rates", rates, "--png", png])
    assert drawn == [total_steps]


BAD = [
    ("sow", "invalid choice: 'sow'"), ("show --frobnicate", "--frobnicate"),
    ("show", "write --boundaries and --rates, or --pipeline-config FILE, or --detectron2"),
    ("show --boundaries 1,2", "write --boundaries and --rates"),
    ("show --boundaries 1,x --rates 1", "--boundaries: 'x' in '1,x' is not a num"),
    ("show --boundaries 2,1 --rates 1,2,3", "boundaries[1] = 1 after"),
    ("show --boundaries 1.5 --rates 1,2", "boundaries[0] must be an integer"),
    ("show --boundaries 2 --rates 1", "got 1 rates for 1 boundaries"),
    ("show --boundaries 2 --rates 1,nan", "rates[1] must be finite, got nan"),
    ("show --detectron2 F --pipeline-config F", "--detectron2 has no effect bes"),
    ("show --detectron2 nowhere", "there is no file 'nowhere'"), ("show --pipeline-config nowhere", "there is no file 'nowhere'"),
    ("show --pipeline-config F --warmup-steps 500", "--warmup-steps has no eff"),
    ("show --pipeline-config F --interpolate", "--interpolate has no effect"),
    (f"{SHOWN} --total-steps 0", "0 is not a positive whole number"), (f"{SHOWN} --total-steps 1.5", "1.5 is not a positive whole number"),
    (f"{SHOWN} --tolerance 1e-3", "--tolerance has no effect on stages that are written by"),
    (f"{SHOWN} --detectron2 F", "--boundaries has no effect beside --detectron2"),
    (f"{SHOWN} --png picture.pdf", "picture.pdf does not end in .png"), (f"{SHOWN} --png /nowhere/at/all.png", "there is no folder '/nowhere/at'"),
    (f"{SHOWN} --warmup --warmup-steps 3", "not be given together"), (f"{SHOWN} --warmup-steps 1000", "warmup_steps = 1000"),
    (f"{SHOWN} --warmup-steps x", "--warmup-steps"), (f"{SHOWN} --warmup-init-value 0.1", "no effect without --warmup-steps"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "words"), BAD)
def test_bad_options_get_one_line_and_status_2(arguments, words, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(arguments.split())
    captured = capsys.readouterr()
    assert (exit_info.value.code, captured.out) == (2, "")
    assert len(captured.err.splitlines()) == 1
    assert words in captured.err


def test_what_is_printed_about_the_program(capsys):
    main([])
    assert capsys.readouterr().out.startswith("usage: python -m optax_stepping [-h] [--version]")
    with pytest.raises(SystemExit) as exit_info:
        main(["--version"])
    assert exit_info.value.code == 0
    assert capsys.readouterr().out == f"optax-stepping {__version__}\n"


COSINE = "learning_rate { cosine_decay_learning_rate { total_steps: 900 warmup_steps: 0 } }"
SMOOTH = "learning_rate { exponential_decay_learning_rate { staircase: false } }"
SOLVER = "SOLVER: {LR_SCHEDULER_NAME: WarmupCosineLR, MAX_ITER: 900, WARMUP_ITERS: 0}"


@pytest.mark.parametrize(
    ("option", "text", "more", "advice"),
    [
        ("--pipeline-config", COSINE, ["--tolerance", "1e-3"], "--tolerance 1e-3"),
        ("--pipeline-config", COSINE, ["--tolerance", "1e-3", "--total-steps", "700"], ""),
        ("--pipeline-config", SMOOTH, ["--tolerance", "1e-3", "--total-steps", "700"], "--total-steps 9"),
        ("--detectron2", SOLVER, ["--tolerance", "1e-3"], "--tolerance 1e-3"),
    ],
)  # fmt: skip
def test_show_a_curve(option, text, more, advice, capsys, tmp_path):
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(SystemExit) as exit_info:
        main(["show", option, str(path)])
    assert exit_info.value.code == 2
    assert advice in capsys.readouterr().err
    main(["show", option, str(path), *more])
    end = "700" if "700" in more else "900" if option == "--detectron2" else "-"
    assert capsys.readouterr().out.splitlines()[-1].split()[2] == end


def test_calls_to_write_in_python_keep_their_arguments(capsys, tmp_path):
    path = tmp_path / "solver.prototxt"
    path.write_text('base_lr: 0.01 lr_policy: "poly" power: 0.9 max_iter: 20000')
    with pytest.raises(SystemExit):
        main(["show", "--pipeline-config", str(path)])
    assert ", total_steps=20000, tolerance=1e-3)" in capsys.readouterr().err


def test_the_length_of_training_of_a_config(capsys, tmp_path):
    path = tmp_path / "pipeline.config"
    path.write_text(
        "train_config { num_steps: 1500 optimizer { momentum_optimizer { learning_rate {"
        " constant_learning_rate { learning_rate: 0.25 } } } } }"
    )
    main(["show", "--pipeline-config", str(path)])
    assert "1500" in capsys.readouterr().out
    main(["show", "--pipeline-config", str(path), "--total-steps", "70"])
    assert "1500" not in capsys.readouterr().out
