"""Image files in the graph: formats, headers that lie, photos upright."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from PIL import ImageOps

from keras_hash.export import decoding
from tests.entry import coarse_images
from tests.entry import encoded
from tests.entry import write


@pytest.fixture(scope="module")
def entry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo") / "entry"
    return folder, write(folder)


@pytest.fixture(scope="module")
def served(entry):
    return tf.saved_model.load(str(entry[0] / "1")).signatures


@pytest.fixture(scope="module")
def images():
    return coarse_images()


def png_header(width, height):
    """A PNG that promises a huge image."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + checksum


def gif_header(width, height):
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(20)


def bmp_header(width, height):
    return b"BM" + bytes(16) + struct.pack("<ii", width, height) + bytes(30)


def jpeg_header(width, height):
    image = encoded([np.zeros((8, 8, 3), "uint8")], "JPEG")[0]
    sof = image.index(b"\xff\xc0")
    return (
        image[: sof + 5] + struct.pack(">HH", height, width) + image[sof + 9 :]
    )


@pytest.mark.parametrize(
    "header", [png_header, gif_header, bmp_header, jpeg_header]
)
def test_huge_images_are_refused_by_their_header(served, images, header):
    good = encoded(images[:1], "PNG")[0]
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=r"above 33554432 pixels: `image_bytes` element\] \[1\]",
    ):
        served["encode_bytes"](
            image_bytes=tf.constant([good, header(40_000, 1_000)])
        )


def test_sides_whose_product_would_wrap(served):
    with pytest.raises(tf.errors.InvalidArgumentError, match="above 33554432"):
        served["encode_bytes"](
            image_bytes=tf.constant([png_header(2**32 - 1, 2**32 - 1)])
        )


def test_a_bmp_whose_rows_run_downwards(entry, served, rng):
    image = rng.randint(0, 256, (32, 32, 3)).astype("uint8")
    content = encoded([image], "BMP")[0]
    pixels = content[54:]
    flipped = b"".join(pixels[i : i + 96] for i in range(31 * 96, -1, -96))
    content = content[:22] + struct.pack("<i", -32) + content[26:54] + flipped
    answer = served["encode_bytes"](image_bytes=tf.constant([content]))
    np.testing.assert_array_equal(answer["code"], entry[1].encode(image))


def exif(orientation, order="<", place=8):
    """EXIF data: a camera's make, then the orientation."""
    table = struct.pack(order + "H", 2)
    table += struct.pack(order + "HHI4s", 0x010F, 2, 4, b"abc\0")
    table += struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    mark = {"<": b"II", ">": b"MM"}[order]
    head = mark + struct.pack(order + "HI", 42, place)
    return b"Exif\0\0" + head.ljust(place, b"\0") + table + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("place", [8, 300])
def test_photos_are_turned_upright(entry, served, rng, order, place):
    _, model = entry
    image = rng.randint(0, 256, (3, 2, 3), "uint8")
    image = image.repeat(16, axis=0).repeat(16, axis=1)
    found, expected = [], []
    for orientation in range(10):
        buffer = io.BytesIO()
        Image.fromarray(image).save(
            buffer, "JPEG", exif=exif(orientation, order, place)
        )
        content = buffer.getvalue()
        upright = ImageOps.exif_transpose(Image.open(buffer))
        turned = tf.io.decode_image(content).numpy()
        if orientation in (5, 6, 7, 8):
            turned = turned.swapaxes(0, 1)
        if orientation in (3, 4, 7, 8):
            turned = turned[::-1]
        if orientation in (2, 3, 6, 7):
            turned = turned[:, ::-1]
        near = np.abs(np.asarray(upright).astype(int) - turned.astype(int))
        assert near.max() < 8, "Pillow turns it in the same way"
        decoded = tf.io.decode_image(content)
        alone = decoding._upright(decoded, tf.constant(content))
        np.testing.assert_array_equal(alone, turned)
        answer = served["encode_bytes"](image_bytes=tf.constant([content]))
        found.append(answer["code"][0])
        expected.append(model.encode(turned)[0])
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(found, axis=0)) > 1, "codes should vary"


@pytest.mark.parametrize(
    "data",
    [
        b"Exif\0\0",
        b"Exif\0\0II*\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        exif(6)[:-8],
        exif(6)[:14] + b"\xff\xff" + bytes(40),
        exif(600),
    ],
)
def test_damaged_exif_turns_nothing(entry, served, rng, data):
    _, model = entry
    image = rng.randint(0, 256, (3, 2, 3), "uint8").repeat(16, axis=0)
    content = encoded([image], "JPEG")[0]
    content = (
        content[:2]
        + b"\xff\xe1"
        + struct.pack(">H", len(data) + 2)
        + data
        + content[2:]
    )
    answer = served["encode_bytes"](image_bytes=tf.constant([content]))
    plain = tf.io.decode_image(content).numpy()
    np.testing.assert_array_equal(answer["code"], model.encode(plain))


