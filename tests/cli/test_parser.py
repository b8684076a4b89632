"""The command line as a whole: parser, help, errors, console script."""

import configparser
import gc
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time
import types

import pytest

from keras_hash import cli
from keras_hash.cli import parser
from tests.cli import command
from tests.cli.command import run

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
NAME = "dshc_digits_30"


def test_the_other_commands_of_the_page_are_understood():
    text = (ROOT / "docs/command_line.md").read_text().replace("\\\n", " ")
    commands = re.findall(r"^keras-hash ([^#\n]+)", text, re.M)
    assert len(commands) >= 7
    for one in commands:
        chosen, more = parser.make_parser().parse_known_args(shlex.split(one))
        assert not [word for word in more if word.startswith("-")], one
        assert callable(chosen.command.run)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["info", "dshc_moon"], "Entries here"),
        (["encode", "dshc_digits_30", "missing.png"], "No such file"),
        (["evaluate", NAME, "--data", "digit"], "Did you mean 'digits'?"),
        (
            ["train", "--data", "digits", "--bits", "32", "--out", "x",
             "--method", "dshc"],
            "multiple of `num_classes`",
        ),
        (
            ["train", "--data", "digits", "--bits", "30", "--out", "x",
             "--method", "GreedyHsh"],
            "Did you mean 'greedyhash'?",
        ),
        (["info", "dshc_digit_30"], "Did you mean 'dshc_digits_30'?"),
        (["verify", NAME, "dshc_digit_30"], "Did you mean 'dshc_digits_30'?"),
        (["search", NAME, "--index", "x.index"], "Nothing to do"),
        (["search", NAME, "--index", "no.index", "x.png"], "No such file"),
        (["export", "dshc_digit_30", "--out", "x"], "Did you mean"),
        (["export", NAME, "--out", "x", "--search", "no"], "There is no index"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_line(arguments, message):
    code, _, err = run(*arguments)
    assert code == 2 and message in err and err.count("\n") == 1


def test_help_names_all_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    names = "demo list info train evaluate verify encode search app export"
    for name in names.split():
        assert re.search(rf"^    {name} ", out, re.M), name
    for line in ("1    a check failed", "2    bad input", "130  stopped"):
        assert line in out
    for name in names.split():
        with pytest.raises(SystemExit) as stop:
            cli.main([name, "--help"])
        assert stop.value.code == 0
        out = capsys.readouterr().out
        assert out.count(f"keras-hash {name}") >= 2, name
        assert max(map(len, out.splitlines())) <= 80 or name == "search"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["serach"], "Did you mean 'search'?"),
        (["train", "--data", "digits"], "required: --out"),
        (["list", "a", "b"], "unknown arguments: b"),
        (["search", NAME, "--index", "x", "--radios", "2"], "--radios"),
        (["export", NAME, "--out", "x", "--format", "onxx"], "mean 'onnx'?"),
        (["export", NAME, "--out", "x", "--version", "0"], "from 1 to"),
        (
            ["export", NAME, "--format", "openvino", "--version", "0"],
            "from 1 to",
        ),
        (["search", NAME, "--index", "x", "-k", "0"], "-k: should be from 1"),
        (["search", NAME, "--index", "x", "-k", "a"], "invalid int value: 'a'"),
    ],
)
def test_bad_usage_is_one_line(capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    err = capsys.readouterr().err
    assert stop.value.code == 2 and message in err and err.count("\n") == 1


def test_the_console_script_starts_without_tensorflow():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    script = config["options.entry_points"]["console_scripts"].strip()
    assert script == "keras-hash = keras_hash_cli:main"
    folders = config["options"]["package_dir"]
    assert "keras_hash_cli = keras_hash/cli" in folders
    code = (
        f"{command.SCRIPT}\n"
        "assert entry.main(['list', '--json']) == 0\n"
        "assert entry.main(['info', 'dshc_digits_30', '--json']) == 0\n"
        "try: entry.main(['search', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'keras_hash.methods'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_a_reader_that_has_enough_is_no_error():
    process = command.start("list", "--json")
    process.stdout.close()
    assert process.wait(300) == 0 and process.stderr.read() == ""


def test_completion(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as stop:
        cli.main(["--completion", "bash"])
    err = capsys.readouterr().err
    assert stop.value.code == 2 and "keras-hash[completion]" in err
    monkeypatch.undo()
    pytest.importorskip("shtab", reason="the extra `completion` is not here")
    for shell in ("bash", "zsh", "fish"):
        with pytest.raises(SystemExit) as stop:
            cli.main(["--completion", shell])
        out = capsys.readouterr().out
        assert stop.value.code == 0 and "--radius" in out, shell
    with pytest.raises(SystemExit) as stop:
        cli.main(["--completion", "abacus"])
    assert "should be one of" in capsys.readouterr().err


STOPS = """
import signal, sys
import numpy as np
import tensorflow as tf
from keras_hash import cli
from keras_hash.cli import parser


class Reading:
    def __init__(self, place=None, number=None):
        self.calls, self.place, self.number = [], place, number

    def profile(self, frame, event, argument):
        module = frame.f_globals.get("__name__", "")
        if event != "call" or not module.startswith("tensorflow."):
            return
        self.calls.append((module.split(".")[-1], frame.f_code.co_name))
        if len(self.calls) - 1 == self.place:
            sys.setprofile(None)
            signal.raise_signal(self.number)

    def __call__(self, _=None):
        @tf.function
        def step(x):
            x = tf.cond(tf.reduce_sum(x) > 0, lambda: x, lambda: x + 1)
            return tf.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x),
                                 [0, x])

        sys.setprofile(self.profile)
        data = tf.data.Dataset.from_tensors((np.zeros((8, 8, 3)), 1, 1))
        for x, *_ in data.batch(2):
            step(x)
        sys.setprofile(None)


Reading()()
warm = Reading()
warm()
lengths = [place for place, call in enumerate(warm.calls)
           if call == ("tensor_shape", "__len__")]
places = [*lengths[:6], *range(0, len(warm.calls) - 50, len(warm.calls) // 20)]
for number in (signal.SIGINT, signal.SIGTERM):
    for place in places:
        parser.run = Reading(place, number)
        code = cli.main([])
        sys.setprofile(None)
        assert code == 128 + number, (code, warm.calls[place])
print(len(lengths[:6]), len(places))
"""


def test_a_stop_while_tensorflow_calls_python_is_not_lost():
    """It would drop it, take it for another error, or abort."""
    ran = subprocess.run(
        [sys.executable, "-c", STOPS],
        capture_output=True,
        text=True,
        timeout=300,
        # As in a shell: a process in the background passes Ctrl-C over.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert ran.returncode == 0, ran.stderr
    lengths, places = map(int, ran.stdout.split())
    assert lengths == 6 and places > 20


def test_who_asks_again_after_a_second_does_not_wait(monkeypatch):
    """A long call of TensorFlow: the first Ctrl-C waits for its end."""
    seen = []

    def long_call():
        for _ in range(100):
            seen.append(None)
            time.sleep(0.1)
            signal.raise_signal(signal.SIGINT)

    named = types.FunctionType(
        long_call.__code__,
        {**globals(), "__name__": "tensorflow.python.slow"},
        closure=long_call.__closure__,
    )
    monkeypatch.setattr("keras_hash.cli.parser.run", lambda _: named())
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert cli.main([]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert 1 < len(seen) < 100


def test_a_stop_while_garbage_is_collected_is_not_lost(monkeypatch):
    """Python drops what a callback of a collection raises."""
    seen = []

    def callback(phase, info):
        if phase == "start":
            signal.raise_signal(signal.SIGINT)

    def run(_):
        gc.callbacks.append(callback)
        try:
            gc.collect()
            seen.append(None)
        finally:
            gc.callbacks.remove(callback)

    monkeypatch.setattr("keras_hash.cli.parser.run", run)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert cli.main([]) == 130 and not seen
    finally:
        signal.signal(signal.SIGINT, before)
