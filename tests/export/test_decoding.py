"""One reader, and a graph that decodes to the same bytes or refuses."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from PIL import ImageOps

from keras_hash import zoo
from keras_hash.data import headers
from keras_hash.data import images
from keras_hash.export import decoding
from keras_hash.zoo.encoder import FileEncoder
from tests import photo_files
from tests.entry import coarse_images
from tests.entry import encoded
from tests.entry import write

pytestmark = pytest.mark.doors
ALIKE = photo_files.alike(np.random.RandomState(0))
BY_THE_READER = photo_files.by_the_reader(np.random.RandomState(1))
LACKING = photo_files.lacking(np.random.RandomState(3))
REFUSED = photo_files.refused(np.random.RandomState(2)) | LACKING


@pytest.fixture(scope="module")
def entry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo") / "entry"
    return folder, write(folder)


@pytest.fixture(scope="module")
def served(entry):
    return tf.saved_model.load(str(entry[0] / "1")).signatures


@pytest.fixture(scope="module")
def files(entry):
    return FileEncoder(entry[0])


@pytest.fixture(scope="module")
def graph():
    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def decoded(content):
        header = decoding.inspect(tf.constant(0), content)
        return decoding.decode(header, content)

    return lambda content: decoded(content).numpy()


def refusal(signature, content, place=0):
    """What the graph says of a file, behind `place` good ones."""
    good = encoded(coarse_images()[:1], "PNG")
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        signature(image_bytes=tf.constant([*place * good, content]))
    return caught.value.message


@pytest.mark.parametrize("name", ALIKE)
def test_the_graph_sees_the_pixels_of_the_reader(graph, name, tmp_path):
    content = ALIKE[name]
    path = tmp_path / "photo"
    path.write_bytes(content)
    pixels = images.decode(path)
    np.testing.assert_array_equal(pixels, images.decode(content))
    np.testing.assert_array_equal(pixels, graph(content))


def test_every_door_gives_the_same_codes(entry, served, files, tmp_path):
    folder, model = entry
    contents = list(ALIKE.values())
    paths = [tmp_path / str(number) for number in range(len(contents))]
    for path, content in zip(paths, contents):
        path.write_bytes(content)
    codes = model.encode([images.decode(content) for content in contents])
    assert len(np.unique(codes, axis=0)) > 5, "codes should vary"
    answer = served["encode_bytes"](image_bytes=tf.constant(contents))
    found = {
        "encode_bytes": answer["code"].numpy(),
        "bytes": files(contents)[0],
        "paths": files(paths)[0],
        "encode_files": zoo.encode_files(folder, paths),
        "encode": model.encode(paths),
    }
    for door, given in found.items():
        wrong = (given != codes).any(axis=1)
        assert not wrong.any(), (door, np.array(list(ALIKE))[wrong])


def test_the_table_is_a_large_one():
    assert len(ALIKE) + len(BY_THE_READER) + len(REFUSED) > 120


@pytest.mark.parametrize("name", BY_THE_READER)
def test_what_the_reader_alone_takes(entry, served, files, name, tmp_path):
    folder, model = entry
    content, says = BY_THE_READER[name]
    path = tmp_path / "photo"
    path.write_bytes(content)
    code = model.encode(images.decode(path))
    np.testing.assert_array_equal(code, files([content])[0])
    np.testing.assert_array_equal(code, zoo.encode_files(folder, [path]))
    message = refusal(served["encode_bytes"], content, place=2)
    assert says in message
    assert "[2]" in message


@pytest.mark.parametrize("name", REFUSED)
def test_what_nobody_takes(entry, served, files, name, tmp_path):
    content = REFUSED[name]
    path = tmp_path / "photo"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=str(path)):
        images.decode(path)
    assert images.check(path)
    codes, kept, refused = files([content, path])
    assert len(codes) == 0 and kept == [] and list(refused) == [0, 1]
    assert refused[0] == refused[1] and str(path) not in refused[0]
    with pytest.raises(ValueError, match=str(path)):
        zoo.encode_files(entry[0], [path])
    refusal(served["encode_bytes"], content, place=1)


@pytest.mark.parametrize("turn", range(1, 9))
def test_photos_are_turned_as_pillow_turns_them(turn):
    pixels = np.random.RandomState(0).randint(0, 256, (7, 5, 3), "uint8")
    plain = photo_files.saved(pixels, "PNG")
    block = photo_files.exif(turn)
    content = plain[:33] + photo_files.chunk(b"eXIf", block) + plain[33:]
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(images.decode(content), np.asarray(upright))


def test_transparency_is_white():
    pixels = np.zeros((4, 6, 4), "uint8")
    pixels[:, 3:, 3] = 255
    for kind in ("PNG", "WEBP", "TIFF"):
        decoded = images.decode(photo_files.saved(pixels, kind))
        assert (decoded[:, :3] == 255).all() and (decoded[:, 3:] == 0).all()


def test_a_key_counts_at_the_depth_of_the_file():
    pixels = np.arange(4).repeat(4).reshape(4, 4, 1)
    content = photo_files.png(pixels, 2, 0, key=struct.pack(">H", 2))
    decoded = images.decode(content)[..., 0]
    np.testing.assert_array_equal(decoded[:, 0], [0, 85, 255, 255])


def jpeg(width, height, **settings):
    image = Image.fromarray(coarse_images()[0]).resize((width, height))
    stream = io.BytesIO()
    image.save(stream, "JPEG", **settings)
    return stream.getvalue()


@pytest.mark.parametrize("limit, scale", [(24_000, 1), (23_999, 2), (3000, 4)])
def test_large_jpegs_are_decoded_smaller(monkeypatch, limit, scale):
    monkeypatch.setattr(headers, "MAX_PIXELS", limit)
    for progressive in (False, True):
        content = jpeg(200, 120, progressive=progressive)
        pixels = images.decode(content)
        assert pixels.shape == (120 // scale, 200 // scale, 3)
        header = decoding.inspect(tf.constant(0), tf.constant(content))
        alone = decoding.decode(header, tf.constant(content))
        np.testing.assert_array_equal(pixels, alone)


def test_the_bounds_of_a_request(served, entry):
    good = encoded(coarse_images()[:1], "PNG")[0]

    def ask(contents):
        return served["encode_bytes"](image_bytes=tf.constant(contents))

    with pytest.raises(tf.errors.InvalidArgumentError, match="nothing to enc"):
        served["encode_bytes"](image_bytes=tf.constant([], tf.string))
    assert len(ask([good] * decoding.MAX_IMAGES)["code"]) == 1024
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 1024"):
        ask([good] * 1025)
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 671088"):
        ask([good, bytes(decoding.MAX_BYTES)])
    # Few bytes that claim many pixels, all together.
    sof = jpeg(8, 8).index(b"\xff\xc0")
    sides = struct.pack(">HH", 5000, 6000)
    large = jpeg(8, 8)[: sof + 5] + sides + jpeg(8, 8)[sof + 9 :]
    with pytest.raises(tf.errors.InvalidArgumentError, match="pixels in all"):
        ask([large] * 20)
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 1024"):
        served["encode"](image=tf.zeros((1025, 2, 2, 3)))


def test_jpegs_of_many_scans(served):
    """A short file may ask for hours of decoding."""
    content = jpeg(32, 32, progressive=True)
    last = content.rindex(b"\xff\xda")
    many = content[:-2] + 40 * content[last:-2] + content[-2:]
    # Of a small image they are few pixels.
    answer = served["encode_bytes"](image_bytes=tf.constant([content, many]))
    np.testing.assert_array_equal(answer["code"][0], answer["code"][1])
    sof = many.index(b"\xff\xc2")
    sides = struct.pack(">HH", 5000, 5000)
    huge = many[: sof + 5] + sides + many[sof + 9 :]
    assert "too many scans" in refusal(served["encode_bytes"], huge)
    with pytest.raises(ValueError, match="too many scans"):
        images.decode(huge)


@pytest.mark.parametrize("name", LACKING)
def test_jpegs_that_lack_scans(served, name):
    with pytest.raises(ValueError, match="lacks scans; save it again"):
        images.decode(LACKING[name])
    message = refusal(served["encode_bytes"], LACKING[name], place=2)
    assert "lacks scans" in message and "[2]" in message


FLOATS = {
    "0..1": (lambda r: r.rand(3, 9, 9, 3), "by 255"),
    "-1..1": (lambda r: 2 * r.rand(3, 9, 9, 3) - 1, "127.5"),
    "standard": (lambda r: 2 * r.randn(3, 9, 9, 3), "mean and deviation"),
    "16 bits": (lambda r: 65535 * r.rand(3, 9, 9, 3), "257"),
    "nan": (lambda r: np.full((1, 4, 4, 3), np.nan), "finite"),
    "infinite": (lambda r: np.full((1, 4, 4, 3), np.inf), "finite"),
    "none": (lambda r: np.zeros((0, 4, 4, 3)), "empty"),
}
PIXELS = {
    "raw": lambda r: 255 * r.rand(3, 9, 9, 3),
    "black": lambda r: np.zeros((2, 9, 9, 3)),
    "nearly black": lambda r: r.randint(0, 2, (2, 9, 9, 3)),
    "overshoot": lambda r: 255 * r.rand(3, 9, 9, 3) * 1.2 - 9,
    "dark and bright": lambda r: np.stack(
        [r.rand(9, 9, 3), 255 * r.rand(9, 9, 3)]
    ),
}


@pytest.mark.parametrize("name", FLOATS)
def test_arrays_that_are_no_pixels(served, name):
    make, says = FLOATS[name]
    batch = tf.constant(make(np.random.RandomState(0)), tf.float32)
    with pytest.raises(tf.errors.InvalidArgumentError, match=says):
        served["encode"](image=batch)


@pytest.mark.parametrize("name", PIXELS)
def test_arrays_of_pixels(entry, served, name):
    batch = PIXELS[name](np.random.RandomState(0)).astype("float32")
    answer = served["encode"](image=tf.constant(batch))["code"]
    np.testing.assert_array_equal(answer, entry[1].encode(batch))


def _verdict(function, content):
    try:
        function(content)
        return True
    except (ValueError, tf.errors.InvalidArgumentError):
        return False


def test_the_end_of_the_pixels_of_a_png_is_judged_alike():
    """Cut, wrong or with more behind, and split between chunks anywhere."""
    random, counts = np.random.RandomState(0), [0, 0]
    rows = random.randint(0, 256, (7, 28), "uint8")
    rows[:, 0] = 0
    head = struct.pack(">IIBBBBB", 9, 7, 8, 2, 0, 0, 0)
    for more in (0, 9):
        whole = zlib.compress(rows.tobytes() + bytes(more))
        for stream in (
            whole,
            whole + b"more",
            whole[:-1],
            whole[:-5],
            whole[:-1] + bytes([whole[-1] ^ 1]),
            whole[:-6] + 6 * b"\xff",
        ):
            for split in range(1, len(stream), 3):
                content = b"\x89PNG\r\n\x1a\n" + b"".join(
                    photo_files.chunk(kind, data)
                    for kind, data in (
                        (b"IHDR", head),
                        (b"IDAT", stream[:split]),
                        (b"IDAT", stream[split:]),
                        (b"IEND", b""),
                    )
                )
                taken = _verdict(images.decode, content)
                assert taken == _verdict(tf.io.decode_png, content), split
                counts[taken] += 1
    assert min(counts) > 50


def test_what_lies_behind_the_pixels_of_a_png_is_bounded():
    """Here; TensorFlow's decoder goes through all of it."""
    stream = zlib.compressobj(9)
    parts = [stream.compress(bytes(7 * 28))]
    parts += [stream.compress(bytes(1 << 20)) for _ in range(70)]
    head = struct.pack(">IIBBBBB", 9, 7, 8, 2, 0, 0, 0)
    content = headers.PNG + b"".join(
        [
            photo_files.chunk(b"IHDR", head),
            photo_files.chunk(b"IDAT", b"".join(parts) + stream.flush()),
            photo_files.chunk(b"IEND", b""),
        ]
    )
    with pytest.raises(ValueError, match="more pixels than its header says"):
        images.decode(content)
