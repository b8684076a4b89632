"""`keras-hash encode`."""

import io

from keras_hash.cli import inputs


def add_commands(add):
    """Adds the command to the parser.

    Args:
        add: function that makes a command, see `app.make_parser`.
    """
    encode = add(
        "encode",
        _encode,
        "Encode image files (JPEG, PNG, GIF, BMP).",
        [
            "encode dshc_cifar10_30 photos/ --out codes.npz",
            "encode dshc_cifar10_30 one.jpg two.png",
            "encode runs/mine photos/ --json > codes.json",
        ],
    )
    encode.add_argument("model", help=inputs.MODEL)
    encode.add_argument("images", nargs="+", help="files or folders")
    encode.add_argument(
        "--out", help="npz file with `codes`, `paths`, `bits`; else printed"
    )
    inputs.add_json(encode)


def _encode(chosen):
    import numpy as np

    from keras_hash import files
    from keras_hash import zoo

    card = inputs.card(chosen.model)
    paths = inputs.image_files(chosen.images)
    codes = zoo.encode_files(chosen.model, paths)
    if chosen.out is not None:
        content = io.BytesIO()
        np.savez(content, codes=codes, paths=np.array(paths), bits=card["bits"])
        files.write(chosen.out, content.getvalue())
    if chosen.json:
        pairs = zip(paths, codes)
        inputs.print_json(
            {
                "model": card["name"],
                "bits": card["bits"],
                "codes": [
                    {"path": path, "code": bytes(code).hex()}
                    for path, code in pairs
                ],
            }
        )
    elif chosen.out is not None:
        print(f"Wrote {len(codes)} codes to {chosen.out}.")
    else:
        for path, code in zip(paths, codes):
            print(bytes(code).hex(), path)
