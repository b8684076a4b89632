"""Odd values everywhere: one line on stderr, no traceback, nothing written."""

import contextlib
import io

import pytest

from keras_hash import cli
from tests.cli.command import run

NAME = "dshc_digits_30"
ODD = (
    "", " ", "0", "-1", "1.5", "1e999", "nan", "99999999999999999999", "x",
    "[", "*", "{a,b}", "/dev/null", "/", "\udcff", "gs://bucket/x", "--", "-",
    "a\nb", "~nobody/x", "x" * 300,
)  # fmt: skip
# Of a place that is walked through: not all files of the machine.
WALKED = tuple(odd for odd in ODD if odd != "/")
# Where each of them stands in: commands that come to an end whatever it is.
PLACES = {
    "info": ("info", ODD),
    "list": ("list", ODD),
    "verify": ("verify", ODD),
    "evaluate": ("evaluate", ODD),
    "evaluate --data": ("evaluate", NAME, "--data", WALKED),
    "evaluate --protocol": ("evaluate", NAME, "--protocol", ODD),
    "evaluate --convention": ("evaluate", NAME, "--convention", ODD),
    "evaluate --report": ("evaluate", "nobody", "--report", ODD),
    "encode MODEL": ("encode", ODD, "here.png"),
    "encode IMAGE": ("encode", NAME, WALKED),
    "encode --runner": ("encode", NAME, "nowhere", "--runner", ODD),
    "search MODEL": ("search", ODD, "here.png", "--index", "no.index"),
    "search QUERY": ("search", NAME, WALKED, "--index", "no.index"),
    "search --index": ("search", NAME, "here.png", "--index", ODD),
    "search --images": (
        "search", NAME, "--images", WALKED, "--index", "folder",
    ),
    "export MODEL": ("export", ODD, "--out", "out"),
    "export --search": ("export", NAME, "--search", ODD, "--out", "out"),
    "export --format": ("export", NAME, "--format", ODD, "--out", "out"),
    "export --dtype": ("export", NAME, "--dtype", ODD, "--out", "out"),
    "app --model": ("app", "--model", ODD, "--index", "no.index"),
    "app --index": ("app", "--model", NAME, "--index", ODD),
    "train --data": (
        "train", "--data", WALKED, "--bits", "7", "--out", "out",
    ),
    "train --method": (
        "train", "--data", "digits", "--method", ODD, "--bits", "7", "--out",
        "out",
    ),
    "train --backbone": (
        "train", "--data", "digits", "--backbone", ODD, "--bits", "10", "--out",
        "out",
    ),
    "train --out": ("train", "--data", "no", "--bits", "7", "--out", ODD),
    "train --separator": (
        "train", "--data", "no.csv", "--image-column", "a", "--label-columns",
        "b", "--separator", ODD, "--bits", "7", "--out", "out",
    ),
    "no command": (ODD,),
}  # fmt: skip


def called(*arguments):
    """What a command returns and says; argparse leaves by `SystemExit`."""
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(err):
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
    return code, err.getvalue()


@pytest.fixture
def here(tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save("here.png")
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize("place", PLACES)
def test_odd_values_end_in_one_line(here, place):
    parts = PLACES[place]
    (odds,) = (part for part in parts if isinstance(part, tuple))
    for odd in odds:
        command = [odd if part is odds else part for part in parts]
        code, err = called(*command)
        assert code in (0, 1, 2), (command, code, err)
        assert "Traceback" not in err, (command, err)
        if code == 2:
            # Before it there may be what was left out, or the usage.
            last = err.splitlines()[-1]
            assert last.startswith(("keras-hash: ", "keras-hash ")), err
    # `--out` of evaluate and train may be a name as any other, later.
    assert {p.name for p in here.iterdir()} <= {"here.png", "folder"}


TRAIN = ("train", "--data", "digits", "--bits", "10", "--out", "out")
APP = ("app", "--model", NAME, "--index", "no.index")
SEARCH = ("search", NAME, "here.png", "--index", "no.index")
HUGE = "99999999999999999999"
NUMBERS = [
    (TRAIN, "--epochs", ("0", "-1", "1.5", "x", "", HUGE)),
    (TRAIN, "--batch-size", ("0", "-1", "1.5", "nan", HUGE)),
    (TRAIN, "--learning-rate", ("0", "-1", "nan", "inf", "1e999", "x")),
    (TRAIN, "--bits", ("0", "-8", "1.5", "x", HUGE)),
    (TRAIN, "--size", ("0", "-1", "x", HUGE)),
    (TRAIN, "--seed", ("-1", "0.5", HUGE)),
    (("evaluate", NAME), "-k", ("0", "-1", "1.5", HUGE)),
    (("demo",), "--epochs", ("0", "-1", HUGE)),
    (SEARCH, "-k", ("0", "-1", "1.5", HUGE)),
    (SEARCH, "--radius", ("-1", "x", HUGE)),
    (APP, "-k", ("0", "-1", "x", HUGE)),
    (APP, "--radius", ("-1", "x", HUGE)),
    (APP, "--port", ("-1", "65536", "http", HUGE)),
    (("export", NAME, "--out", "out"), "--version", ("0", "-1", "x", HUGE)),
    (("export", NAME, "--out", "out"), "-k", ("0", "-1", HUGE)),
    (("encode", NAME, "no"), "--images-per-shard", ("0", "-1", HUGE)),
]


@pytest.mark.parametrize(
    "command, option, values",
    NUMBERS,
    ids=[f"{command[0]}{option}" for command, option, _ in NUMBERS],
)
def test_numbers_are_checked_before_any_work(here, command, option, values):
    for value in values:
        joint = "=" if option.startswith("--") else ""
        given = f"{option}{joint}{value}"
        code, err = called(*command, given)
        assert code == 2 and option in err, (option, value, code, err)
        assert value in err and "Traceback" not in err, (option, value, err)
    assert {p.name for p in here.iterdir()} == {"here.png", "folder"}


def test_an_error_of_ours_is_one_line_too(monkeypatch):
    from keras_hash import zoo

    def fails(*_):
        raise KeyError("this\nand that")

    monkeypatch.setattr(zoo, "card", fails)
    code, out, err = run("info", NAME)
    assert code == 3 and not out and err.count("\n") == 1
    assert "KeyError: 'this\\nand that'. Please report it" in err
    monkeypatch.setenv("KERAS_HASH_TRACEBACK", "1")
    with pytest.raises(KeyError):
        run("info", NAME)
