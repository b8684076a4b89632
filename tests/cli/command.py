"""The command line, called in this process and in one of its own."""

import contextlib
import io
import os
import pathlib
import subprocess
import sys

from keras_hash import cli

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# What the console script does, on this checkout and for any signal.
SCRIPT = f"""
import importlib.util, signal, sys
sys.path.insert(0, {str(ROOT)!r})
signal.signal(signal.SIGINT, signal.default_int_handler)
spec = importlib.util.spec_from_file_location(
    "keras_hash_cli", {str(ROOT / "keras_hash/cli/__init__.py")!r}
)
entry = importlib.util.module_from_spec(spec)
spec.loader.exec_module(entry)
"""


def run(*arguments):
    """Exit code, standard output and standard error of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([str(argument) for argument in arguments])
    return code, out.getvalue(), err.getvalue()


def start(*arguments, then=""):
    """Starts a command as the console script does, and what comes behind."""
    main = f"code = entry.main({[str(a) for a in arguments]!r})"
    program = "\n".join([SCRIPT, main, then, "sys.exit(code)"])
    environment = {**os.environ}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    return subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
