"""Encoders in LiteRT, ONNX Runtime and OpenVINO, against Keras."""

import dataclasses
import importlib.util
import json
import pathlib
import warnings
from concurrent import futures

import keras
import numpy as np
import pytest
from PIL import Image

import keras_hash
from keras_hash import cli
from keras_hash import zoo
from keras_hash.cli import exporting
from keras_hash.cli import inputs
from keras_hash.export import runtimes
from keras_hash.export.runtimes import _conversion

DIGITS = "dshc_digits_30"
ABSENT = {
    name: [
        package
        for packages in runtime.NEEDED.values()
        for package in packages
        if importlib.util.find_spec(package) is None
    ]
    for name, runtime in runtimes.formats().items()
}
PRESENT = [name for name in ABSENT if not ABSENT[name]]
# Share of bits that may differ, about three times what was seen.
ALLOWED = {"float16": 0.01, "float32": 0.001, "int8": 0.06, "stored": 0.001}


def needs(format, *values):
    """A parameter that is skipped where an extra is missing."""
    return pytest.param(
        format,
        *values,
        marks=pytest.mark.skipif(
            bool(ABSENT[format]),
            reason=f'no {ABSENT[format]}: pip install "keras-hash[{format}]"',
        ),
    )


EVERY = [needs(format) for format in runtimes.formats()]
EVERY_DTYPE = [
    needs(format, dtype)
    for format, runtime in runtimes.formats().items()
    for dtype in runtime.DTYPES
]
unknown = pytest.mark.filterwarnings("ignore:The card of .* does not say")
anything = pytest.mark.skipif(
    not PRESENT, reason=f"none of the packages of these extras: {ABSENT}"
)


@pytest.fixture(scope="module")
def bench():
    return keras_hash.data.load("digits")


@pytest.fixture(scope="module")
def entries(tmp_path_factory, bench):
    """A table of codes in float16, and a real-valued head in int8."""
    keras.utils.set_random_seed(0)
    real = keras_hash.models.DPSH(12, 10)
    images, labels = bench.arrays("train")
    real.fit(images[:640], labels[:640], batch_size=64, verbose=0)
    folder = tmp_path_factory.mktemp("zoo") / "dpsh_digits_12"
    zoo.publish(real, folder, bench, "int8")
    return {
        "table": keras_hash.load(DIGITS),
        "real": keras_hash.load(folder),
        "folder": folder,
    }


def place(folder, format, name="model"):
    return folder / f"{name}{runtimes.formats()[format].ENDING or ''}"


def bytes_of(path):
    return exporting._size(path)


def run_alone(format, path, images):
    """What someone without keras_hash writes."""
    if format == "litert":
        from ai_edge_litert.interpreter import Interpreter

        run = Interpreter(str(path)).get_signature_runner()
        return run(image=images)["code"]
    if format == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path)
        return session.run(["code"], {"image": images})[0]
    import openvino

    hint = {"EXECUTION_MODE_HINT": "ACCURACY"}
    compiled = openvino.Core().compile_model(path / "model.xml", "CPU", hint)
    return compiled({"image": images})["code"]


