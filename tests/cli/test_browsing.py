"""`keras-hash list` and `info`."""

import json

from tests.cli.command import run


def test_list_and_info():
    code, out, _ = run("list")
    assert code == 0 and "dshc_digits_30" in out and "dshc_cifar10_30" in out
    code, out, _ = run("list", "*_digits*", "--json")
    assert [card["name"] for card in json.loads(out)] == ["dshc_digits_30"]
    code, out, _ = run("info", "dshc_digits_30")
    assert code == 0 and "split_checksum" in out and "chance_map" in out
    assert "0 % of the bits" in out and "than on Keras" in out
    code, out, _ = run("info", "phash_256")
    assert "radius 82" in out and "counts" not in out
    code, out, _ = run("info", "dshc_digits_30", "--json")
    assert json.loads(out)["bits"] == 30
