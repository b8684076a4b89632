"""The parser of all commands, and what becomes of their errors."""

import argparse
import difflib
import os
import re
import sys
import textwrap

from keras_hash.cli import browsing
from keras_hash.cli import encoding
from keras_hash.cli import exporting
from keras_hash.cli import measuring
from keras_hash.cli import quiet
from keras_hash.cli import searching
from keras_hash.cli import training

_HELP = """\
exit codes:
  0    done
  1    a check failed (verify)
  2    bad input; one line on stderr says what came and what was expected
  130  stopped with Ctrl-C; train and search go on when called again

examples:
  keras-hash list
  keras-hash encode dshc_cifar10_30 photos/ --out codes.npz
  keras-hash search dshc_cifar10_30 --images photos/ --index photos.index q.jpg
  keras-hash train --data photos/ --method dsrh --bits 48 --out runs/mine
  keras-hash export runs/mine --out serving/mine

Results go to stdout, progress and errors to stderr; `--json` is for scripts.
"""


def run(arguments=None):
    """Runs a command; returns its exit code."""
    parser = make_parser()
    chosen, more = parser.parse_known_args(arguments)
    # argparse fills `MODEL [QUERY ...]` at the first of them and leaves over
    # what follows an option.
    words = getattr(chosen, chosen.words, [])
    while more and not more[0].startswith("-") and chosen.words:
        words.append(more.pop(0))
    if more and not getattr(chosen, chosen.options_pass, None):
        parser.error(f"unknown arguments: {' '.join(more)}")
    chosen.options = more
    try:
        if chosen.needs_keras:
            quiet.import_keras()
        code = chosen.run(chosen) or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Who reads has enough, as `head` does; the rest goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        print(f"keras-hash: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        hint = f"; {stop}" if str(stop) else ""
        print(f"keras-hash: stopped{hint}", file=sys.stderr)
        return 130


def make_parser():
    """The parser; what it parses has `run`, a function, and `needs_keras`."""
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

    def add(name, run, text, examples, needs_keras=True):
        command = commands.add_parser(
            name,
            help=text,
            description=textwrap.fill(text, 79),
            epilog="examples:\n"
            + "".join(f"  keras-hash {line}\n" for line in examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(
            run=run, needs_keras=needs_keras, words="", options_pass=""
        )
        return command

    browsing.add_commands(add)
    training.add_commands(add)
    measuring.add_commands(add)
    encoding.add_commands(add)
    searching.add_commands(add)
    exporting.add_commands(add)
    return parser


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and what may have been meant."""

    def error(self, message):
        found = re.search(
            r"invalid choice: '(.*?)' \(choose from (.*)\)", message
        )
        if found:
            names = re.findall(r"[\w-]+", found[2])
            close = difflib.get_close_matches(found[1], names, 1)
            message += f". Did you mean {close[0]!r}?" if close else ""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


class _Completion(argparse.Action):
    """Prints a script for a shell, as `--version` prints the version."""

    def __call__(self, parser, namespace, values, option_string=None):
        try:
            import shtab
        except ImportError:
            parser.exit(
                2,
                "keras-hash: `--completion` needs shtab: "
                'pip install "keras-hash[completion]"\n',
            )
        if values not in shtab.SUPPORTED_SHELLS:
            parser.exit(
                2,
                "keras-hash: `--completion` should be one of "
                f"{shtab.SUPPORTED_SHELLS}. Received: {values}\n",
            )
        for command in _parsers(parser):
            for action in command._actions:
                kind = _COMPLETED.get(action.dest)
                if kind:
                    action.complete = getattr(shtab, kind)
        print(shtab.complete(parser, shell=values))
        parser.exit(0)


# What is completed as a path.
_COMPLETED = {
    "data": "FILE",
    "images": "FILE",
    "index": "FILE",
    "model": "FILE",
    "models": "FILE",
    "out": "FILE",
    "queries": "FILE",
    "search": "FILE",
}


def _parsers(parser):
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()