@pytest.mark.parametrize("format, dtype", EVERY_DTYPE)
@pytest.mark.parametrize("entry", ["table", "real"])
def test_codes_are_those_of_the_model(entries, bench, tmp_path, format, dtype,
                                      entry):  # fmt: skip
    model = entries[entry]
    check, calibrate = runtimes.sample(bench, 200, representative=100)
    path = place(tmp_path, format)
    images = calibrate if dtype == "int8" else None
    runtimes.convert(model, path, format, dtype, images)
    expected = model.encode(check)

    codes = run_alone(format, path, check.astype("float32"))
    assert codes.dtype == np.uint8 and codes.shape == expected.shape
    bits = np.unpackbits(codes ^ expected, axis=1)
    assert bits[:, : model.bits].mean() <= ALLOWED[dtype]
    assert not bits[:, model.bits :].any()
    # Not by giving all images one code.
    assert len(np.unique(codes, axis=0)) > 5

    # Images one at a time, in an uneven batch, and of another size.
    exported = runtimes.load(path, model)
    assert (exported.bits, exported.similarity) == (model.bits, "hamming")
    for size in (1, 7, 200):
        found = exported.encode(check[:14], batch_size=size, verbose=False)
        np.testing.assert_array_equal(found, codes[:14])
    # By several threads at once, of different numbers of images.
    starts = range(0, 120, 6)
    with futures.ThreadPoolExecutor(4) as pool:
        several = pool.map(
            lambda low: exported.encode(
                check[low : low + 20 + low % 5], verbose=False
            ),
            starts,
        )
        for low, found in zip(starts, several):
            wanted = codes[low : low + 20 + low % 5]
            np.testing.assert_array_equal(found, wanted)
    large = check[:20].repeat(2, axis=1).repeat(2, axis=2)
    found = exported.encode(large) ^ model.encode(large)
    assert np.unpackbits(found, axis=1).mean() <= max(ALLOWED[dtype], 2e-3)

    # Weights are stored as they are said to be.
    weights = sum(np.size(v) for v in model.encoder_variables)
    width = {"float32": 4, "float16": 2, "int8": 1}
    width = width[model.stored_as if dtype == "stored" else dtype]
    assert width * weights * 0.75 < bytes_of(path)
    assert bytes_of(path) < width * weights + 75_000


@pytest.mark.parametrize("format", EVERY)
def test_stored_weights_are_not_inputs(entries, tmp_path, format):
    path = place(tmp_path, format)
    runtimes.convert(entries["real"], path, format)
    again = place(tmp_path, format, "again")
    runtimes.convert(entries["real"], again, format)
    assert abs(bytes_of(path) - bytes_of(again)) < 200
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {path.name, again.name}
    if format == "onnx":
        import onnx

        proto = onnx.load(path)
        assert [value.name for value in proto.graph.input] == ["image"]
        assert [value.name for value in proto.graph.output] == ["code"]
        kept = {i.data_type for i in proto.graph.initializer}
        assert onnx.TensorProto.INT8 in kept


@anything
def test_comparison_counts_bits_codes_and_map(entries, bench, tmp_path):
    """A file of other weights, counted with loops."""
    model, format = entries["real"], PRESENT[0]
    other = keras_hash.load(entries["folder"])
    kernel = other.encoder_variables[-2]
    noise = np.random.RandomState(0).randn(*kernel.shape)
    kernel.assign_add(0.5 * np.std(kernel.value) * noise)
    path = place(tmp_path, format)
    runtimes.convert(other, path, format)
    check, _ = runtimes.sample(bench, 60)
    found = runtimes.compare(model, path, check, bench)

    before, after = (
        model.encode(check),
        runtimes.load(path, model).encode(check),
    )
    distances = [
        sum(
            (int(a) >> shift & 1) != (int(b) >> shift & 1)
            for a, b in zip(row, theirs)
            for shift in range(8)
        )
        for row, theirs in zip(before, after)
    ]
    assert found.images == 60 and found.bits == 12 and sum(distances) > 0
    assert found.mean_distance == pytest.approx(sum(distances) / 60)
    assert found.bits_differing == pytest.approx(sum(distances) / 720)
    assert found.codes_differing == np.mean([d > 0 for d in distances])
    assert found.largest_distance == max(distances)
    maps = []
    for encoder in (model, runtimes.load(path, model)):
        codes, labels = zip(
            *(
                (encoder.encode(images), labels)
                for images, labels in map(bench.arrays, ("query", "database"))
            )
        )
        report = keras_hash.evaluate(
            codes[0], labels[0], codes[1], labels[1], bits=12
        )
        maps.append(report.metrics["map"])
    assert found.map == pytest.approx(maps[1])
    assert found.map_change == pytest.approx(maps[1] - maps[0])
    known = runtimes.compare(model, path, check, bench, reference=0.25)
    assert known.map_change == pytest.approx(maps[1] - 0.25)
    assert f"{found.largest_distance} at most" in str(found)
    assert "bit for bit" in str(runtimes.Comparison(3, 12, 0.0, 0.0, 0.0, 0))


