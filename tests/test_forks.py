"""Forked processes answer, or say in one sentence why not: they never hang."""

import multiprocessing
import os
import pathlib
import subprocess
import sys
import threading
from concurrent import futures

import numpy as np
import pytest

import keras_hash
from keras_hash import forks

ROOT = pathlib.Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="there are no forks on this system"
)

# A parent that has searched, measured and encoded, and what its child does.
PARENT = """
import os, sys, time
import numpy as np
import keras_hash
from keras_hash import data

random = np.random.RandomState(0)
codes = random.randint(0, 256, (20000, 4), "uint8")
labels = np.arange(20000) % 7
index = keras_hash.Index(32, codes)
tables = keras_hash.Index(32, codes, method="multi-index")
query = codes[:50]

def search():
    return [
        index.search(query, 5), index.search(query, 5, threads=4),
        index.range_search(query, 3), tables.search(query, 5),
        # By tables, and by a scan that finds much.
        *([np.concatenate(part) for part in zip(*index.pairs(radius))]
          for radius in (2, 8)), index.clusters(2),
    ]

def evaluate(kernel="auto"):
    return keras_hash.evaluate(
        query, labels[:50], codes, labels, 32, kernel=kernel
    ).metrics

def same(a, b):
    np.testing.assert_equal(a, b)

wanted = search(), evaluate()
{parent}
child = os.fork()
if not child:
    code = 1
    try:
        for line in {answered!r}:
            exec(line)
        for line in {refused!r}:
            try:
                exec(line)
            except RuntimeError as error:
                assert "would hang here" in str(error), error
            else:
                raise AssertionError(line)
        code = 0
    except BaseException as error:
        print(repr(error), file=sys.stderr)
    finally:
        os._exit(code)
end = time.monotonic() + 90
while time.monotonic() < end:
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        sys.exit(os.waitstatus_to_exitcode(status))
    time.sleep(0.05)
os.kill(child, 9)
sys.exit("the child hangs")
"""
ENCODED = """
model = keras_hash.models.CSQ(8, 2)
images = random.randint(0, 256, (4, 32, 32, 3), "uint8")
model.encode(images)
bench = data.load("digits")
next(iter(bench.query))
"""
SEARCHED = [
    "same(search(), wanted[0])",
    "same(evaluate(), wanted[1])",
    "same(evaluate('numpy'), wanted[1])",
]


@pytest.mark.parametrize(
    "parent, answered, refused",
    [
        # A parent that has not used TensorFlow: its child may.
        ("", [*SEARCHED, *ENCODED.strip().splitlines(), SEARCHED[0]], []),
        (
            ENCODED,
            [*SEARCHED, "same(len(bench.arrays('query')[0]), 360)"],
            [
                "model.encode(images)",
                "model.real_codes(images)",
                "model.predict(images)",
                "model.fit(images, [0, 1, 0, 1])",
                "model.evaluate(images, [0, 1, 0, 1])",
                "keras_hash.models.ITQ(8)",
                "keras_hash.load('dshc_digits_30')",
                "evaluate('tensorflow')",
                "bench.query",
                "bench.arrays('query', image_size=16)",
            ],
        ),
    ],
)
def test_a_forked_child_answers_or_says_why_not(parent, answered, refused):
    program = PARENT.format(parent=parent, answered=answered, refused=refused)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, timeout=200, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def search_in_child(index, query):
    return index.search(query, k=3)


@pytest.fixture(scope="module")
def index():
    random = np.random.RandomState(0)
    return keras_hash.Index(64, random.randint(0, 256, (5000, 8), "uint8"))


# Each process that is spawned imports the library anew.
@pytest.mark.parametrize("method, workers", [("fork", 2), ("spawn", 1)])
def test_a_pool_of_processes_searches(index, method, workers):
    wanted = index.search(index.codes[:9], k=3)
    context = multiprocessing.get_context(method)
    with futures.ProcessPoolExecutor(workers, context) as pool:
        found = [
            pool.submit(search_in_child, index, index.codes[:9])
            for _ in range(4)
        ]
        for one in found:
            np.testing.assert_equal(one.result(timeout=120), wanted)


def test_sixty_four_threads_search_at_once(index):
    wanted = index.search(index.codes[:64], k=5)
    start = threading.Barrier(64)

    def ask(row):
        start.wait()
        return [
            index.search(index.codes[row : row + 1], k=5, threads=1 + row % 3)
            for _ in range(20)
        ]

    with futures.ThreadPoolExecutor(64) as pool:
        for row, answers in enumerate(pool.map(ask, range(64))):
            for distances, ids in answers:
                np.testing.assert_array_equal(distances[0], wanted[0][row])
                np.testing.assert_array_equal(ids[0], wanted[1][row])


def test_this_process_is_no_child():
    forks.check()
    assert not forks.is_lost("FAISS")