def film(images, **settings):
    """An animated GIF."""
    frames = [Image.fromarray(image) for image in images]
    buffer = io.BytesIO()
    frames[0].save(
        buffer, "GIF", save_all=True, append_images=frames[1:], **settings
    )
    return buffer.getvalue()


def test_a_gif_is_its_first_frame(entry, served, images):
    for count in (1, 2, 5):
        for settings in (
            {},
            {"duration": 40, "loop": 0},
            {"comment": b"x" * 700, "interlace": 1},
            {"optimize": False, "disposal": 2},
        ):
            content = film(images[:count], **settings)
            alone = encoded(images[:1], "GIF")[0]
            decoded = tf.io.decode_image(alone, expand_animations=False)
            answer = served["encode_bytes"](image_bytes=tf.constant([content]))
            np.testing.assert_array_equal(
                answer["code"], entry[1].encode(decoded.numpy())
            )


def frame(width, height, sides_in_header=(8, 8)):
    """A GIF of one colour whose header may say something else."""
    buffer = io.BytesIO()
    Image.new("P", (width, height), 1).save(buffer, "GIF")
    content = bytearray(buffer.getvalue())
    content[6:10] = struct.pack("<HH", *sides_in_header)
    return bytes(content)


def test_huge_frames_of_a_gif_are_refused(served):
    """The decoder takes the sides of frames, not those of the header."""
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=r"above 33554432 pixels.*\[0\] .* width:\] \[5000 7000\]",
    ):
        served["encode_bytes"](image_bytes=tf.constant([frame(7000, 5000)]))


def test_later_frames_of_a_gif_are_not_decoded(entry, served, images):
    small, huge = film(images[:1]), frame(7000, 5000)
    # The first frame, and the other one from where its frame starts.
    second = huge[huge.index(b",\0\0\0\0") :]
    content = small[:-1] + second
    decoded = tf.io.decode_image(content, expand_animations=False)
    assert decoded.shape[0] == 5000, "the decoder alone would"
    answer = served["encode_bytes"](image_bytes=tf.constant([content, small]))
    np.testing.assert_array_equal(answer["code"][0], answer["code"][1])


@pytest.mark.parametrize(
    "blocks",
    [b"!\1\0" * 300_000, b"!\1" + b"\1a" * 400_000, b"!\1\0" * 9 + b"\7", b""],
)
def test_a_gif_without_a_frame_is_refused_soon(served, blocks):
    content = b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0, 0, 0) + blocks
    content = content.ljust(26, b";")
    started = time.perf_counter()
    with pytest.raises(tf.errors.InvalidArgumentError, match="GIF"):
        served["encode_bytes"](image_bytes=tf.constant([content]))
    # Block by block in the graph, it would be minutes.
    assert time.perf_counter() - started < 20


def test_a_gif_that_ends_in_its_colours(served):
    content = b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0xF7, 0, 0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="GIF"):
        served["encode_bytes"](image_bytes=tf.constant([content + bytes(20)]))


def test_jpegs_of_many_scans(entry, served, images):
    """A short file may ask for hours of decoding."""
    buffer = io.BytesIO()
    Image.fromarray(images[0]).save(buffer, "JPEG", progressive=True)
    content = buffer.getvalue()
    last = content.rindex(b"\xff\xda")
    scan = content[last:-2]
    many = content[:-2] + 40 * scan + content[-2:]
    scans = content.count(b"\xff\xda") + 40
    # Of a small image they are few pixels.
    answer = served["encode_bytes"](image_bytes=tf.constant([content, many]))
    np.testing.assert_array_equal(answer["code"][0], answer["code"][1])
    sof = many.index(b"\xff\xc2")
    sides = struct.pack(">HH", 5000, 5000)
    huge = many[: sof + 5] + sides + many[sof + 9 :]
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=rf"too many scans: `image_bytes` element\] \[1\] \[{scans}\]",
    ):
        served["encode_bytes"](image_bytes=tf.constant([content, huge]))


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "Not a JPEG, PNG, GIF or BMP"),
        (b"plain text that is long enough to be an image", "Not a JPEG"),
        (b"\xff\xd8\xff", "Not a JPEG"),
        (png_header(8, 8), "PNG"),
        (b"\xff\xd8\xff" + bytes(60), "JPEG"),
    ],
)
def test_corrupt_bytes(served, images, content, message):
    good = encoded(images[:1], "PNG")[0]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        served["encode_bytes"](image_bytes=tf.constant([good, content]))


def test_a_cut_body_gives_the_decoders_message(served, images):
    for kind in ("PNG", "JPEG"):
        content = encoded(images[:1], kind)[0]
        with pytest.raises(tf.errors.InvalidArgumentError, match=kind):
            served["encode_bytes"](
                image_bytes=tf.constant([content[: len(content) // 2]])
            )
