"""The parser of all commands, and what becomes of their errors."""

import argparse
import io
import os
import re
import sys
import textwrap
import types

from keras_hash import files
from keras_hash.cli import app
from keras_hash.cli import browsing
from keras_hash.cli import demo
from keras_hash.cli import duplicates
from keras_hash.cli import encoding
from keras_hash.cli import exporting
from keras_hash.cli import inputs
from keras_hash.cli import measuring
from keras_hash.cli import outputs
from keras_hash.cli import quiet
from keras_hash.cli import searching
from keras_hash.cli import training

# In the order of the help.
_MODULES = (
    demo,
    browsing,
    training,
    measuring,
    encoding,
    searching,
    duplicates,
    app,
    exporting,
)
_HELP = """\
exit codes:
  0    done
  1    a check failed (verify, export), or files stay as they are (duplicates)
  2    bad input; one line on stderr says what was given and what was expected
  3    an error of keras-hash itself; KERAS_HASH_TRACEBACK=1 shows where
  130  stopped with Ctrl-C; train and search continue when called again
  143  stopped by a signal (SIGTERM), likewise

examples:
  keras-hash list
  keras-hash encode dshc_cifar10_30 photos/ --out codes.npz
  keras-hash search dshc_cifar10_30 --images photos/ --index photos.index q.jpg
  keras-hash train --data photos/ --method dsrh --bits 48 --out runs/mine
  keras-hash export runs/mine --out serving/mine

Results go to stdout, progress and errors to stderr; `--json` is for scripts.
"""
# Shows tracebacks where it is set in the environment.
_TRACEBACK = "KERAS_HASH_TRACEBACK"
# Options that are completed as paths.
_PATHS = {
    "csv",
    "data",
    "images",
    "index",
    "model",
    "models",
    "move",
    "out",
    "places",
    "queries",
    "report",
    "search",
    "undo",
}


def run(arguments=None):
    """Runs a command; returns its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names of files need not be valid in any encoding.
            stream.reconfigure(errors="replace")
    parser = make_parser()
    chosen, more = parser.parse_known_args(arguments)
    # What a command sees are its own options.
    command = vars(chosen).pop("command")
    # argparse fills `MODEL [QUERY ...]` at the first of them and leaves over
    # what follows an option.
    words = getattr(chosen, command.words, [])
    while more and not more[0].startswith("-") and command.words:
        words.append(more.pop(0))
    passed_on = command.passed_on and getattr(chosen, command.passed_on)
    if more and more[0] == "--" and command.words and not passed_on:
        words += more[1:]
        more = []
    if passed_on:
        chosen.options = more
    elif more:
        parser.error(f"unknown arguments: {' '.join(more)}")
    try:
        if command.needs_keras:
            quiet.import_keras()
        command.run(chosen)
        if sys.stdout is not None:
            sys.stdout.flush()
        return 0
    except BrokenPipeError:
        # Who reads has enough, as `head` does; the rest goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except inputs.CheckFailed as error:
        for text in error.args:
            outputs.say(text)
        return 1
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        outputs.say(error)
        return 2
    except Exception as error:
        if os.environ.get(_TRACEBACK):
            raise
        if said := files.said_in_dataset(error):
            outputs.say(said)
            return 2
        outputs.say(
            f"an error that should not happen, {type(error).__name__}: "
            f"{error}. Please report it, with what {_TRACEBACK}=1 shows"
        )
        return 3


def make_parser():
    """The parser; what it parses has `command`, with its function `run`."""
    parser = _Parser(
        prog="keras-hash",
        description="Deep hashing for image retrieval: short binary codes.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--completion",
        action=_Completion,
        metavar="SHELL",
        help="print the completion script for bash, zsh, fish or tcsh, such as "
        "keras-hash --completion bash > ~/.local/share/bash-completion/"
        "completions/keras-hash",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name, run, text, examples, needs_keras=True, words="", passed_on=""
    ):
        """Adds a command; unknown options are passed on beside one of its."""
        command = commands.add_parser(
            name,
            help=text,
            description=textwrap.fill(text, 79),
            epilog="examples:\n"
            + "".join(f"  keras-hash {line}\n" for line in examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(
            command=types.SimpleNamespace(
                run=run,
                needs_keras=needs_keras,
                words=words,
                passed_on=passed_on,
            )
        )
        return command

    for module in _MODULES:
        module.add_commands(add)
    return parser


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and what may have been meant."""

    def error(self, message):
        found = re.search(
            r"invalid choice: '(.*?)' \(choose from (.*)\)", message
        )
        if found:
            names = re.findall(r"[\w-]+", found[2])
            close = inputs.suggestion(found[1], names)
            message += f".{close}" if close else ""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


class _Completion(argparse.Action):
    """Prints a script for a shell, as `--version` prints the version."""

    def __call__(self, parser, namespace, values, option_string=None):
        try:
            import shtab
        except ImportError:
            parser.error(
                '`--completion` needs shtab: pip install "keras-hash'
                '[completion]"'
            )
        if values not in shtab.SUPPORTED_SHELLS:
            parser.error(
                f"`--completion` should be one of {shtab.SUPPORTED_SHELLS}. "
                f"Received: {values}"
            )
        (commands,) = parser._subparsers._group_actions
        for command in commands.choices.values():
            for action in command._actions:
                if action.dest in _PATHS:
                    action.complete = shtab.FILE
        print(shtab.complete(parser, shell=values))
        parser.exit(0)
