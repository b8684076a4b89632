"""Image files of every kind, and pools of them, made by the tests."""

import functools
import pathlib
import struct
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_hash.data import ImageFiles
from keras_hash.data import headers
from keras_hash.data import images


@pytest.fixture
def scene():
    """Smooth, without symmetry, so that a wrong turn shows, JPEGs do not."""
    y, x = np.mgrid[:24, :40] / 40
    return np.stack([255 * x, 400 * y, 255 * x * y], axis=-1).astype("uint8")


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def chunk(kind, content):
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(
        ">I", crc
    )  # fmt: skip


def png(width, height, depth, color, rows):
    """A PNG file made by hand; `rows` are bytes with their filter byte."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(b"IHDR", header),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
def test_orientation(tmp_path, scene, orientation, kind):
    """The stored pixels are the scene, un-turned as the standard defines."""
    # Where the first row and the first column of the stored image belong.
    stored = {
        1: scene,
        2: scene[:, ::-1],
        3: scene[::-1, ::-1],
        4: scene[::-1],
        5: scene.swapaxes(0, 1),
        6: scene.swapaxes(0, 1)[::-1],
        7: scene[::-1, ::-1].swapaxes(0, 1),
        8: scene.swapaxes(0, 1)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"jpeg": {"quality": 100, "subsampling": 0}}
    options = options.get(kind, {"lossless": True} if kind == "webp" else {})
    path = save(
        tmp_path / f"a.{kind}", np.ascontiguousarray(stored), exif=exif,
        **options,
    )  # fmt: skip
    decoded = images.decode(path)
    assert decoded.shape == scene.shape and decoded.dtype == np.uint8
    difference = np.abs(decoded.astype(int) - scene)
    assert difference.max() <= (4 if kind == "jpeg" else 0)


def test_a_damaged_or_odd_orientation_is_passed_over(tmp_path, scene):
    exif = Image.Exif()
    exif[0x0112] = 99
    path = save(tmp_path / "a.png", scene, exif=exif)
    np.testing.assert_array_equal(images.decode(path), scene)
    path = save(tmp_path / "b.png", scene, exif=b"Exif\x00\x00nonsense")
    np.testing.assert_array_equal(images.decode(path), scene)


def test_grey_black_and_white_and_palette(tmp_path, scene):
    grey = scene[..., 0]
    expected = np.repeat(grey[..., None], 3, axis=-1)
    path = save(tmp_path / "grey.png", grey)
    np.testing.assert_array_equal(images.decode(path), expected)
    Image.fromarray(grey > 99).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(
        images.decode(tmp_path / "bits.png"), 255 * (expected > 99)
    )
    palette = Image.fromarray(scene).quantize(16)
    palette.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(
        images.decode(tmp_path / "palette.png"),
        np.asarray(palette.convert("RGB")),
    )


def test_transparency_becomes_white(tmp_path, scene):
    alpha = np.full((24, 40, 1), 255, "uint8")
    alpha[:, :10], alpha[:, 10:20] = 0, 51
    path = save(tmp_path / "rgba.png", np.concatenate([scene, alpha], -1))
    got = images.decode(path).astype(int)
    assert (got[:, :10] == 255).all()
    np.testing.assert_allclose(
        got[:, 10:20], 0.2 * scene[:, 10:20] + 0.8 * 255, atol=1
    )
    np.testing.assert_array_equal(got[:, 20:], scene[:, 20:])
    save(tmp_path / "la.png", np.concatenate([scene[..., :1], alpha], -1))
    assert (images.decode(tmp_path / "la.png")[:, :10] == 255).all()
    # One palette entry that is transparent.
    halves = np.repeat([[0, 1]], 20, axis=1).repeat(24, axis=0)
    palette = Image.fromarray(halves.astype("uint8")).convert("P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    for name in ("p.png", "p.gif"):
        palette.save(tmp_path / name, transparency=0)
        got = images.decode(tmp_path / name)
        assert (got[:, :20] == 255).all()
        assert (got[:, 20:] == [40, 50, 60]).all()


def test_cmyk_jpeg(tmp_path, scene):
    cmyk = Image.fromarray(scene).convert("CMYK")
    cmyk.save(tmp_path / "a.jpg", quality=100)
    got = images.decode(tmp_path / "a.jpg").astype(int)
    assert np.abs(got - scene).max() <= 6


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_16_bits_are_scaled_not_clipped(tmp_path, kind):
    values = np.linspace(0, 65535, 24 * 40).reshape(24, 40).astype("uint16")
    path = save(tmp_path / f"a.{kind}", values)
    got = images.decode(path)
    expected = np.round(values / 257)
    np.testing.assert_array_equal(got, expected[..., None].repeat(3, -1))


def test_16_bit_colour(tmp_path):
    values = np.linspace(0, 65535, 8 * 8 * 3).reshape(8, 8, 3).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    path = tmp_path / "a.png"
    path.write_bytes(png(8, 8, 16, 2, rows))
    got = images.decode(path)
    np.testing.assert_allclose(got, values / 257, atol=1)


def test_other_depths(tmp_path):
    Image.fromarray(np.full((4, 4), 0.5, "float32")).save(tmp_path / "f.tiff")
    with pytest.raises(ValueError, match="f.tiff: float pixels"):
        images.decode(tmp_path / "f.tiff")
    Image.fromarray(np.full((4, 4), 1 << 20, "int32")).save(tmp_path / "i.tiff")
    with pytest.raises(ValueError, match="i.tiff: .* more than 16 bits"):
        images.decode(tmp_path / "i.tiff")


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_the_first_frame_of_an_animation(tmp_path, kind):
    frames = [Image.new("RGB", (20, 10), c) for c in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "webp" else {}
    frames[0].save(
        tmp_path / f"a.{kind}", save_all=True, append_images=frames[1:],
        duration=50, **options,
    )  # fmt: skip
    got = images.decode(tmp_path / f"a.{kind}")
    assert got.shape == (10, 20, 3) and (got == [255, 0, 0]).all()


@pytest.mark.parametrize("kind", ["jpeg", "png"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_thumbnails_are_small_and_upright(tmp_path, kind, orientation):
    y, x = np.mgrid[:600, :1000]
    pixels = np.stack([x / 4, y / 3, (x + y) / 7], axis=-1).astype("uint8")
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "large", pixels, format=kind, exif=exif)
    small = images.thumbnail(path, 100)
    assert small.dtype == np.uint8
    assert small.shape == ((60, 100, 3) if orientation == 1 else (100, 60, 3))
    whole = Image.fromarray(images.decode(path))
    whole.thumbnail((100, 100))
    assert np.abs(small - np.asarray(whole).astype(int)).max() < 8
    # Smaller images stay as they are.
    np.testing.assert_array_equal(
        images.thumbnail(path, 1000), images.decode(path)
    )
    path.write_bytes(b"no image")
    with pytest.raises(ValueError, match="large: not an image"):
        images.thumbnail(path, 100)


@pytest.mark.parametrize("shape", [(40, 100, 3), (100, 40, 3), (60, 60, 3)])
def test_thumbnails_of_pixels_and_squares(shape):
    """The whole picture on black, never enlarged; pixels outside are cut."""
    pixels = np.full(shape, 300.0)
    pixels[0] = -5
    small = images.thumbnail(pixels, 50)
    assert small.dtype == np.uint8 and max(small.shape) == 50
    square = images.thumbnail(pixels, 50, square=True)
    assert square.shape == (50, 50, 3) and square.max() == 255
    share = min(shape[:2]) / max(shape[:2])
    assert (square[..., 0] > 128).mean() == pytest.approx(share, abs=0.05)
    large = images.thumbnail(pixels, 500, square=True)
    assert large.shape == (max(shape), max(shape), 3)
    np.testing.assert_array_equal(
        images.thumbnail(pixels, 500), np.clip(pixels, 0, 255)
    )


def test_webp_and_a_wrong_ending(tmp_path, scene):
    save(tmp_path / "a.webp", scene, lossless=True)
    (tmp_path / "a.webp").rename(tmp_path / "b.jpg")
    np.testing.assert_array_equal(images.decode(tmp_path / "b.jpg"), scene)
    save(tmp_path / "c.png", scene)
    (tmp_path / "c.png").rename(tmp_path / "no_ending")
    np.testing.assert_array_equal(images.decode(tmp_path / "no_ending"), scene)


def broken(folder, rng):
    """Dict from path to what the message should say."""
    noise = rng.randint(0, 256, (64, 64, 3)).astype("uint8")
    whole = {
        kind: save(folder / f"whole.{kind}", noise).read_bytes()
        for kind in ("jpeg", "png", "gif", "webp")
    }
    contents = {
        **{
            f"cut.{kind}": (content[: len(content) // 2], "damaged|known")
            for kind, content in whole.items()
        },
        "zero.jpg": (b"", "empty file"),
        "text.jpg": (b"this is not an image", "not an image of a known"),
        "page.png": (b"<html><body>404</body></html>", "not an image"),
        "header.png": (b"\x89PNG\r\n\x1a\n" + bytes(40), "damaged|known"),
        "giant.png": (png(1 << 13, (1 << 12) + 1, 8, 2, b""), "8192x4097 pix"),
        "bomb.png": (png(1 << 16, 1 << 16, 8, 2, b""), "pixels"),
    }
    for kind in whole:
        (folder / f"whole.{kind}").unlink()
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    return {folder / name: says for name, (_, says) in contents.items()}


def test_broken_files_are_named(tmp_path, rng):
    for path, says in broken(tmp_path, rng).items():
        with pytest.raises(ValueError, match=says) as caught:
            images.decode(path)
        assert str(caught.value).startswith(f"{path}: ")
        reason = images.check(path)
        assert reason in str(caught.value) and path.name not in reason
    for path in (tmp_path, tmp_path / "missing.png"):
        with pytest.raises(ValueError, match=str(path)):
            images.decode(path)


def test_the_bound_itself_is_allowed(tmp_path, monkeypatch, scene):
    path = save(tmp_path / "a.png", scene)
    monkeypatch.setattr(headers, "MAX_PIXELS", 24 * 40)
    assert images.check(path) is None
    monkeypatch.setattr(headers, "MAX_PIXELS", 24 * 40 - 1)
    assert images.check(path) == "40x24 pixels, above 959"


@pytest.mark.parametrize(
    "shape, size",
    [
        ((60, 50), (32, 32)),
        ((9, 20), (32, 17)),
        ((1, 1), (3, 2)),
        ((32, 300), (32, 32)),
        ((500, 7), (3, 40)),
    ],
)
@pytest.mark.parametrize("kind", ["uint8", "float32", "float64"])
def test_other_backends_resize_alike(rng, shape, size, kind, monkeypatch):
    image = rng.randint(0, 256, (*shape, 3)).astype(kind)
    expected = images.fitted(image, size)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    found = images.fitted(image, size)
    assert found.dtype == expected.dtype == "float32"
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_resize_is_that_of_the_models(tmp_path, rng):
    pixels = rng.randint(0, 256, (90, 120, 3)).astype("uint8")
    path = save(tmp_path / "a.png", pixels)
    for size in ((30, 50), (90, 120), (200, 150)):
        expected = keras.ops.convert_to_numpy(
            keras.ops.image.resize(
                pixels.astype("float32"), size, "bilinear", antialias=True,
                data_format="channels_last",
            )
        )  # fmt: skip
        got = images.fit(images.decode(path), size)
        assert got.dtype == np.uint8
        np.testing.assert_allclose(got, expected, atol=0.51)
        # In a dataset too, for training.
        dataset = tf.data.Dataset.from_tensors(pixels)
        dataset = dataset.map(functools.partial(images.fit_in_graph, size=size))
        (fed,) = dataset.as_numpy_iterator()
        np.testing.assert_array_equal(fed, got)


@pytest.fixture
def pool(tmp_path):
    paths = [
        save(tmp_path / f"{i}.png", np.full((9, 7, 3), i, "uint8"))
        for i in range(40)
    ]
    return ImageFiles(paths)


def test_a_pool_is_indexed_like_an_array(pool):
    array = np.broadcast_to(
        np.arange(40, dtype="uint8")[:, None, None, None], (40, 9, 7, 3)
    )
    assert len(pool) == 40
    mask = np.arange(40) % 3 == 0
    for index in (3, -1, slice(2, 30, 7), [5, 1, 1], np.array([39]), mask):
        np.testing.assert_array_equal(pool[index], array[index])
    with pytest.raises(IndexError):
        pool[40]


def test_a_pool_as_a_dataset_keeps_the_order(pool, rng):
    order = rng.permutation(40)
    dataset = pool.dataset(order)
    assert int(dataset.cardinality()) == 40
    assert dataset.element_spec.shape == (None, None, 3)
    for _ in range(2):
        got = [int(image[0, 0, 0]) for image in dataset.as_numpy_iterator()]
        assert got == list(order)
    assert list(pool.dataset(np.zeros(0, int))) == []


def test_a_pool_names_a_file_that_went(pool):
    gone = pathlib.Path(pool.paths[7])
    gone.unlink()
    with pytest.raises(ValueError, match="7.png: No such file"):
        pool[[6, 7]]
    with pytest.raises(tf.errors.OpError, match="7.png: No such file"):
        list(pool.dataset([6, 7]))


def test_a_pool_of_images_of_several_sizes(tmp_path):
    sides = [(3, 5), (8, 2), (3, 5)]
    paths = [
        save(tmp_path / f"{i}.png", np.full((*size, 3), i, "uint8"))
        for i, size in enumerate(sides)
    ]
    pool = ImageFiles(paths)
    assert len(pool) == 3
    assert pool[1].shape == (8, 2, 3)
    assert [image.shape[:2] for image in pool[::-1]] == sides[::-1]
    dataset = pool.dataset([2, 0, 1])
    assert dataset.element_spec.shape == (None, None, 3)
    got = [int(image[0, 0, 0]) for image in dataset.as_numpy_iterator()]
    assert got == [2, 0, 1]


@pytest.mark.parametrize("size", [0, (3,), (3, 0), "big", (1, 2, 3)])
def test_sizes_that_make_no_sense(size):
    with pytest.raises(ValueError, match="`image_size` should be"):
        images.pair(size)


def test_iterators_are_freed_at_exit_beside_objects_without_a_class(
    tmp_path, monkeypatch
):
    class Odd:
        @property
        def __class__(self):
            raise AttributeError("__class__")

    path = save(tmp_path / "a.png", np.zeros((2, 2, 3), "uint8"))
    left = iter(ImageFiles([path]).dataset([0]))
    hooks = []
    monkeypatch.setattr(images.atexit, "register", hooks.append)
    images._freed_at_exit.__wrapped__()
    monkeypatch.setattr(images.gc, "get_objects", lambda: [Odd(), left])
    (free,) = hooks
    free()
    assert not hasattr(left, "_iterator_resource")
