"""Encodes a huge corpus of images on Apache Beam: `--help` says how."""

import argparse
import sys

from keras_hash.extras import corpus

_HELP = """\
examples:
  %(prog)s dshc_cifar10_30 --glob 'photos/**/*.jpg' --out encoded
  %(prog)s runs/mine --tfrecord 'train.tfrecord-*' --id-feature id --out encoded
  %(prog)s runs/mine --csv list.csv --image-column file --id-column id \\
      --out encoded
  %(prog)s runs/mine --glob 'gs://bucket/**.png' --out gs://bucket/encoded \\
      --runner DataflowRunner --project mine --region europe-west4 \\
      --temp_location gs://bucket/tmp --sdk_container_image mine

Called again, it does what is missing. Options that are not listed here are
Beam's own; what follows `--` goes to the runner's server unchecked. Without
`--runner` Beam's FnApiRunner runs it in this process.

exit codes:
  0    done; refused images, if any, are in OUT/refused.csv
  2    bad input, or Beam failed; one line on stderr says why
  130  stopped with Ctrl-C; call it again to go on
"""


def make_parser():
    """The parser.

    Returns:
        An `argparse.ArgumentParser`.
    """
    parser = argparse.ArgumentParser(
        prog="encode_corpus",
        usage="%(prog)s MODEL (--glob | --tfrecord | --csv) ... --out FOLDER "
        "[options] [Beam's options]",
        description="Encodes images into Parquet files of ids and codes.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "model", metavar="MODEL", help="zoo name or folder of an entry"
    )
    images = parser.add_mutually_exclusive_group(required=True)
    images.add_argument(
        "--glob",
        nargs="+",
        metavar="PATTERN",
        help="image files or folders; ids are relative paths",
    )
    images.add_argument(
        "--tfrecord",
        nargs="+",
        metavar="PATTERN",
        help="files of tf.train.Example; ids are running numbers",
    )
    images.add_argument("--csv", metavar="FILE", help="table of paths and ids")
    parser.add_argument("--out", required=True, metavar="FOLDER")
    parser.add_argument(
        "--image-feature",
        help="of TFRecord: bytes of an image file (default: image)",
    )
    parser.add_argument(
        "--id-feature", help="of TFRecord: int or string to be the id"
    )
    parser.add_argument("--image-column", help="of a CSV file: paths")
    parser.add_argument(
        "--id-column", help="of a CSV file: ids (default: the paths)"
    )
    parser.add_argument("--delimiter", help="of a CSV file (default: a comma)")
    parser.add_argument(
        "--images-per-shard",
        type=int,
        metavar="N",
        help="images a file (default: for about 200 files)",
    )
    parser.add_argument(
        "--retry",
        action="store_true",
        help="encode the shards with refused images again",
    )
    return parser


def listed(chosen):
    """The listing that was asked for.

    Args:
        chosen: what the parser gave.

    Returns:
        A `corpus.Listing`.

    Raises:
        ValueError: an option of another kind of input, or as the functions of
            `corpus`.
    """
    kinds = {
        "tfrecord": ("image_feature", "id_feature"),
        "csv": ("image_column", "id_column", "delimiter"),
    }
    for kind, names in kinds.items():
        for name in names:
            if getattr(chosen, kind) is None and getattr(chosen, name):
                raise ValueError(
                    f"`--{name.replace('_', '-')}` is for `--{kind}` alone."
                )
    if chosen.glob is not None:
        return corpus.from_glob(*chosen.glob)
    if chosen.tfrecord is not None:
        return corpus.from_tfrecord(
            *chosen.tfrecord,
            image_feature=chosen.image_feature or "image",
            id_feature=chosen.id_feature,
        )
    if not chosen.image_column:
        raise ValueError("`--csv` needs `--image-column`.")
    return corpus.from_csv(
        chosen.csv,
        chosen.image_column,
        chosen.id_column,
        chosen.delimiter or ",",
    )


def main(arguments=None):
    """Runs the command.

    Args:
        arguments: list of str; the process' own if `None`.

    Returns:
        int, exit code.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    end = words.index("--") if "--" in words else len(words)
    chosen, options = make_parser().parse_known_args(words[:end])
    try:
        listing = listed(chosen)
        print(f"{len(listing):,} images in the list", file=sys.stderr)
        done = corpus.encode(
            chosen.model,
            listing,
            chosen.out,
            chosen.images_per_shard,
            [*options, *words[end:]],
            chosen.retry,
        )
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        # Beam's errors end with what happened, below where it did.
        text = str(error).strip().splitlines()
        text = text[-1:] if isinstance(error, RuntimeError) else text
        # Within a worker's step Ctrl-C is one of them.
        if text and text[0].startswith("KeyboardInterrupt"):
            return _stopped()
        print(f"encode_corpus: {' '.join(text)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return _stopped()
    print(
        f"{done.images:,} codes of {done.corpus.bits} bits in {chosen.out}, "
        f"{done.shards} of {done.corpus.shards} files new"
    )
    if done.refused:
        print(f"{done.refused:,} images refused: {done.corpus.refused_file}")
    return 0


def _stopped():
    print("encode_corpus: stopped; call it again to go on", file=sys.stderr)
    return 130


if __name__ == "__main__":
    sys.exit(main())
