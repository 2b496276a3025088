"""The command `chainrule explain`."""

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from chainrule.cli import app, main
from chainrule.errors import ChainruleError

ROOT = Path(__file__).parent.parent
STAGES = f"{ROOT / 'examples' / 'stages.py'}:stages"
ARTICLE = "(a+b)*(b+1)"

MODEL = """
import numpy as np
from dataclasses import dataclass
import helper

print("loading")

def loss(w, x, y=0.0):
    z = w @ x
    print("running")
    return np.sum((z - y) ** 2)

def repeat(x, n: int):
    for _ in range(n):
        x = x * x
    return x

def fails(x):
    y = x + 1
    raise KeyError("no such thing")

def leaves(x):
    raise SystemExit(3)

def no_rule(x):
    return np.isnat(x)

def nested(p, scale=2.0):
    return p["w"] * p["b"] * scale

def detached(x):
    return float(x) * 2

def wrong_shapes(a, b):
    return a @ b

CONSTANT = 3
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(MODEL)
    Path("helper.py").write_text("")
    return tmp_path


def run(*words):
    """Return the standard output of the command."""
    result = CliRunner().invoke(app, ["explain", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def message(*words):
    """Return what the command says of a wrong input."""
    with pytest.raises(ChainruleError) as caught:
        CliRunner().invoke(app, ["explain", *words], catch_exceptions=False)
    return str(caught.value)


def document(*words):
    return json.loads(run(*words, "--json"))


def derivatives(*words):
    return {(each["of"], each["with_respect_to"]): each["value"] for each in document(*words)["derivatives"]}


def started(*words, **environment):
    """Run the command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "chainrule.cli", "explain", *words],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        timeout=120,
    )


# -- formulas ------------------------------------------------------------------------------------------


def test_the_article():
    text = run(ARTICLE, "a=2", "b=1")
    assert "∂e/∂b = ∂e/∂c·∂c/∂b + ∂e/∂d·∂d/∂b = 2·1 + 3·1 = 5" in text
    assert "1 reverse pass instead of 2 forward passes" in text
    assert "\x1b" not in text
    assert derivatives(ARTICLE, "a=2", "b=1") == {("e", "a"): 2.0, ("e", "b"): 5.0}


def test_as_a_process():
    done = started(ARTICLE, "a=2", "b=1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert done.stdout == run(ARTICLE, "a=2", "b=1")


def test_an_error_is_one_message_and_status_2():
    done = started("sine(x)", "x=1")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "error: there is no function sine; did you mean sin or sinh or sinc?\n    sine(x)\n    ^^^^\n"


def test_debug_shows_the_traceback():
    done = started("sine(x)", "x=1", "--debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_an_alphabet_without_greek():
    done = started(ARTICLE, "a=2", "b=1", "--lang", "zh", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "de/db = de/dc*dc/db + de/dd*dd/db = 2*1 + 3*1 = 5" in done.stdout
    nine = started("y = x + sin(x); y*y + y", "x=1", "--json", PYTHONIOENCODING="ascii")
    assert json.loads(nine.stdout)["factored"][0]["segments"][0]["letters"].keys() == {"α", "β"}


def test_markup_is_printed_as_it_is(model, monkeypatch, capsys):
    for words in (["[bold]x[/bold]", "x=1"], ["x", "[red]=1"], ["--file", "[bold].py:f"]):
        monkeypatch.setattr(sys, "argv", ["chainrule", "explain", *words])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 2
        assert words[-1].partition("=")[0].partition(":")[0] in capsys.readouterr().err or words[0].startswith(
            "[bold]x"
        )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["x**2", "x=3"], 6.0),
        (["x**2", "x=-3e0"], -6.0),
        (["-x", "x=3"], -1.0),
        (["x**2", "x=pi/4"], np.pi / 2),
        (["sum(x**2)", "x=[1,2]"], [2.0, 4.0]),
        (["sum(x**2)", "x=[[1,2.5]]"], [[2.0, 5.0]]),
        (["x @ x", "x = [1, 2]"], [2.0, 4.0]),
        (["sum(x*y)", "x=[1,2]", "y=[3,4]", "--wrt", "x"], [3.0, 4.0]),
        (["x*y", "y=2", "x=3", "--wrt", "x"], 2.0),
    ],
)
def test_values(words, expected):
    (value,) = derivatives(*words).values()
    assert value == pytest.approx(expected) if np.ndim(expected) == 0 else value == expected


