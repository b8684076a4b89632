"""The folder of a corpus is made, or found to be for the same codes."""

import io
import json

import numpy as np

from keras_hash import zoo
from keras_hash.extras.corpus import filesystems
from keras_hash.extras.corpus import folder as folder_lib

# Each shard is one file: few enough to list, small enough to lose.
_SHARDS, _LEAST, _MOST = 200, 1000, 100_000


def prepare(folder, model, listing, images_per_shard=None):
    """Opens the folder of a corpus, after it was made or found to be the same.

    Args:
        folder: str; a new or empty one, or that of an earlier run.
        model: str, name in the zoo, or the path of an entry's folder.
        listing: a `Listing`.
        images_per_shard: int, as before or by default such that there are about
            200 shards, of 1,000 to 100,000 images.

    Returns:
        A `Corpus`.

    Raises:
        ValueError: the folder holds something else, or the codes of another
            encoder, other images or other shards.
    """
    zoo.verify_files(model)
    card = zoo.card(model)
    if images_per_shard is not None and images_per_shard < 1:
        raise ValueError(
            "`images_per_shard` should be 1 or more. "
            f"Received: images_per_shard={images_per_shard}"
        )
    folder = str(folder)
    if filesystems.exists(filesystems.join(folder, folder_lib.MANIFEST)):
        corpus = folder_lib.Corpus(folder)
        _refuse_changes(corpus, card, listing, images_per_shard)
        return corpus
    there = [path for path, _ in filesystems.listing(folder)]
    # Of a run that was killed while it wrote these.
    ours = tuple(
        f"{filesystems.join(folder, n)}"
        for n in (folder_lib.IMAGES, folder_lib.MODEL)
    )
    for path in there:
        if not path.startswith(ours) and not path.endswith(".new"):
            raise ValueError(
                f"{folder} holds other files, such as {path}: name a new "
                "folder, or one that an earlier run has begun."
            )
    filesystems.remove([path for path in there if path.endswith(".new")])
    size = images_per_shard or int(
        np.clip(-(-len(listing) // _SHARDS), _LEAST, _MOST)
    )
    _write_images(
        filesystems.join(folder, folder_lib.IMAGES), listing.table, size
    )
    entry = zoo.entry_folder(model)
    for name in [*card["files"], "card.json"]:
        path = filesystems.join(folder, folder_lib.MODEL, name)
        filesystems.write(path, (entry / name).read_bytes())
    manifest = {
        "format": folder_lib.FORMAT,
        "encoder": zoo.maker(card),
        "bits": card["bits"],
        "similarity": zoo.similarity(card),
        "images": len(listing),
        "images_per_shard": size,
        **{field: getattr(listing, field) for field in folder_lib.FIELDS},
    }
    path = filesystems.join(folder, folder_lib.MANIFEST)
    filesystems.write(path, (json.dumps(manifest, indent=1) + "\n").encode())
    return folder_lib.Corpus(folder)


def _write_images(path, table, size):
    from pyarrow import parquet

    content = io.BytesIO()
    parquet.write_table(table, content, row_group_size=size, compression="zstd")
    filesystems.write(path, content.getvalue())


def _refuse_changes(corpus, card, listing, images_per_shard):
    """Raises where the codes that are there would not fit those to come."""
    before, now = corpus.encoder, zoo.maker(card)
    remedy = "Go on with what it was begun with, or name another folder."
    if before != now:
        whose = before["name"]
        if whose == now["name"]:
            whose += " with other weights"
        raise ValueError(
            f"{corpus.folder} holds codes of {whose}. Received: {now['name']}. "
            f"{remedy}"
        )
    if images_per_shard not in (None, corpus.images_per_shard):
        raise ValueError(
            f"{corpus.folder} has {corpus.images_per_shard} images a shard. "
            f"Received: images_per_shard={images_per_shard}. {remedy}"
        )
    fields = [
        (f, getattr(corpus, f), getattr(listing, f)) for f in folder_lib.FIELDS
    ]
    for field, old, new in fields:
        if old != new:
            raise ValueError(
                f"{corpus.folder} was begun with {field}={old!r}. "
                f"Received: {field}={new!r}. {remedy}"
            )
    from pyarrow import parquet

    path = filesystems.join(corpus.folder, folder_lib.IMAGES)
    with filesystems.opened(path) as file:
        table = parquet.read_table(file)
    if not table.equals(listing.table):
        raise ValueError(
            f"{corpus.folder} is for another list of images: "
            f"{_difference(table, listing.table)}. {remedy}"
        )


def _difference(before, now):
    """Where two listings part."""
    if len(before) != len(now):
        old, new = set(before["file"].to_pylist()), set(now["file"].to_pylist())
        some = [f"{path} is new" for path in sorted(new - old)[:1]]
        some += [f"{path} is gone" for path in sorted(old - new)[:1]]
        counts = f"{len(before)} images before, {len(now)} now"
        return "; ".join([counts, *some])
    pairs = zip(before.to_pylist(), now.to_pylist())
    old, new = next((a, b) for a, b in pairs if a != b)
    return f"{old} before, {new} now"