def test_sample_never_calibrates_with_a_query(bench):
    query = {row.tobytes() for row in bench.arrays("query")[0]}
    for count, representative in ((50, 30), (1000, 5000), (10**6, 10)):
        check, calibrate = runtimes.sample(bench, count, representative)
        ours = {row.tobytes() for row in calibrate}
        assert len(check) <= count and 0 < len(calibrate) <= representative
        assert not ours & query
        assert not ours & {row.tobytes() for row in check}
    check, calibrate = runtimes.sample(bench, 50)
    assert len(check) == 50 and len(calibrate) == 0
    assert {row.tobytes() for row in check} <= query


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("a.onnx", {"format": "onxx"}, "`format` should be one of"),
        ("a.onnx", {"format": "litert"}, r"should end in .tflite"),
        ("a.tflite", {"dtype": "int4"}, "`dtype` should be one of"),
        ("a.tflite", {"dtype": "int8"}, "should be representative images"),
        ("a.tflite", {"images": np.zeros((1, 32, 32, 3))}, "None else"),
        ("there.tflite", {}, "is not replaced"),
        (
            "a.tflite",
            {"dtype": "int8", "images": np.full((1, 8, 8, 3), np.nan)},
            "should be finite",
        ),
    ],
)
def test_bad_arguments(entries, tmp_path, name, arguments, message):
    (tmp_path / "there.tflite").write_bytes(b"mine")
    arguments = {"format": "litert", **arguments}
    with pytest.raises(ValueError, match=message):
        runtimes.convert(entries["real"], tmp_path / name, **arguments)
    assert [p.name for p in tmp_path.iterdir()] == ["there.tflite"]
    assert (tmp_path / "there.tflite").read_bytes() == b"mine"


def test_models_that_have_no_images_or_no_codes_yet(tmp_path):
    models = keras_hash.models
    features = models.DPSH(8, 3, backbone="features", input_shape=(5,))
    for model, message in (
        (features, "Models of images"),
        (models.ITQ(8), "adapt"),
    ):
        with pytest.raises(ValueError, match=message):
            runtimes.convert(model, tmp_path / "a.tflite", "litert")
    assert not any(tmp_path.iterdir())


def test_a_missing_extra_is_named(entries, tmp_path, monkeypatch):
    monkeypatch.setattr(_conversion.importlib.util, "find_spec", lambda _: None)
    for format in ("onnx", "openvino"):
        path = place(tmp_path, format)
        with pytest.raises(ImportError, match=rf"keras-hash\[{format}\]"):
            runtimes.convert(entries["real"], path, format)
    path = tmp_path / "a.tflite"
    runtimes.convert(entries["real"], path, "litert")  # needs none
    with pytest.raises(ImportError, match=r"keras-hash\[litert\]"):
        runtimes.load(path, entries["real"])


def test_what_a_converter_refuses(entries, tmp_path, monkeypatch):
    class Refused(Exception):
        pass

    def fail(model, path, dtype, images, **kind):
        path.write_bytes(b"half")
        raise Refused("no such\noperation")

    monkeypatch.setattr(runtimes.formats()["litert"], "write", fail)
    with pytest.raises(ValueError, match="to litert: no such operation"):
        runtimes.convert(entries["real"], tmp_path / "a.tflite", "litert")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("format", EVERY)
