"""The folder of a corpus: what is to be encoded, by whom, and what is done.

corpus.json       encoder, bits, numbers of images and shards; written last
corpus.begun      empty, until that is there: the folder is no other's
images.parquet    the listing, one row group a shard
model/            the entry of the zoo that encodes
codes/            00000-of-00200.parquet ...: `id`, `code`; whole or absent
refused/          00000-of-00200.csv ...: `id`, `reason` of what is not an image
refused.csv       all of them, once every shard is done
"""

import concurrent.futures
import csv
import io
import json

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from keras_hash import files
from keras_hash import zoo
from keras_hash.codes import check_int
from keras_hash.codes import num_bytes
from keras_hash.extras.corpus import filesystems

_FORMAT = 1
_MANIFEST, _BEGUN = "corpus.json", "corpus.begun"
_IMAGES = "images.parquet"
_MODEL, _CODES, _REFUSED = "model", "codes", "refused"
# Each shard is one file: few enough to list, small enough to lose.
_SHARDS, _LEAST, _MOST = 200, 1000, 100_000

_SHAPE = {
    "encoder": {"name": str, "files_sha256": str},
    "bits": int,
    "similarity": str,
    "images": int,
    "images_per_shard": int,
    "id_type": str,
}


class Corpus:
    """A corpus that was prepared.

    Attributes:
        folder: str, on any file system that fsspec knows.
        encoder: dict, who makes the codes, see `Card.maker`.
        bits: int, code length.
        similarity: str, how the codes are compared, see `keras_hash.Index`.
        images: int, images in the listing.
        images_per_shard: int, images a file of codes.
        shards: int, files of codes.
        id_type: `"int64"` or `"string"`.
        runtime: str, what makes the codes, see `keras_hash.load`.
        model: str, path of the entry that encodes.
        refused_file: str, path of the list of images that were refused.
    """

    # Of folders that say nothing else.
    runtime = "keras"

    def __init__(self, folder):
        self.folder = str(folder)
        self.model = self.path(_MODEL)
        self.refused_file = self.path("refused.csv")
        path = self.path(_MANIFEST)
        if not filesystems.exists(path):
            raise ValueError(
                f"{folder} is not the folder of a corpus. Expected: {path}"
            )
        try:
            content = json.loads(filesystems.read(path))
            files.check_shape(content, {"format": int}, "corpus")
            newer = content["format"] > _FORMAT
            if not newer:
                files.check_shape(content, _SHAPE, "corpus")
        except ValueError as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        if newer:
            raise ValueError(
                f"{path} was written by a newer keras_hash; update the "
                f"package. Received: format={content['format']}"
            )
        vars(self).update(content)
        self.shards = -(-self.images // self.images_per_shard)

    def size(self, shard):
        """How many images a shard has."""
        start = shard * self.images_per_shard
        return min(self.images - start, self.images_per_shard)

    def rows(self, shard):
        """The part of the listing that is a shard, a `pyarrow.Table`."""
        with filesystems.opened(self.path(_IMAGES)) as file:
            return parquet.ParquetFile(file).read_row_group(shard)

    def finished(self):
        """The shards whose codes are there, a set of int."""
        there = set(filesystems.listing(self.path(_CODES)))
        shards = range(self.shards)
        return {n for n in shards if self._file(_CODES, n) in there}

    def write(self, shard, ids, codes, refused):
        """Writes a shard: refused images with reasons, then its codes."""
        ids = pa.array(ids, pa.type_for_alias(self.id_type))
        width = num_bytes(self.bits)
        rows = pa.array([code.tobytes() for code in codes], pa.binary(width))
        table = pa.table({"id": ids, "code": rows})
        table = table.replace_schema_metadata(
            {
                "keras_hash.encoder": self.encoder["name"],
                "keras_hash.files_sha256": self.encoder["files_sha256"],
                "keras_hash.bits": str(self.bits),
                "keras_hash.similarity": self.similarity,
                "keras_hash.refused": str(len(refused)),
                "keras_hash.shard": str(shard),
            }
        )
        refusals = self._file(_REFUSED, shard)
        if refused:
            filesystems.write(refusals, _csv(refused))
        else:
            filesystems.remove([refusals])
        _write(self._file(_CODES, shard), table)

    def open_again(self):
        """Makes the shards with refused images unfinished."""
        refused = set(filesystems.listing(self.path(_REFUSED)))
        filesystems.remove(
            self._file(_CODES, shard)
            for shard in range(self.shards)
            if self._file(_REFUSED, shard) in refused
        )

    def refused(self):
        """The ids, as text, of images that were refused so far."""
        found = set()
        for path in filesystems.listing(self.path(_REFUSED)):
            text = io.StringIO(filesystems.read(path).decode(), newline="")
            found |= {row[0] for row in list(csv.reader(text))[1:]}
        return found

    def finish(self):
        """Checks all shards, joins and counts their refusals."""
        # Waiting for a distant file system is most of it.
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            found = pool.map(self._refusals, range(self.shards))
            lines = [line for some in found for line in some]
        filesystems.write(self.refused_file, _csv(lines))
        for kind in (_CODES, _REFUSED):
            filesystems.sweep(self.path(kind))
        return len(lines)

    def read(self):
        """Pairs of codes and ids as `corpus.read` yields them."""
        missing = self.shards - len(self.finished())
        if missing:
            raise ValueError(
                f"{missing} of {self.shards} shards are not encoded yet; run "
                f"the same command again. Received: {self.folder}"
            )
        width = num_bytes(self.bits)
        for shard in range(self.shards):
            table = self._read(shard)
            if not len(table):
                continue
            codes = np.frombuffer(b"".join(table["code"].to_pylist()), "uint8")
            yield codes.reshape(-1, width), table["id"].to_numpy()

    def _refusals(self, shard):
        """Ids and reasons of the refused images of a shard that is whole."""
        says = self._read(shard, columns=[]).schema.metadata
        if not int(says[b"keras_hash.refused"]):
            return []
        content = filesystems.read(self._file(_REFUSED, shard)).decode()
        return list(csv.reader(io.StringIO(content, newline="")))[1:]

    def _read(self, shard, columns=None):
        """A shard's columns, once its numbers and encoder are right."""
        path = self._file(_CODES, shard)
        try:
            with filesystems.opened(path) as file:
                table = parquet.read_table(file, columns=columns)
            says = table.schema.metadata or {}
            rows = table.num_rows + int(says[b"keras_hash.refused"])
            maker = says[b"keras_hash.files_sha256"].decode()
            # Files of 0.1.0 do not say it.
            number = int(says.get(b"keras_hash.shard", shard))
        except (OSError, KeyError, pa.ArrowInvalid) as error:
            raise ValueError(
                f"{path} is missing or damaged; remove it and run the same "
                f"command again. Received: {error}"
            ) from error
        if number != shard:
            raise ValueError(
                f"{path} is a copy of shard {number:05d}; remove it and run "
                "the same command again."
            )
        if rows != self.size(shard) or maker != self.encoder["files_sha256"]:
            raise ValueError(
                f"{path} is of another corpus: it should be of "
                f"{self.size(shard)} images, by {self.encoder['name']}. "
                f"Received: {rows} images, by "
                f"{says.get(b'keras_hash.encoder', b'').decode()}"
            )
        return table

    def path(self, *names):
        """Of a file in the folder, str."""
        return filesystems.join(self.folder, *names)

    def _file(self, kind, shard):
        ending = {_CODES: "parquet", _REFUSED: "csv"}[kind]
        return self.path(kind, f"{shard:05d}-of-{self.shards:05d}.{ending}")


def _write(path, table, **options):
    content = io.BytesIO()
    parquet.write_table(table, content, compression="zstd", **options)
    filesystems.write(path, content.getvalue())


def _csv(rows):
    text = io.StringIO(newline="")
    # An id may hold a carriage return, which is quoted only where all is.
    returns = any("\r" in str(cell) for row in rows for cell in row)
    style = csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL
    writer = csv.writer(text, lineterminator="\n", quoting=style)
    writer.writerows([("id", "reason"), *rows])
    return text.getvalue().encode()


def prepare(
    folder,
    model,
    listing,
    images_per_shard=None,
    runtime="keras",
    retry=False,
):
    """The corpus in a folder: a new one, or the same of an earlier run. With
    `retry` what was refused there may have another length now."""
    zoo.verify_files(model)
    card = zoo.card(model)
    if images_per_shard is not None:
        check_int(images_per_shard, "images_per_shard")
    folder, before = str(folder), None
    if filesystems.exists(filesystems.join(folder, _MANIFEST)):
        before = Corpus(folder)
    size = images_per_shard or (
        before.images_per_shard
        if before
        else int(np.clip(-(-len(listing) // _SHARDS), _LEAST, _MOST))
    )
    manifest = {
        "format": _FORMAT,
        "encoder": card.maker,
        "bits": card.bits,
        "similarity": card.similarity,
        "images": len(listing),
        "images_per_shard": size,
        "id_type": listing.id_type,
    }
    if runtime != Corpus.runtime:
        manifest["runtime"] = runtime
    images = filesystems.join(folder, _IMAGES)
    if before:
        if _changed(before, manifest, listing.table, retry):
            _write(images, listing.table, row_group_size=size)
        _copy_model(folder, model, card)
        return before
    _begin(folder)
    _write(images, listing.table, row_group_size=size)
    _copy_model(folder, model, card)
    path = filesystems.join(folder, _MANIFEST)
    filesystems.write(path, (files.to_json(manifest) + "\n").encode())
    filesystems.remove([filesystems.join(folder, _BEGUN)])
    return Corpus(folder)


def _copy_model(folder, model, card):
    """Copies an entry to where all workers find it, once for all."""
    entry = zoo.entry_folder(model)
    for name in [*card.files, "card.json"]:
        path = filesystems.join(folder, _MODEL, name)
        content = (entry / name).read_bytes()
        if not filesystems.exists(path) or filesystems.read(path) != content:
            filesystems.write(path, content)


def _begin(folder):
    """Refuses a folder with other files than a kill of `prepare` leaves."""
    mark = filesystems.join(folder, _BEGUN)
    there = filesystems.listing(folder)
    names = [path.removeprefix(folder).strip("/") for path in there]
    # Also by a part of the mark itself.
    begun = _BEGUN in names or all(_BEGUN in name for name in names)
    if begun:
        filesystems.sweep(folder)
        there = filesystems.listing(folder)
    ours = [filesystems.join(folder, name) for name in (_BEGUN, _IMAGES)]
    inside = filesystems.join(folder, _MODEL, "")
    for path in there:
        if not begun or not (path in ours or path.startswith(inside)):
            raise ValueError(
                f"{folder} holds other files, such as {path}: give a new "
                "folder, or one that an earlier run began."
            )
    filesystems.write(mark, b"")


def _changed(corpus, manifest, listed, retry):
    """Whether the listing has other lengths of what was refused and is tried
    again; raises where the codes that are there would not fit those to come."""
    remedy = "Continue with what it was started with, or give another folder."
    before, now = corpus.encoder, manifest["encoder"]
    if before != now:
        whose = before["name"]
        if whose == now["name"]:
            whose += " with other weights"
        raise ValueError(
            f"{corpus.folder} holds codes of {whose}. Received: {now['name']}. "
            f"{remedy}"
        )
    now = manifest.get("runtime", Corpus.runtime)
    if corpus.runtime != now:
        raise ValueError(
            f"{corpus.folder} was started with runtime={corpus.runtime!r}. "
            f"Received: runtime={now!r}. {remedy}"
        )
    old, new = corpus.images_per_shard, manifest["images_per_shard"]
    if old != new:
        raise ValueError(
            f"{corpus.folder} was started with images_per_shard={old}. "
            f"Received: images_per_shard={new}. {remedy}"
        )
    with filesystems.opened(corpus.path(_IMAGES)) as file:
        # Folders of earlier versions have more columns.
        table = parquet.read_table(file, columns=listed.column_names)
    if table.equals(listed):
        return False
    mended = corpus.refused() if retry else ()
    kept = [_without_lengths(one, mended) for one in (table, listed) if mended]
    if not mended or not kept[0].equals(kept[1]):
        raise ValueError(
            f"{corpus.folder} is for another list of images: "
            f"{_difference(table, listed)}. {remedy}"
        )
    return True


def _without_lengths(table, ids):
    """A listing without the lengths of some of its images."""
    lengths = [
        None if str(name) in ids else length
        for name, length in zip(
            table["id"].to_pylist(), table["length"].to_pylist()
        )
    ]
    place = table.column_names.index("length")
    return table.set_column(place, "length", pa.array(lengths, pa.int64()))


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