def test_an_array_from_a_file(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(3))
    ((_, value),) = derivatives("sum(x**2)", f"x=@{tmp_path / 'x.npy'}").items()
    assert value == [0.0, 2.0, 4.0]


def test_a_pickle_is_not_opened(tmp_path):
    np.save(tmp_path / "x.npy", np.array([print], dtype=object), allow_pickle=True)
    (tmp_path / "text.npy").write_text("no array")
    np.savez(tmp_path / "x.npz", a=np.ones(2))
    assert "holds no plain array" in message("x", f"x=@{tmp_path / 'x.npy'}")
    assert "holds no plain array" in message("x", f"x=@{tmp_path / 'text.npy'}")
    assert "holds several arrays" in message("x", f"x=@{tmp_path / 'x.npz'}")
    assert "cannot be read" in message("x", f"x=@{tmp_path / 'none.npy'}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["x**2"], "the variable x has no value; add x=1"),
        (["x**2", "X=1"], "the variable x has no value"),
        (["x**2", "x=1", "y=1"], "y: this variable was given"),
        (["x**2", "x"], "'x' has no value; values are given as name=value"),
        (["x**2", "x=1", "x=2"], "x is given twice"),
        (["x**2", "2x=1"], "'2x' cannot be the name of a variable"),
        (["x**2", "x=one"], "x=one is no value; accepted are"),
        (["x**2", "x=[1,[2]]"], "x"),
        (["x**2", "x='text'"], "an expression takes numbers"),
        (["x**2", "x={}"], "an expression takes numbers"),
        (["x**2", "x=1", "--wrt", "z"], "wrt (--wrt) names 'z', which 'x**2' does not take"),
        (["x**2", "x=1", "--mode", "both"], "mode 'both' is unknown; there are all, forward"),
        (["x**2", "x=1", "--lang", "de"], "lang 'de' is unknown; there are en, zh"),
        (["x**2", "x=1", "--paths", "-1"], "paths is -1"),
        (["x**2", "x=1", "--lagn", "zh"], "--lagn is no option; did you mean --lang?"),
        (["x**2", "x=1", "--save", "report.pdf"], "there are .txt and .json"),
        (["x > 1", "x=1"], "no real or complex number"),
        (["x @ y", "x=[1,2]", "y=[1,2,3]"], "(2,) @ (3,)"),
    ],
)
def test_wrong_words(words, said):
    assert said in message(*words)


def test_saving(tmp_path):
    path = tmp_path / "report.json"
    result = CliRunner().invoke(app, ["explain", ARTICLE, "a=2", "b=1", "--save", str(path)], catch_exceptions=False)
    assert result.exit_code == 0
    assert str(path) in result.stderr
    assert json.loads(path.read_text(encoding="utf-8"))["title"].startswith(ARTICLE)
    text = tmp_path / "report.txt"
    run(ARTICLE, "a=2", "b=1", "--save", str(text), "--lang", "zh")
    assert "反向模式" in text.read_text(encoding="utf-8")


def test_modes_paths_and_languages():
    assert "Elimination" in run(ARTICLE, "a=2", "b=1", "--mode", "eliminate")
    assert "前向模式" in run(ARTICLE, "a=2", "b=1", "--lang", "zh")
    assert "the 1 largest" in run(ARTICLE, "a=2", "b=1", "--paths", "1")


# -- functions in files -----------------------------------------------------------------------------------


def test_a_function(model):
    ((names, value),) = derivatives("--file", "model.py:loss", "w=[[1,2]]", "x=[1,1]", "--wrt", "w").items()
    assert value == [[6.0, 6.0]]
    assert names[1] == "w"
    assert not (model / "__pycache__").exists()


