"""`keras-hash encode --runner`: what it says, refuses, and Ctrl-C."""

import pytest

from keras_hash import cli
from keras_hash.zoo import encoder as encoding
from tests.extras.corpus.outputs import NAME
from tests.extras.corpus.outputs import NEEDS_BEAM
from tests.extras.corpus.outputs import found

RUN = ["--runner", "FnApiRunner"]


@NEEDS_BEAM
def test_the_command(photos, tmp_path, capsys):
    def run(*words):
        code = cli.main(["encode", *map(str, words)])
        return code, *capsys.readouterr()

    (photos / "0" / "bad.png").write_bytes(b"no")
    out = tmp_path / "out"
    first = [NAME, photos, "--out", out, *RUN]
    code, said, shown = run(*first, "--images-per-shard", 10)
    assert code == 0, shown
    assert said == (
        f"40 codes of 30 bits in {out}, 5 of 5 files new\n"
        f"1 image refused: {out}/refused.csv\n"
    )
    assert shown.startswith("41 images in the list\n")
    assert "Encoding shards" in shown
    # Options of Beam, and behind `--` those of a runner's server.
    beam = ["--direct_num_workers", 1, "--", "--of_the_server", 3]
    code, said, shown = run(*first, *beam)
    assert code == 0 and "0 of 5 files new" in said
    code, said, shown = run(NAME, "--out", out, *RUN, photos, "--retry")
    assert code == 0 and "1 of 5 files new" in said
    csv = [NAME, "--csv", "x", "--out", out, *RUN]
    for words, message in [
        ([*first[:2], "--out", tmp_path, *RUN], "holds other files"),
        ([*first, "--imges", 3], "no such options"),
        (["moon", *first[1:]], "should be a zoo entry"),
        (csv, "`--csv` needs `--image-column`"),
        ([*first, "--id-column", "x"], "`--id-column` is for `--csv` alone"),
        ([NAME, "no", "--out", out, *RUN], "Received: no, which is not there"),
        ([NAME, "--out", out, *RUN], "image files or `--csv`, one of them"),
        ([*first, "--csv", "x"], "image files or `--csv`, one of them"),
        ([NAME, photos, *RUN], "`--runner` needs `--out`"),
    ]:
        code, said, shown = run(*words)
        assert code == 2 and not said and message in shown, shown
        assert shown.splitlines()[-1].startswith("keras-hash: ")


@NEEDS_BEAM
def test_a_corpus_of_no_image_is_an_error(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for name in "ab":
        (tmp_path / "in" / f"{name}.png").write_bytes(b"no")
    words = ["encode", NAME, tmp_path / "in", "--out", tmp_path / "out", *RUN]
    assert cli.main(list(map(str, words))) == 2
    out, err = capsys.readouterr()
    assert "2 images refused" in out and "None of 2 files is an image" in err


@pytest.mark.parametrize(
    "option", [["--csv", "x"], ["--retry"], ["--images-per-shard", "3"]]
)
def test_options_of_a_corpus_need_a_runner(capsys, option):
    assert cli.main(["encode", NAME, "photos", *option]) == 2
    message = f"keras-hash: `{option[0]}` needs `--runner`.\n"
    assert capsys.readouterr().err == message


@NEEDS_BEAM
def test_ctrl_c_in_a_worker_stops_the_command(
    photos, tmp_path, capsys, monkeypatch
):
    def stop(self, contents):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    words = ["encode", NAME, str(photos), "--out", str(out), *RUN]
    with monkeypatch.context() as patch:
        patch.setattr(encoding.FileEncoder, "__call__", stop)
        assert cli.main(words) == 130
    shown = capsys.readouterr().err
    assert shown.endswith("keras-hash: stopped; the same command continues\n")
    assert cli.main(words) == 0 and len(found(out)) == 40
