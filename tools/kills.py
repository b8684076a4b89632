"""Kills trainings at random moments: they end as those that are not killed.

    python tools/kills.py [--kills 40] [--variants plain bank] [--seed 0]

`plain` and `augment` are `keras-hash train`; `bank` is a script of a model with
a memory bank, dropout and `keras_hash.callbacks.Backup`. A run is killed by
SIGINT, SIGTERM or SIGKILL in turn, at a moment drawn from the time that the
unbroken run took, called again, killed again, until it ends before its moment.
The weights, codes and card, or all variables of the script's model, have to be
those of the unbroken run. Exit code 1 says that some were not. Half a minute a
kill on 2 cores.
"""

import argparse
import contextlib
import json
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
EPOCHS = 6
TRAIN = f"train --data digits --method csq --bits 16 --epochs {EPOCHS} --out"
BANK = f"""
import sys
import keras, numpy as np
import keras_hash

keras.utils.set_random_seed(3)
bench = keras_hash.data.load("digits")
model = keras_hash.models.DPSH(16, 10, bank_size=1437, hidden=32)
model.compile("adam")
batches = keras_hash.data.batches(bench.train, 64, shuffle=True)
backup = keras_hash.callbacks.Backup(sys.argv[1] + "/training.backup")
model.fit(batches, epochs={EPOCHS}, callbacks=[backup], verbose=0)
kept = [*model.variables, *model.optimizer.variables]
kept = [keras.ops.convert_to_numpy(value) for value in kept]
with keras_hash.files.beside(sys.argv[1] + "/end.npz") as new:
    np.savez(new, *kept)
"""
COMMAND = [sys.executable, "-m", "keras_hash.cli"]
VARIANTS = {
    "plain": [*COMMAND, *TRAIN.split()],
    "augment": [*COMMAND, *TRAIN.replace("--out", "--augment --out").split()],
    "bank": [sys.executable, "-c", BANK],
}


def start(variant, folder):
    """Starts a run that writes into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [*VARIANTS[variant], str(folder)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # Processes in the background would pass Ctrl-C over.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finish(variant, folder):
    """Calls a run until it ends; its seconds."""
    began = time.monotonic()
    run = start(variant, folder)
    _, err = run.communicate(timeout=600)
    if run.returncode:
        raise RuntimeError(f"{variant} in {folder}: {err[-2000:]}")
    return time.monotonic() - began


def contents(folder):
    """What has to be the same: bytes of files, and the card but for its paths.

    The graph of a SavedModel holds names that change from run to run.
    """
    import numpy as np

    if (folder / "end.npz").exists():
        with np.load(folder / "end.npz") as stored:
            return {name: stored[name].tobytes() for name in stored.files}
    card = json.loads((folder / "card.json").read_text())
    for changing in ("files", "bytes", "name"):
        card.pop(changing)
    variables = sorted((folder / str(card["version"]) / "variables").iterdir())
    found = {path.name: path.read_bytes() for path in variables}
    names = sorted(path.name for path in folder.iterdir())
    return {"card": card, "names": names, **found}


def kill(variant, folder, moment, number):
    """Kills a run at a moment; what is there then, and whether it had ended."""
    run = start(variant, folder)
    with contextlib.suppress(subprocess.TimeoutExpired):
        _, err = run.communicate(timeout=moment)
        if run.returncode:
            raise RuntimeError(f"{variant} in {folder}: {err[-2000:]}")
        return None, True
    run.send_signal(number)
    _, err = run.communicate(timeout=600)
    # In a script TensorFlow may lose Ctrl-C, and abort: docs/training.md.
    if variant != "bank" and run.returncode not in (0, -number, 128 + number):
        raise RuntimeError(f"{variant} in {folder}: {err[-2000:]}")
    stopped = sorted(path.name for path in folder.iterdir())
    # An entry without its backup is whole: it was killed on its way out.
    whole = "card.json" in stopped and ".training.backup" not in stopped
    return stopped, run.returncode == 0 or whole


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS))
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    draw, different = random.Random(chosen.seed), 0
    for variant in chosen.variants:
        with tempfile.TemporaryDirectory() as place:
            place = pathlib.Path(place)
            seconds = finish(variant, place / "whole")
            wanted = contents(place / "whole")
            kills = runs = 0
            while kills < chosen.kills:
                folder, ended = place / str(runs), False
                while not ended:
                    # Before a second, Python itself is starting.
                    moment = draw.uniform(1, seconds)
                    sent = SIGNALS[kills % len(SIGNALS)]
                    stopped, ended = kill(variant, folder, moment, sent)
                    if stopped is not None:
                        kills += 1
                        print(
                            f"{variant} {runs}: {sent.name} after {moment:.1f} "
                            f"of {seconds:.1f} s, with {stopped}",
                            flush=True,
                        )
                found = contents(folder)
                wrong = [key for key in wanted if found.get(key) != wanted[key]]
                different += bool(wrong or found.keys() != wanted.keys())
                print(
                    f"{variant} {runs}: "
                    f"{'differs in ' + str(wrong) if wrong else 'the same'}",
                    flush=True,
                )
                runs += 1
            print(f"{variant}: {runs} runs, killed {kills} times", flush=True)
    print(f"{different} ends differ")
    return bool(different)


if __name__ == "__main__":
    sys.exit(main())
