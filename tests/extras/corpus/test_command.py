"""The tool that encodes a corpus: what it says, refuses, and Ctrl-C."""

from keras_hash import encoding
from tests.extras.corpus.outputs import NAME
from tests.extras.corpus.outputs import NEEDS_BEAM
from tests.extras.corpus.outputs import found


@NEEDS_BEAM
def test_the_tool(photos, tmp_path, capsys):
    from keras_hash.extras.corpus import __main__ as command

    def run(*words):
        code = command.main([*map(str, words)])
        return code, *capsys.readouterr()

    (photos / "0" / "bad.png").write_bytes(b"no")
    out = tmp_path / "out"
    first = [NAME, "--glob", photos, "--out", out]
    code, said, shown = run(*first, "--images-per-shard", 10)
    assert code == 0, shown
    assert said == (
        f"40 codes of 30 bits in {out}, 5 of 5 files new\n"
        f"1 images refused: {out}/refused.csv\n"
    )
    assert shown.startswith("41 images in the list\n41 of 41 images, ")
    code, said, shown = run(*first)
    assert code == 0 and "0 of 5 files new" in said
    code, said, shown = run(*first, "--retry")
    assert code == 0 and "1 of 5 files new" in said
    for words, message in [
        ([*first[:3], "--out", tmp_path], "holds other files"),
        ([*first, "--imges", 3], "no such options"),
        (["moon", *first[1:]], "should be a zoo entry"),
        ([NAME, "--csv", "x", "--out", out], "`--csv` needs `--image-column`"),
        ([*first, "--id-feature", "x"], "`--id-feature` is for `--tfrecord`"),
        ([NAME, "--glob", "no", "--out", out], "There is no image to encode"),
    ]:
        code, said, shown = run(*words)
        assert code == 2 and not said and message in shown, shown
        assert shown.splitlines()[-1].startswith("encode_corpus: ")


@NEEDS_BEAM
def test_ctrl_c_in_a_worker_stops_the_tool(
    photos, tmp_path, capsys, monkeypatch
):
    from keras_hash.extras.corpus import __main__ as command

    def stop(self, contents):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    words = [NAME, "--glob", str(photos), "--out", str(out)]
    with monkeypatch.context() as patch:
        patch.setattr(encoding.ServedEncoder, "__call__", stop)
        assert command.main(words) == 130
    shown = capsys.readouterr().err
    assert shown.endswith("encode_corpus: stopped; call it again to go on\n")
    assert command.main(words) == 0 and len(found(out)) == 40
