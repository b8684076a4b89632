"""Milvus and LanceDB against brute force and `Index`."""

import contextlib
import importlib.util
import socket
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

import keras_hash
from keras_hash import codes
from keras_hash.data import cifar10
from keras_hash.search import HammingSearch
from keras_hash.search import LanceIndex
from keras_hash.search import MilvusIndex
from keras_hash.search.engines import base

NEEDED = {"milvus": ("pymilvus", "milvus_lite"), "lance": ("lancedb",)}
ABSENT = {
    extra: [name for name in names if importlib.util.find_spec(name) is None]
    for extra, names in NEEDED.items()
}
MILVUS, LANCE = (
    pytest.param(
        extra,
        marks=pytest.mark.skipif(
            bool(ABSENT[extra]),
            reason=f'no {ABSENT[extra]}: pip install "keras-hash[{extra}]"',
        ),
    )
    for extra in NEEDED
)


@pytest.fixture(scope="module")
def milvus_file(tmp_path_factory):
    """One file for all tests: opening one takes a second."""
    path = tmp_path_factory.mktemp("milvus") / "codes.db"
    if ABSENT["milvus"]:
        yield path
    else:
        with MilvusIndex(8, path, "held"):
            yield path


@pytest.fixture(params=[MILVUS, LANCE])
def make(request, tmp_path, milvus_file):
    """Opens an engine; the same name finds the same codes again."""
    opened = []

    def open_(bits, name="codes", **settings):
        if request.param == "lance":
            index = LanceIndex(bits, tmp_path, name, **settings)
        else:
            name = f"{request.node.originalname}_{name}"
            index = MilvusIndex(bits, milvus_file, name, **settings)
        opened.append(index)
        return index

    yield open_
    for index in opened:
        index.close()


def same(index, exact, queries, items, k, names=None):
    """Checks results: distances all, ids where ties leave no choice."""
    distances, ids = index.search(queries, k)
    expected, chosen = exact.search(queries, k)
    every = codes.hamming(queries, items)
    k = min(k, len(items))
    assert distances.dtype == np.int32 and ids.dtype == chosen.dtype
    np.testing.assert_array_equal(distances, np.sort(every, axis=1)[:, :k])
    np.testing.assert_array_equal(distances, expected)
    names = list(range(len(items))) if names is None else list(names)
    place = {name: i for i, name in enumerate(names)}
    for row in range(len(queries)):
        found = [place[one] for one in ids[row].tolist()]
        assert len(set(found)) == k
        np.testing.assert_array_equal(every[row, found], distances[row])
        pairs = list(zip(distances[row].tolist(), ids[row].tolist()))
        assert pairs == sorted(pairs)
        last = distances[row, -1]
        near = ids[row][distances[row] < last].tolist()
        assert set(near) == set(chosen[row][expected[row] < last].tolist())
    return distances


@pytest.mark.parametrize("bits", [12, 30, 48, 130])
@pytest.mark.parametrize("strings", [False, True])
def test_equals_brute_force(make, bits, strings, rng):
    items = codes.pack(rng.randn(700, bits))
    items[300:500] = items[:200]
    queries = codes.pack(rng.randn(20, bits))
    queries[:5] = items[:5]
    # Ids not in the order of addition, also negative ones.
    names = rng.permutation(2000)[:700] - 1000
    if strings:
        names = np.array([f"photos/é {i}.png" for i in names], object)
    index = make(bits, f"b{bits}_{strings}")
    exact = keras_hash.Index(bits)
    for part in (slice(0, 400), slice(400, 401), slice(401, 700)):
        index.add(items[part], names[part])
        exact.add(items[part], names[part])
        assert len(index) == len(exact)
    for k in (1, 10, 350, 700, 5000):
        same(index, exact, queries, items, k, names)
    same(index, exact, queries[:1], items, 7, names)
    gone = names[::3]
    index.remove(gone)
    exact.remove(gone)
    keep = np.delete(np.arange(700), np.arange(700)[::3])
    same(index, exact, queries, items[keep], 50, names[keep])
    distances, ids = index.search(queries[:0], 3)
    assert distances.shape == ids.shape == (0, 3)


