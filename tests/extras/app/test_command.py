"""The command that serves the page: options, a warning, its end."""

import pathlib
import signal
import socket
import sys

import pytest
from PIL import Image

from keras_hash import cli
from keras_hash.zoo import encoder as encoding
from tests.extras.app.indexes import NAME
from tests.extras.app.indexes import indexed
from tests.extras.app.server import fetch
from tests.extras.app.server import serving
from tests.extras.app.uploads import multipart


def run(capsys, *arguments):
    code = cli.main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_bad_options_are_one_line(capsys, tmp_path, monkeypatch, digits):
    def too_late(*_):
        raise AssertionError("the encoder was loaded first")

    path = tmp_path / "a.png"
    Image.fromarray(digits.arrays("database")[0][0]).save(path)
    index = indexed(tmp_path, [str(path)])
    monkeypatch.setattr(encoding, "FileEncoder", too_late)
    app = ("app", "--model", NAME, "--index", index)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        for options, message in (
            (("-k", 0), "`-k` should be an int from 1 to 100. Received: 0"),
            (("--radius", 31), "`--radius` should be an int from 0 to 30."),
            (("--port", 70000), "`--port` should be an int from 0 to 65535."),
            (("--port", port), f"port {port}: Address already in use. Give"),
            (("--host", "192.0.2.1"), "Cannot listen at 192.0.2.1, port"),
            (("--index", tmp_path / "none"), "There is no index"),
            (("--model", "dshc_cifar10_60"), "Search with the encoder that"),
        ):
            code, out, err = run(capsys, *app, *options)
            assert (code, out) == (2, "") and message in err, err
            assert err.count("\n") == 1
    monkeypatch.setitem(sys.modules, "gradio", None)
    code, _, err = run(capsys, *app, "--port", 0)
    assert code == 2 and 'pip install "keras-hash[app]"' in err


@pytest.mark.slow
def test_another_host_is_warned_of_and_a_kill_leaves_nothing(
    framework, tmp_path, digits, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(digits.arrays("database")[0][0]).save("a.png")
    indexed(tmp_path, ["a.png"])
    with serving(tmp_path, NAME, "--host", "0.0.0.0") as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        assert fetch(url, "/", headers={"Host": "my.photos:80"})[0] == 200
        upload = multipart("a.png", pathlib.Path("a.png").read_bytes())
        assert fetch(url, "/gradio_api/upload", **upload)[0] == 200
        assert len(list(server.temporary.rglob("a.png"))) == 1
        server.process.send_signal(signal.SIGTERM)
        _, err = server.process.communicate(timeout=300)
        assert server.process.returncode == 143
        assert "0.0.0.0 can be reached from other machines" in err
        assert err.count("\n") == 1
        assert list(server.temporary.iterdir()) == []
