"""The files that the server reads beside the models, and its container."""

import ast
import json
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import serving_files

from tests.export.serving.page import PAGE
from tests.export.serving.page import here

ROOT = pathlib.Path(__file__).resolve().parents[3]


def message(name, **fields):
    """A message class, from the names and types of fields, in order."""
    from google.protobuf import descriptor_pb2
    from google.protobuf import descriptor_pool
    from google.protobuf import message_factory
    from google.protobuf import wrappers_pb2

    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(
        name="t.proto",
        package="t",
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )
    for key, content in fields.items():
        kind = file.message_type.add(name=key)
        for number, (field, of) in enumerate(content.items(), 1):
            added = kind.field.add(name=field, number=number, label=1)
            if of[0] == ".":
                added.type, added.type_name = 11, of
            else:
                added.type = {"bool": 8, "string": 9}[of]
    pool.Add(file)
    found = pool.FindMessageTypeByName(f"t.{name}")
    return message_factory.GetMessageClass(found)


def in_config(name, kind):
    from google.protobuf import text_format

    return text_format.Parse((ROOT / "zoo" / name).read_text(), kind())


def test_models_config():
    from tensorflow_serving.config import model_server_config_pb2

    config = in_config(
        "models.config", model_server_config_pb2.ModelServerConfig
    )
    found = {}
    for model in config.model_config_list.config:
        assert model.model_platform == "tensorflow"
        found[model.name] = model.base_path
    entries = [p.parent.name for p in (ROOT / "zoo").glob("*/card.json")]
    assert found == {name: f"/models/{name}" for name in entries}


def test_batching_config():
    # `session_bundle_config.proto`, which is in no package.
    whole = ".google.protobuf.Int64Value"
    kind = message(
        "BatchingParameters",
        BatchingParameters={
            "max_batch_size": whole,
            "batch_timeout_micros": whole,
            "max_enqueued_batches": whole,
            "num_batch_threads": whole,
            "thread_pool_name": ".google.protobuf.StringValue",
        },
    )
    config = in_config("batching.config", kind)
    assert config.max_batch_size.value == 64
    assert f"({config.max_batch_size.value} in" in PAGE.read_text()
    assert 0 < config.batch_timeout_micros.value <= 10_000
    assert config.max_enqueued_batches.value > 0


def test_monitoring_config():
    # `monitoring_config.proto`, which is in no package.
    kind = message(
        "MonitoringConfig",
        PrometheusConfig={"enable": "bool", "path": "string"},
        MonitoringConfig={"prometheus_config": ".t.PrometheusConfig"},
    )
    config = in_config("monitoring.config", kind).prometheus_config
    assert config.enable
    assert f"localhost:8501{config.path}" in PAGE.read_text()
    assert f"GET {config.path} HTTP" in (ROOT / "compose.yaml").read_text()


def test_compose_names_files_that_are_there():
    text = (ROOT / "compose.yaml").read_text()
    assert re.search(r"image: tensorflow/serving:\d+\.\d+\.\d+\n", text)
    assert "./zoo:/models:ro" in text
    flags = dict(re.findall(r"- --(\w+)=(\S+)\n", text))
    assert flags.pop("enable_batching") == "true"
    assert set(flags) == {
        "model_config_file",
        "batching_parameters_file",
        "monitoring_config_file",
    }
    for path in flags.values():
        assert (ROOT / path.replace("/models/", "zoo/")).is_file()
    for port in ("8500", "8501"):
        assert f'"127.0.0.1:{port}:{port}"' in text


def health_check():
    """The command of compose.yaml; the list is Python's and JSON's too."""
    text = (ROOT / "compose.yaml").read_text()
    (found,) = re.findall(r"test:\s+(\[.*?\n\s*\])", text, re.DOTALL)
    command = ast.literal_eval(found)
    assert command[0] == "CMD"
    return command[1:]


def test_health_check(ports):
    command = [here(part, ports) for part in health_check()]
    assert subprocess.run(command, timeout=20).returncode == 0
    # A server that answers with an error, and none at all.
    wrong = [part.replace("prometheus", "nothing") for part in command]
    assert subprocess.run(wrong, timeout=20).returncode != 0
    nobody = [here(part, {"8501": "1"}) for part in health_check()]
    run = subprocess.run(nobody, timeout=20, stderr=subprocess.DEVNULL)
    assert run.returncode != 0


def test_the_files_are_current_and_stale_ones_are_named(
    folders, tmp_path, monkeypatch, capsys
):
    def run(*arguments):
        words = ["serving_files.py", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        serving_files.main()

    run("--check")
    entry = tmp_path / "mine" / "entry"
    shutil.copytree(folders / "dshc_digits_30", entry)
    shutil.rmtree(entry / "1" / "assets.extra")
    card = json.loads((entry / "card.json").read_text())
    (key,) = (f for f in card["files"] if "assets.extra" in f)
    checksum = card["files"].pop(key)
    (entry / "card.json").write_text(json.dumps(card))
    with pytest.raises(SystemExit, match="models.config is stale"):
        run(entry.parent, "--check")
    run(entry.parent, "--warm-up", entry)
    assert key in capsys.readouterr().out
    assert 'name: "entry"' in (entry.parent / "models.config").read_text()
    again = json.loads((entry / "card.json").read_text())
    assert again["files"][key] == checksum and again["bytes"] == card["bytes"]
    run(entry.parent, "--check")