@pytest.fixture(scope="module")
def digits():
    encoder = keras_hash.load("dshc_digits_30")
    bench = keras_hash.data.load("digits")
    parts = [bench.arrays(part)[0] for part in ("query", "database")]
    return [encoder.encode(images, verbose=0) for images in parts]


def test_codes_of_the_zoo(make, digits):
    queries, items = digits
    # These codes repeat, so almost every row is cut among ties.
    assert len(np.unique(items, axis=0)) < len(items) / 2
    index, exact = make(30), keras_hash.Index(30, items)
    index.add(items)
    for k in (1, 10, 100):
        distances = same(index, exact, queries, items, k)
        in_graph, _ = HammingSearch(items, 30, k=k)(queries)
        np.testing.assert_array_equal(distances, in_graph)
    # All of them leaves no choice at all.
    _, ids = index.search(queries[:9], len(items))
    np.testing.assert_array_equal(ids, exact.search(queries[:9], 10**6)[1])


@pytest.fixture(scope="module")
def photos():
    if not cifar10.is_prepared():
        pytest.skip("CIFAR-10 is not prepared here")
    bench = keras_hash.data.load("cifar10")
    images = np.stack([x for x, _ in bench.database.take(2000)])
    return keras_hash.load("dshc_cifar10_30").encode(images, verbose=0)


@pytest.mark.real
def test_codes_of_real_images(make, photos):
    index, exact = make(30), keras_hash.Index(30, photos)
    index.add(photos)
    for k in (10, 1000):
        distances = same(index, exact, photos[::20], photos, k)
        in_graph, _ = HammingSearch(photos, 30, k=k)(photos[::20])
        np.testing.assert_array_equal(distances, in_graph)


def test_opened_again(make, rng):
    items = codes.pack(rng.randn(50, 30))
    index = make(30)
    early = make(30)
    assert len(early) == 0
    index.add(items[:20])
    # Opened before anything was there, and yet it finds it.
    assert len(early) == 20
    index.close()
    for call in (lambda: len(index), lambda: index.search(items[:1])):
        with pytest.raises(ValueError, match="index is closed"):
            call()
    with make(30) as index:
        # Running ids go on behind those that are there.
        index.add(items[20:])
        exact = keras_hash.Index(30, items)
        same(index, exact, items[:9], items, 50)
    # 30 and 32 bits take the same four bytes.
    for bits in (29, 32, 48):
        with pytest.raises(ValueError, match=f"of 30 bits.*bits={bits}"):
            make(bits)
    assert len(make(30)) == 50


def test_ids(make, rng):
    items = codes.pack(rng.randn(4, 12))
    index = make(12)
    index.add(items[:2])
    index.add(items[2:], [40, -7])
    index.add(items[:1])
    found = index.search(items[:1], 9)[1]
    assert sorted(found[0].tolist()) == [-7, 0, 1, 40, 41]
    # A number is not given twice, and one opened again goes on.
    index.remove([41, 41, 0])
    index.add(items[:1])
    found = make(12)
    found.add(items[:1])
    ids = found.search(items[:1], 9)[1][0].tolist()
    assert sorted(ids) == [-7, 1, 40, 42, 43]
    for twice in ([9, 9], [8, 40], [7, -7]):
        with pytest.raises(ValueError, match="should all be different"):
            index.add(items[:2], twice)
    with pytest.raises(ValueError, match="should be ints, as before"):
        index.add(items[:1], ["a"])
    with pytest.raises(ValueError, match="1 that are not, first 99"):
        index.remove([1, 99])
    with pytest.raises(ValueError, match="1 that are not, first 'a'"):
        index.remove(["a"])
    index.remove([])
    index.add(items[:0])
    assert len(index) == 5
    index.add(items[:1], [2**63 - 2])
    with pytest.raises(ValueError, match="no ints are left"):
        index.add(items[:2])
    index.add(items[:1], [2**63 - 1])
    for again in (index, make(12)):
        with pytest.raises(ValueError, match="no ints are left"):
            again.add(items[:1])
    assert 2**63 - 1 in index.search(items[:1], 9)[1]


