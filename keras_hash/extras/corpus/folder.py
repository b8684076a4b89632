"""The folder of a corpus: what is to be encoded, by whom, and what is done.

corpus.json       encoder, bits, numbers of images and shards; written last
images.parquet    the listing, one row group a shard
model/            the entry of the zoo that encodes
codes/            00000-of-00200.parquet ...: `id`, `code`; whole or absent
refused/          00000-of-00200.csv ...: `id`, `reason` of what is no image
refused.csv       all of them, once every shard is done
"""

import concurrent.futures
import csv
import io
import json
import re

import numpy as np

from keras_hash import codes as codes_lib
from keras_hash.extras.corpus import filesystems

FORMAT = 1
MANIFEST, IMAGES = "corpus.json", "images.parquet"
MODEL, _CODES, _REFUSED = "model", "codes", "refused"
FIELDS = ("image_feature", "id_feature", "id_type")


class Corpus:
    """A corpus that was prepared, see `prepare`.

    Args:
        folder: str, its folder, on any file system that Beam knows.

    Attributes:
        encoder: dict, who makes the codes, see `zoo.maker`.
        bits: int, code length.
        similarity: str, how the codes are compared, see `keras_hash.Index`.
        images: int, images in the listing.
        shards: int, files of codes.
        image_feature, id_feature, id_type: as of the `Listing`.

    Raises:
        ValueError: no such corpus, or one of a newer version.
    """

    def __init__(self, folder):
        self.folder = str(folder)
        path = self._path(MANIFEST)
        if not filesystems.exists(path):
            raise ValueError(
                f"{folder} is not the folder of a corpus. Expected: {path}"
            )
        content = json.loads(filesystems.read(path))
        if content["format"] > FORMAT:
            raise ValueError(
                f"{path} was written by a newer keras_hash; update the "
                f"package. Received: format={content['format']}"
            )
        self.encoder, self.bits = content["encoder"], content["bits"]
        self.similarity = content["similarity"]
        self.images = content["images"]
        self.images_per_shard = content["images_per_shard"]
        self.shards = -(-self.images // self.images_per_shard)
        for field in FIELDS:
            setattr(self, field, content[field])

    @property
    def model(self):
        """str, path of the entry that encodes."""
        return self._path(MODEL)

    @property
    def refused_file(self):
        """str, path of the file of images that were refused."""
        return self._path("refused.csv")

    def size(self, shard):
        """How many images a shard has.

        Args:
            shard: int.

        Returns:
            int.
        """
        start = shard * self.images_per_shard
        return min(self.images - start, self.images_per_shard)

    def rows(self, shard):
        """The part of the listing that is a shard.

        Args:
            shard: int.

        Returns:
            A `pyarrow.Table`, see `Listing`.
        """
        from pyarrow import parquet

        with filesystems.opened(self._path(IMAGES)) as file:
            return parquet.ParquetFile(file).read_row_group(shard)

    def finished(self):
        """The shards whose codes are there.

        Returns:
            set of int.
        """
        total = self._name(0)[5:]
        pattern = re.compile(rf"(\d+){re.escape(total)}\.parquet")
        names = map(pattern.fullmatch, self._names(_CODES))
        return {int(name[1]) for name in names if name}

    def write(self, shard, ids, codes, refused):
        """Writes a shard, its codes last.

        Args:
            shard: int.
            ids: list of ints or strings `[n]`.
            codes: packed codes `uint8 [n, ceil(bits / 8)]`.
            refused: list of pairs of id and reason.
        """
        import pyarrow as pa
        from pyarrow import parquet

        ids = pa.array(ids, pa.type_for_alias(self.id_type))
        width = codes_lib.num_bytes(self.bits)
        data = pa.py_buffer(np.ascontiguousarray(codes).tobytes())
        column = pa.Array.from_buffers(pa.binary(width), len(ids), [None, data])
        table = pa.table({"id": ids, "code": column})
        table = table.replace_schema_metadata(
            {
                "keras_hash.encoder": self.encoder["name"],
                "keras_hash.files_sha256": self.encoder["files_sha256"],
                "keras_hash.bits": str(self.bits),
                "keras_hash.similarity": self.similarity,
                "keras_hash.refused": str(len(refused)),
            }
        )
        refusals = self._file(_REFUSED, shard)
        if refused:
            filesystems.write(refusals, _csv(refused))
        else:
            filesystems.remove([refusals])
        content = io.BytesIO()
        parquet.write_table(table, content, compression="zstd")
        filesystems.write(self._file(_CODES, shard), content.getvalue())

    def open_again(self):
        """Makes the shards with refused images unfinished."""
        for name in self._names(_REFUSED):
            name = name.replace(".csv", ".parquet")
            filesystems.remove([self._path(_CODES, name)])

    def finish(self):
        """Checks all shards, and joins the lists of refused images.

        Returns:
            int, how many images were refused.

        Raises:
            ValueError: a shard is missing or damaged, or, where ids come from
                records, an id occurs twice.
        """
        ids, lines = [], []
        # Waiting for a distant file system is most of it.
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            for some, rows in pool.map(self._checked, range(self.shards)):
                ids += some
                lines += rows
        filesystems.write(self.refused_file, _csv(lines))
        # What kills left behind.
        for kind in (_CODES, _REFUSED):
            names = [n for n in self._names(kind) if n.endswith(".new")]
            filesystems.remove([self._path(kind, name) for name in names])
        if ids:
            import pyarrow as pa

            from keras_hash.extras.corpus import listing

            listing.refuse_repeated(
                pa.chunked_array(ids),
                f"the records' feature {self.id_feature!r}; the codes are "
                f"in {self._path(_CODES)}",
            )
        return len(lines)

    def read(self):
        """The codes, a shard at a time, in the order of the listing.

        Yields:
            Pairs: packed codes `uint8 [n, ceil(bits / 8)]`, and ids `[n]`,
            int64 or `str` objects, as `keras_hash.Index.add` takes them.

        Raises:
            ValueError: a shard is missing or damaged.
        """
        missing = self.shards - len(self.finished())
        if missing:
            raise ValueError(
                f"{missing} of {self.shards} shards are not encoded yet; run "
                f"the same command again. Received: {self.folder}"
            )
        width = codes_lib.num_bytes(self.bits)
        for shard in range(self.shards):
            table = self._read(shard)
            if not len(table):
                continue
            codes = table["code"].combine_chunks()
            data = np.frombuffer(codes.buffers()[1], "uint8")
            start = codes.offset * width
            data = data[start : start + len(codes) * width]
            yield data.reshape(-1, width), table["id"].to_numpy()

    def _checked(self, shard):
        """The ids of a shard, where they may be repeated, and its refusals."""
        table = self._read(shard, ["id"] if self.id_feature else [])
        ids, rows = table["id"].chunks if self.id_feature else [], []
        if int(table.schema.metadata[b"keras_hash.refused"]):
            content = filesystems.read(self._file(_REFUSED, shard)).decode()
            rows = list(csv.reader(io.StringIO(content, newline="")))[1:]
        return ids, rows

    def _read(self, shard, columns=("id", "code")):
        """A shard's columns, once its numbers and encoder are right."""
        import pyarrow as pa
        from pyarrow import parquet

        path = self._file(_CODES, shard)
        try:
            with filesystems.opened(path) as file:
                table = parquet.read_table(file, columns=list(columns))
            says = table.schema.metadata or {}
            rows = table.num_rows + int(says[b"keras_hash.refused"])
            maker = says[b"keras_hash.files_sha256"].decode()
        except (OSError, KeyError, pa.ArrowInvalid) as error:
            raise ValueError(
                f"{path} is missing or damaged; remove it and run the same "
                f"command again. Received: {error}"
            ) from error
        if rows != self.size(shard) or maker != self.encoder["files_sha256"]:
            raise ValueError(
                f"{path} is of another corpus: it should be of "
                f"{self.size(shard)} images, by {self.encoder['name']}. "
                f"Received: {rows} images, by "
                f"{says.get(b'keras_hash.encoder', b'').decode()}"
            )
        return table

    def _path(self, *names):
        return filesystems.join(self.folder, *names)

    def _name(self, shard):
        return f"{shard:05d}-of-{self.shards:05d}"

    def _names(self, kind):
        files = filesystems.listing(self._path(kind))
        return [path.rsplit("/", 1)[-1] for path, _ in files]

    def _file(self, kind, shard):
        ending = {_CODES: "parquet", _REFUSED: "csv"}[kind]
        return self._path(kind, f"{self._name(shard)}.{ending}")


def _csv(rows):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([("id", "reason"), *rows])
    return text.getvalue().encode()