def test_damaged_files_and_those_of_other_models(entries, tmp_path, format):
    path = place(tmp_path, format)
    runtimes.convert(entries["table"], path, format)
    with pytest.raises(ValueError, match="of another model"):
        runtimes.load(path, entries["real"])
    part = path / "model.xml" if path.is_dir() else path
    for content in (part.read_bytes()[: bytes_of(part) // 3], b"", b"words"):
        part.write_bytes(content)
        with pytest.raises(ValueError, match="cannot be opened"):
            runtimes.load(path, entries["table"])
    for gone in (tmp_path / "gone.onnx", tmp_path / "x.txt"):
        with pytest.raises(ValueError, match=r"should be a file of"):
            runtimes.load(gone, entries["table"])


# The command


def run(capsys, *arguments):
    code = cli.main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("format", EVERY)
def test_export(capsys, entries, tmp_path, format):
    out = place(tmp_path / "new", format)
    command = ("export", DIGITS, "--format", format, "--out", out)
    code, text, err = run(capsys, *command, "--map", "--json")
    assert code == 0, err
    found = json.loads(text)
    path = out / "1" if format == "openvino" else out
    assert found["path"] == str(path) and found["bytes"] == bytes_of(path)
    assert found["inputs"] == {"image": "float32 [n, 32, 32, 3]"}
    assert found["outputs"] == {"code": "uint8 [n, 4]"}
    assert found["comparison"]["images"] == 1000
    assert found["comparison"]["bits_differing"] < 0.003
    card = zoo.card(DIGITS)["metrics"]["map"]
    assert found["comparison"]["map"] == pytest.approx(card, abs=0.003)
    code, _, err = run(capsys, *command)
    assert code == 2 and "not replaced" in err
    assert [p.name for p in out.parent.iterdir()] == [out.name]


@pytest.mark.skipif(bool(ABSENT["litert"]), reason=f"no {ABSENT['litert']}")
def test_export_calibrates_with_half_of_own_images(capsys, bench, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "a.tflite"
    photos.mkdir()
    for i, image in enumerate(bench.arrays("train")[0][:40]):
        Image.fromarray(image).save(photos / f"{i:02d}.png")
    command = (
        "export", DIGITS, "--format", "litert", "--dtype", "int8",
        "--images", photos, "--out", out,
    )  # fmt: skip
    code, text, err = run(capsys, *command)
    assert code == 0 and out.exists(), err
    assert "20 images" in text and "code uint8 [n, 4]" in text
    for path in list(photos.iterdir())[1:]:
        path.unlink()
    out.unlink()
    code, _, err = run(capsys, *command)
    assert code == 2 and "at least two" in err and not out.exists()


@anything
def test_export_writes_nothing_that_is_broken_or_half(
    capsys, tmp_path, monkeypatch
):
    out = place(tmp_path, PRESENT[0])
    command = ("export", DIGITS, "--format", PRESENT[0], "--out", out)
    found = runtimes.Comparison(9, 30, 0.5, 1.0, 15.0, 20)
    with monkeypatch.context() as patch:
        patch.setattr(runtimes, "compare", lambda *_: found)
        code, _, err = run(capsys, *command)
    assert code == 1 and "cannot compute this encoder" in err

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runtimes, "compare", stop)
        code, _, err = run(capsys, *command)
    assert code == 130
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]
    code, text, _ = run(capsys, *command, "--no-check")
    assert code == 0 and "Not compared" in text


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--format", "onnx", "--dtype", "int8", "--out", "a.onnx"], "dtype"),
        (["--format", "onnx", "--out", "a"], "should end in .onnx"),
        (["--format", "onnx", "--search", "b", "--out", "a.onnx"], "--search"),
        (["--format", "litert", "-k", "3", "--out", "a.tflite"], "`-k` is not"),
        (["--format", "litert", "--version", "2", "--out", "a.tflite"],
         "`--version` is not"),
        (["--format", "litert", "--no-check", "--map", "--out", "a.tflite"],
         "leave out `--no-check`"),
        (["--dtype", "int8", "--out", "a"], "not for `--format savedmodel`"),
        (["--map", "--out", "a"], "not for `--format savedmodel`"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit(
    capsys, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "export", DIGITS, *arguments)
    assert code == 2 and message in err and err.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_the_command_knows_what_the_library_does():
    assert list(inputs.runtimes()) == list(runtimes.formats())
    listed = (pathlib.Path(__file__).parents[2] / "setup.cfg").read_text()
    for format, runtime in runtimes.formats().items():
        for packages in runtime.NEEDED.values():
            for package in packages:
                extra = listed.split(f"\n{format} =\n")[1].split(" =\n")[0]
                assert package.replace("_", "-") in extra


# Models and commands that another runtime makes the codes of


@unknown
@pytest.mark.parametrize("format", EVERY)
@pytest.mark.parametrize("entry", ["table", "real"])
def test_a_model_makes_codes_by_a_runtime(entries, bench, format, entry):
    model = entries[entry]
    name = DIGITS if entry == "table" else entries["folder"]
    other = keras_hash.load(name, runtime=format)
    assert other.runtime == format and model.runtime == "keras"
    images, labels = bench.arrays("query")
    images = images[:150]
    real = other.real_codes(images, verbose=False)
    expected = model.real_codes(images, verbose=False)
    same = np.sign(real) == np.sign(expected)
    assert same.mean() >= 0.999 and real.dtype == np.float32
    packed = other.encode(images, batch_size=150)
    np.testing.assert_array_equal(packed, keras_hash.codes.pack(real))
    # Images of another size, one alone, and many threads at once.
    large = images[:9].repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_array_equal(other.encode(large), model.encode(large))
    with futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(other.encode, images[:24]))
    np.testing.assert_array_equal(np.concatenate(found), packed[:24])
    if entry == "real":
        mirrored = other.real_codes(images, mirror=True)
        assert np.abs(mirrored - real).max() > 0.01
        expected = model.real_codes(images, mirror=True)
        np.testing.assert_allclose(mirrored, expected, atol=1e-4)
    other.set_runtime("keras")
    other.compile()
    np.testing.assert_array_equal(other.encode(images), model.encode(images))


@pytest.mark.parametrize("format", EVERY)
def test_weights_that_no_entry_has_rounded_yet(bench, format):
    keras.utils.set_random_seed(2)
    model = keras_hash.models.HashNet(16, 10)
    images = bench.arrays("query")[0][:40]
    expected = model.real_codes(images)
    model.set_runtime(format)
    # Half precision would be a hundred times as far away.
    np.testing.assert_allclose(model.real_codes(images), expected, atol=1e-5)


@unknown
@pytest.mark.parametrize("format", EVERY)
def test_shorter_codes_by_a_runtime(tmp_path, bench, format):
    keras.utils.set_random_seed(1)
    model = keras_hash.models.HashNet(16, 10, nested=(8,))
    folder = tmp_path / "nested"
    zoo.publish(model, folder, bench)
    images = bench.arrays("query")[0][:50]
    whole = keras_hash.load(folder, runtime=format).encode(images)
    short = keras_hash.load(folder, bits=8, runtime=format).encode(images)
    np.testing.assert_array_equal(short, whole[:, :1])


def test_a_runtime_that_is_not_there(monkeypatch):
    with pytest.raises(ValueError, match="`runtime` should be one of"):
        keras_hash.load(DIGITS, runtime="torchscript")
    monkeypatch.setattr(_conversion.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ImportError, match=r"keras-hash\[onnx\]"):
        keras_hash.load(DIGITS, runtime="onnx")


def test_weights_that_were_converted_do_not_change(monkeypatch, tmp_path):
    monkeypatch.setattr(runtimes, "engine", lambda *_: None)
    model = keras_hash.models.CSQ(16, 4)
    images = np.random.RandomState(0).randint(0, 256, (8, 32, 32, 3))
    labels = np.arange(8) % 4
    # Compiled before: `fit` would not come by `compile`.
    model.compile("adam")
    head = model.head_model()
    model.save_weights(tmp_path / "a.weights.h5")
    model.set_runtime("onnx")
    before = model.get_weights()
    for change in (
        lambda: model.compile(),
        lambda: model.fit(images, labels, verbose=0),
        lambda: model.train_on_batch(images, labels),
        lambda: model.adapt(images),
        lambda: model.set_weights(before),
        lambda: model.load_weights(tmp_path / "a.weights.h5"),
        lambda: model.quantize("int8"),
        lambda: model.take_head(head),
    ):
        with pytest.raises(ValueError, match=r'`set_runtime\("keras"\)`'):
            change()
    for value, old in zip(model.get_weights(), before):
        np.testing.assert_array_equal(value, old)
    model.set_runtime("keras")
    model.fit(images, labels, verbose=0)


def test_loading_says_how_many_bits_differ(entries, monkeypatch):
    monkeypatch.setattr(
        keras_hash.models.DPSH, "set_runtime", lambda self, runtime: None
    )
    with pytest.warns(UserWarning, match="does not say .* --runtime onnx"):
        keras_hash.load(entries["folder"], runtime="onnx")
    card = zoo.card(entries["folder"])
    for share in (0.0, 0.02):
        known = {
            "images": 500,
            "bits_differing": share,
            "codes_differing": 10 * share,
        }
        dataclasses.replace(card, runtimes={"onnx": known}).write(
            entries["folder"]
        )
        with warnings.catch_warnings(record=True, action="always") as caught:
            keras_hash.load(entries["folder"], runtime="onnx")
        said = [str(w.message) for w in caught if "On onnx" in str(w.message)]
        assert len(said) == (share > 0)
    assert "2 % of the bits" in said[0] and "20 % of 500 codes" in said[0]
    card.write(entries["folder"])


@unknown
@anything
def test_commands_by_a_runtime(capsys, entries, bench, tmp_path):
    format = PRESENT[0]
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, pixels in enumerate(bench.arrays("query")[0][:6]):
        Image.fromarray(pixels).save(photos / f"{number}.png")
    by = ("--runtime", format)
    code, text, err = run(capsys, "encode", DIGITS, photos, "--json", *by)
    assert code == 0, err
    found = [one["code"] for one in json.loads(text)["codes"]]
    _, text, _ = run(capsys, "encode", DIGITS, photos, "--json")
    assert found == [one["code"] for one in json.loads(text)["codes"]]

    # An entry whose card does not say that the codes are the same.
    index = tmp_path / "photos.index"
    search = ("search", entries["folder"], "--index", index)
    code, _, err = run(capsys, *search, "--images", photos, *by)
    assert code == 0 and "does not say how many" in err
    query = photos / "0.png"
    code, text, err = run(capsys, *search, query, *by)
    assert code == 0 and "0.png" in text.splitlines()[1], err
    code, _, err = run(capsys, *search, query)
    assert code == 2 and f"`--runtime {format}`" in err
    code, text, _ = run(capsys, *search, query, "--any-runtime")
    assert code == 0 and "0.png" in text

    code, text, err = run(capsys, "verify", DIGITS, *by)
    assert code == 0 and f"{DIGITS} on {format}: " in text, err
    code, text, _ = run(capsys, "verify", DIGITS, *by, "--json")
    assert json.loads(text)[0]["images"] == 1797


@pytest.mark.parametrize("format", EVERY)
def test_precisions_that_a_runtime_does_not_compute_in(tmp_path, format):
    for dtype in ("mixed_bfloat16", "float64"):
        model = keras_hash.models.DPSH(8, 3, dtype=dtype)
        with pytest.raises(ValueError, match='anew with dtype="float32"'):
            runtimes.convert(model, place(tmp_path, format), format)
    assert not list(tmp_path.iterdir())


def test_codes_of_other_images_are_not_compared():
    codes = np.zeros((5, 1), "uint8")
    for one, other in ((codes[:1], codes), (codes[:0], codes[:0])):
        with pytest.raises(ValueError, match="codes of the same images"):
            runtimes.compare_codes(one, other, 8)