def test_ids_of_text(make, rng):
    names = [
        "",
        "é",
        "it's",
        'a"b',
        "back\\slash",
        "c\\",
        "% $x {0}",
        "ab 日本",
    ]
    names.append("x" * 1024)
    items = codes.pack(rng.randn(len(names), 12))
    index = make(12)
    index.add(items, names)
    for name in names:
        with pytest.raises(ValueError, match="1 that are there"):
            index.add(items[:1], [name])
    assert sorted(index.search(items[:1], 99)[1][0]) == sorted(names)
    with pytest.raises(ValueError, match="has strings for ids"):
        index.add(items[:1])
    with pytest.raises(ValueError, match="should be strings, as before"):
        index.add(items[:1], [3])
    if isinstance(index, MilvusIndex):
        with pytest.raises(ValueError, match="without apostrophes"):
            index.remove(["", "it's"])
        assert len(index) == len(names)
        names.remove("it's")
    index.remove(names[1:])
    assert "" in index.search(items[:1])[1]
    assert len(index) == (2 if isinstance(index, MilvusIndex) else 1)
    for bad in ("a\0b", "a\nb", "\udc80.jpg", "é" * 513, -(2**63)):
        with pytest.raises(ValueError, match="without control characters"):
            make(12, "other").add(items[:1], [bad])
    assert len(make(12, "other")) == 0


def test_batches(make, rng, monkeypatch):
    """Rows, ids and queries go in parts."""
    monkeypatch.setattr(base.Engine, "batch", 7)
    monkeypatch.setattr(base.Engine, "results", 50)
    items = codes.pack(rng.randn(60, 21))
    index = make(21)
    index.add(items, np.arange(60) * 2)
    with pytest.raises(ValueError, match="30 that are there, such as 60"):
        index.add(items[:31], [1, *range(60, 120, 2)])
    exact = keras_hash.Index(21, items, np.arange(60) * 2)
    same(index, exact, items[:23], items, 11, np.arange(60) * 2)
    index.remove(np.arange(0, 80, 2))
    assert len(index) == 20
    # Opened again, it asks several times which id is the largest.
    again = make(21)
    again.add(items[:2])
    assert max(again.search(items[:1], 22)[1][0]) == 120


def test_clear_errors(make, rng):
    index = make(12)
    query = codes.pack(rng.randn(2, 12))
    with pytest.raises(ValueError, match="index is empty"):
        index.search(query)
    with pytest.raises(ValueError, match="1 that are not, first 5"):
        index.remove([5])
    with pytest.raises(ValueError, match=r"packed codes, uint8 \[n, 2\]"):
        index.add(codes.pack(rng.randn(2, 30)))
    with pytest.raises(ValueError, match="bits set after its first 12"):
        index.add(np.full((1, 2), 255, "uint8"))
    with pytest.raises(ValueError, match=r"`ids` should have shape \[2\]"):
        index.add(query, [1])
    with pytest.raises(ValueError, match="`ids` should be ints"):
        index.add(query, [1.5, 2.5])
    assert len(index) == 0
    index.add(query)
    for k in (0, True, 1.0):
        with pytest.raises(ValueError, match="`k` should be at least 1"):
            index.search(query, k)
    with pytest.raises(ValueError, match=r"packed codes, uint8 \[n, 2\]"):
        index.search(query[:, :1])
    for settings, message in (
        ({"similarity": "and"}, '`similarity` should be "hamming"'),
        ({"probes": 2}, "`probes` should be at most `lists`"),
        ({"lists": 0}, "`lists` should be"),
    ):
        with pytest.raises(ValueError, match=message):
            make(12, **settings)
    with pytest.raises(ValueError, match="`bits` should be"):
        make(0)


