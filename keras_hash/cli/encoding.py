"""`keras-hash encode`: some images at once, or a corpus on Apache Beam."""

import sys

from keras_hash.cli import inputs
from keras_hash.cli import outputs

# Options of `--csv`, and those of a corpus.
_CSV = ("image_column", "id_column", "delimiter")
_CORPUS = ("csv", *_CSV, "images_per_shard", "retry")


def add_commands(add):
    """Adds the command to the parser."""
    encode = add(
        "encode",
        _encode,
        "Encode image files: some at once, or with "
        "--runner a huge corpus on Apache Beam.",
        [
            "encode dshc_cifar10_30 photos/ --out codes.npz",
            "encode dshc_cifar10_30 one.jpg two.png --mirror",
            "encode runs/mine photos/ --json > codes.json",
            "encode runs/mine 'photos/**/*.jpg' --out encoded \\\n"
            "      --runner FnApiRunner",
            "encode runs/mine --csv photos.csv --image-column file "
            "\\\n      --out encoded --runner FnApiRunner",
            "encode runs/mine 'gs://bucket/**/*.png' --out gs://bucket/codes "
            "\\\n      --runner DataflowRunner --project mine --region "
            "europe-west4 \\\n      --temp_location gs://bucket/tmp "
            "--sdk_container_image mine",
        ],
        words="images",
        passed_on="runner",
    )
    encode.add_argument("model", help=inputs.MODEL)
    encode.add_argument(
        "images",
        nargs="*",
        help="files or folders; with --runner also patterns such as "
        "'photos/**/*.jpg', and ids are relative paths",
    )
    encode.add_argument(
        "--out",
        help="npz file with `codes`, `paths`, `bits`; without it they are "
        "printed; with --runner a folder of Parquet files",
    )
    inputs.add_mirror(encode, "images")
    inputs.add_runtime(encode)
    inputs.add_json(encode)
    _add_corpus_options(
        encode.add_argument_group(
            "a corpus on Apache Beam",
            "Called again, it does what is missing. Options that are not\n"
            "listed here are Beam's own; what follows -- goes to the runner's\n"
            "server unchecked. Refused images are in OUT/refused.csv.",
        )
    )


def _add_corpus_options(group):
    add = group.add_argument
    add("--runner", help="such as FnApiRunner, which runs on this machine")
    add("--csv", metavar="FILE", help="table of paths and ids")
    add("--image-column", help="column of a CSV file with paths")
    add(
        "--id-column", help="column of a CSV file with ids (default: the paths)"
    )
    add("--delimiter", type=inputs.delimiter, help=inputs.DELIMITER)
    add(
        "--images-per-shard",
        type=inputs.at_least(1),
        metavar="N",
        help="images per file of codes (default: enough for about 200 files)",
    )
    add(
        "--retry",
        action="store_true",
        help="encode the shards with refused images again",
    )


def _encode(chosen):
    if chosen.runner is not None:
        _encode_corpus(chosen)
        return
    for name in _CORPUS:
        if getattr(chosen, name):
            raise ValueError(f"`{inputs.option(name)}` needs `--runner`.")
    _encode_files(chosen)


def _encode_files(chosen):
    import numpy as np

    from keras_hash import files

    if not chosen.images:
        raise ValueError("Nothing to do: give image files, or folders of them.")
    outputs.check_writable(chosen.out, read=chosen.images)
    card = inputs.card(chosen.model)
    paths = inputs.image_files(chosen.images)
    encoder = inputs.file_encoder(chosen.model, chosen.runtime)
    codes, kept, refused = encoder.many(paths, mirror=chosen.mirror)
    if not kept:
        path, reason = next(iter(refused.items()))
        raise ValueError(
            f"None of {len(paths)} files is an image. Received: {path}: "
            f"{reason}"
        )
    for path, reason in refused.items():
        print(f"left out: {path}: {reason}", file=sys.stderr)
    paths = [paths[place] for place in kept]
    texts = [bytes(code).hex() for code in codes]
    if chosen.out is not None:
        # Of a file, unlike of a path, `savez` does not change the name.
        with files.beside(chosen.out) as new, open(new, "wb") as file:
            np.savez(file, codes=codes, paths=np.array(paths), bits=card.bits)
    if chosen.json:
        pairs = [{"path": p, "code": text} for p, text in zip(paths, texts)]
        outputs.print_json(
            {
                "model": card.name,
                "bits": card.bits,
                "codes": pairs,
                "left_out": refused,
            }
        )
    elif chosen.out is not None:
        print(f"Wrote {len(codes)} codes to {chosen.out}.")
    else:
        for path, text in zip(paths, texts):
            print(text, path)


def _encode_corpus(chosen):
    from keras_hash.extras import corpus

    if chosen.out is None or chosen.json or chosen.mirror:
        raise ValueError(
            "`--runner` needs `--out`, a folder, and neither `--json` nor "
            "`--mirror`."
        )
    inputs.card(chosen.model)
    listing = _listed(chosen)
    print(f"{len(listing):,} images in the list", file=sys.stderr)
    inputs.say_left_out(listing.left_out)
    try:
        done = corpus.encode(
            chosen.model,
            listing,
            chosen.out,
            chosen.images_per_shard,
            ["--runner", chosen.runner, *chosen.options],
            chosen.retry,
            runtime=chosen.runtime,
        )
    except (KeyboardInterrupt, RuntimeError) as error:
        # Beam's errors end with what happened, below where it did; within a
        # worker's step Ctrl-C is one of them.
        last = "".join(str(error).strip().splitlines()[-1:])
        if isinstance(error, RuntimeError) and (
            not last.startswith("KeyboardInterrupt")
        ):
            raise RuntimeError(last) from error
        raise KeyboardInterrupt("the same command continues") from None
    print(
        f"{done.images:,} codes of {done.corpus.bits} bits in {chosen.out}, "
        f"{done.shards} of {done.corpus.shards} files new"
    )
    if done.refused:
        refused = outputs.counted(done.refused, "image")
        print(f"{refused} refused: {done.corpus.refused_file}")
    if done.refused == done.corpus.images:
        raise ValueError(
            f"None of {done.refused:,} files is an image that could be read. "
            f"Received: {done.corpus.refused_file}"
        )


def _listed(chosen):
    """The `corpus.Listing` that was asked for."""
    from keras_hash.extras import corpus

    given = {k: getattr(chosen, k) for k in _CSV if getattr(chosen, k)}
    if given and not chosen.csv:
        raise ValueError(
            f"`{inputs.option(next(iter(given)))}` is for `--csv` alone."
        )
    if bool(chosen.images) == bool(chosen.csv):
        raise ValueError(
            "A corpus should be image files or `--csv`, one of them."
        )
    if not chosen.csv:
        return corpus.from_glob(*chosen.images)
    if not chosen.image_column:
        raise ValueError("`--csv` needs `--image-column`.")
    return corpus.from_csv(chosen.csv, **given)