def test_what_the_file_prints_stays_out_of_the_report(model):
    result = CliRunner().invoke(app, ["explain", "--file", "model.py:loss", "w=[[1,2]]", "x=[1,1]", "--json"])
    assert json.loads(result.stdout)
    assert "loading" in result.stderr
    assert "running" in result.stderr


def test_lines_of_the_file_are_shown(model):
    line = MODEL.splitlines().index("    z = w @ x") + 1
    assert f"model.py:{line}" in run("--file", "model.py:loss", "w=[[1,2]]", "x=[1,1]")


def test_parameters_that_count_stay_whole_numbers(model):
    assert derivatives("--file", "model.py:repeat", "x=2", "n=3") == {("x_3", "x"): 8 * 2.0**7}


def test_structures(model):
    found = derivatives("--file", "model.py:nested", "p={'w': 2.0, 'b': 3.0}")
    assert sorted(found.values()) == [4.0, 6.0]
    assert "∂" in run("--file", "model.py:nested", "p={'w': 2.0, 'b': 3.0}", "--wrt", "scale,p")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.py:f"], "there is no file 'none.py'"),
        (["model.py:los"], "model.py has no function 'los'; did you mean loss?"),
        (["model.py:zzz"], "there are loss, repeat, fails"),
        (["model.py"], "which function? Write model.py:name; there are loss"),
        (["model.py:CONSTANT"], "CONSTANT in model.py is no function, but int"),
        (["model.py:loss", "w=1"], "missing a required argument: 'x'; it takes w, x, y"),
        (["model.py:loss", "w=1", "x=1", "q=1"], "unexpected keyword argument 'q'"),
        (["model.py:fails", "x=1"], "fails: KeyError: 'no such thing', at model.py:"),
        (["model.py:leaves", "x=1"], "leaves: SystemExit: 3, at model.py:"),
        (["model.py:no_rule", "x=[1,2]"], "no rule"),
        (["model.py:detached", "x=1"], "would take the traced value"),
        (["model.py:wrong_shapes", "a=[1,2]", "b=[1,2,3]"], "matmul: inner sizes differ: (2,) @ (3,)"),
        (["model.py:repeat", "n=3", "x='a'"], "nothing to differentiate"),
        (["broken.py:f"], "broken.py cannot be imported: SyntaxError"),
        (["raises.py:f"], "raises.py cannot be imported: ValueError: at import, at raises.py:2"),
        (["notes.txt:f"], "notes.txt is no Python file"),
    ],
)
def test_wrong_files_and_functions(model, words, said):
    Path("broken.py").write_text("def f(:\n    pass\n")
    Path("raises.py").write_text("\nraise ValueError('at import')\n")
    Path("notes.txt").write_text("notes")
    found = message("--file", *words)
    assert said in found
    if words[0] in ("model.py:fails", "model.py:wrong_shapes", "model.py:detached"):
        assert "model.py:" in found


def test_nine_paths():
    text = run("--file", STAGES, "x=1", "n=2")
    assert "9 = 3^2 paths" in text
    assert "(α + β + γ)(δ + ε + ζ) = 1.01 · 1.01 = 1.0201" in text


def test_a_thousand_stages():
    text = run("--file", STAGES, "x=1", "n=1000", "--paths", "2")
    assert "3^1000 paths (478 digits: 1322…0001)" in text
    assert "999 multiplications, 2,000 additions" in text
    assert text.splitlines()[-1].startswith("One reverse sweep through 5,001 nodes took ")


def test_the_example_is_the_function_it_says():
    spec = importlib.util.spec_from_file_location("stages_example", STAGES.rpartition(":")[0])
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    spec.loader.exec_module(module)
    sys.dont_write_bytecode = before
    assert module.stages(1.0, 3) == pytest.approx(1.01**3, rel=1e-15)


def test_version(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["chainrule", "--version"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code in (0, None)
    assert capsys.readouterr().out == f"chainrule {importlib.metadata.version('chainrule')}\n"