def test_what_others_stored(make, rng):
    """Tables of other programs are left alone."""
    index = make(16, "theirs")
    if isinstance(index, LanceIndex):
        index._database.create_table("theirs", [{"id": 1, "code": [1, 2]}])
    else:
        index._client.create_collection(index.name, dimension=4)
    with pytest.raises(ValueError, match="holds no codes of keras_hash"):
        make(16, "theirs")
    with pytest.raises(ValueError, match="holds no codes of keras_hash"):
        index.add(codes.pack(rng.randn(2, 16)))


@pytest.mark.parametrize("make", [LANCE], indirect=True)
def test_lists(make, rng):
    """An index of lists: exact without `probes`, all rows full with them."""
    items = codes.pack(rng.randn(3000, 30))
    exact = keras_hash.Index(30, items)
    index = make(30, lists=16)
    index.optimize()
    index.add(items[:2000])
    index.optimize()
    index.add(items[2000:])
    same(index, exact, items[::100], items, 40)
    best = exact.search(items[::100], 40)[0]
    shares = []
    for probes in (1, 4, 16):
        some = make(30, lists=16, probes=probes)
        found, ids = some.search(items[::100], 40)
        every = codes.hamming(items[::100], items)
        np.testing.assert_array_equal(
            np.take_along_axis(every, ids, axis=1), found
        )
        shares.append((found == best).mean())
        # More than a list holds.
        assert some.search(items[:3], 2500)[0].shape == (3, 2500)
    assert shares[0] < shares[1] < shares[2] == 1


@pytest.mark.parametrize("make", [MILVUS], indirect=True)
def test_limits_of_milvus(make, rng, tmp_path):
    items = np.repeat(codes.pack(rng.randn(2, 16)), 8193, axis=0)
    index = make(16)
    index.add(items)
    with pytest.raises(ValueError, match="`k` should be at most 16384"):
        index.search(items[:1], 20_000)
    distances, _ = index.search(items[:1], 16_384)
    assert distances.shape == (1, 16_384) and (distances[0, :8193] == 0).all()
    with pytest.raises(ValueError, match="the embedded Milvus has BIN_FLAT"):
        MilvusIndex(16, tmp_path / "other.db", lists=4)
    with pytest.raises(ConnectionError, match="was not opened"):
        MilvusIndex(16, tmp_path / "missing" / "codes.db")
    with pytest.raises(ConnectionError, match="was not opened"):
        MilvusIndex(16, tmp_path / "codes")


@pytest.mark.parametrize("make", [LANCE], indirect=True)
def test_folders_that_cannot_be_used(make, tmp_path, rng):
    items = codes.pack(rng.randn(40, 30))
    make(30).add(items[:20])
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConnectionError, match="`uri` should be a LanceDB"):
        LanceIndex(30, tmp_path / "file").add(items)
    index = make(30)
    for part in tmp_path.glob("codes.lance/data/*"):
        part.rename(tmp_path / part.name)
    with pytest.raises(ConnectionError, match="was not searched"):
        index.search(items[:1])
    for part in tmp_path.glob("*.lance"):
        if part.is_file():
            part.rename(tmp_path / "codes.lance/data" / part.name)
    assert index.search(items[:1])[0][0, 0] == 0


def test_a_kill_leaves_what_was_added(make, tmp_path, milvus_file, rng):
    """Another process is killed amid adding."""
    items = codes.pack(rng.randn(500, 48))
    lance = isinstance(make(48), LanceIndex)
    path = tmp_path / ("lance" if lance else "killed.db")
    np.save(tmp_path / "items.npy", items)
    script = f"""
import os, signal, sys
import numpy as np
from keras_hash.search import {"LanceIndex" if lance else "MilvusIndex"} as Kind
items = np.load({str(tmp_path / "items.npy")!r})
index = Kind(48, {str(path)!r})
index.add(items[:400])
write = index._write
index._write = lambda codes, ids: os.kill(os.getpid(), signal.SIGKILL)
index.add(items[400:])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True)
    assert done.returncode == -9, done.stderr.decode()
    kind = LanceIndex if lance else MilvusIndex
    with kind(48, path) as index:
        exact = keras_hash.Index(48, items[:400])
        same(index, exact, items[::50], items[:400], 20)
        index.add(items[400:])
        assert len(index) == 500


@pytest.mark.parametrize("make", [MILVUS], indirect=True)
def test_a_closed_file_is_free(make, tmp_path):
    """Milvus lets one program open a file, until its last index is closed."""
    path = tmp_path / "free.db"
    script = (
        "import sys; from milvus_lite.server import Server; "
        "sys.exit(not Server(sys.argv[1]).start())"
    )
    other = [sys.executable, "-W", "ignore", "-c", script, path]
    first, second = MilvusIndex(12, path), MilvusIndex(12, path)
    first.add(np.zeros((1, 2), "uint8"))
    first.close()
    assert subprocess.run(other).returncode == 1
    assert len(second) == 1
    second.close()
    second.close()
    for bits in (13, 30):
        with pytest.raises(ValueError, match="of 12 bits"):
            MilvusIndex(bits, path)
    assert subprocess.run(other).returncode == 0
    with MilvusIndex(12, path) as index:
        assert len(index) == 1


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.parametrize("make", [MILVUS], indirect=True)
def test_a_server_that_does_not_answer(make, capfd):
    uri = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ConnectionError) as error:
        MilvusIndex(12, uri, timeout=5)
    assert "`uri` should be a Milvus that answers" in str(error.value)
    assert uri in str(error.value) and "\n" not in str(error.value)
    # One error, and nothing printed beside it.
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("make", [MILVUS], indirect=True)
def test_a_server_that_stops_answering(make, tmp_path, rng):
    """The embedded server, on a port, is killed and started anew."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from milvus_lite.server import Server
    port = free_port()
    items = codes.pack(rng.randn(300, 30))
    exact = keras_hash.Index(30, items[:200])

    def start():
        server = Server(str(tmp_path / "served.db"), f"127.0.0.1:{port}")
        assert server.init() and server.start()
        return server

    def answers(call):
        for _ in range(100):
            with contextlib.suppress(ConnectionError):
                return call()
            time.sleep(0.2)
        return call()

    server = start()
    try:
        uri = f"http://127.0.0.1:{port}"
        index = answers(lambda: MilvusIndex(30, uri, timeout=5))
        index.add(items[:200])
        same(index, exact, items[::20], items[:200], 10)
        server._p.kill()
        server._p.wait()
        for call in (
            lambda: index.search(items[:1]),
            lambda: index.add(items[200:]),
            lambda: index.remove([3]),
            lambda: len(index),
            lambda: MilvusIndex(30, uri, timeout=5),
        ):
            with pytest.raises(ConnectionError, match="that answers"):
                call()
        server = start()
        assert answers(lambda: len(index)) == 200
        same(index, exact, items[::20], items[:200], 10)
        index.add(items[200:])
        index.close()
        with MilvusIndex(30, uri, timeout=5) as index:
            exact.add(items[200:])
            same(index, exact, items[::20], items, 300)
    finally:
        server.stop()


@pytest.mark.parametrize("kind", [MilvusIndex, LanceIndex])
def test_a_missing_package(kind, tmp_path, monkeypatch):
    for name in ("pymilvus", "milvus_lite", "milvus_lite.server_manager"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "lancedb", None)
    extra = "milvus" if kind is MilvusIndex else "lance"
    with pytest.raises(ImportError, match=rf"keras-hash\[{extra}\]"):
        kind(12, tmp_path / "codes.db")


@pytest.mark.parametrize("make", [MILVUS], indirect=True)
def test_a_milvus_without_binary_vectors(make, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: "3.2.2")
    with pytest.raises(ImportError, match="3.2.2 has none") as error:
        MilvusIndex(12, tmp_path / "codes.db")
    assert "keras-hash[milvus]" in str(error.value)


def test_nothing_is_imported_before_use():
    script = (
        "import sys, keras_hash.search; "
        "assert not {'pymilvus', 'milvus_lite', 'lancedb'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
