"""Codes in LanceDB."""

import numpy as np

from keras_hash.search.engines import base


class LanceIndex(base.Engine):
    """Codes in LanceDB: a folder or a bucket, without a server.

    They are a column of `uint8` lists, compared by `hamming`. Every `add` is
    one version of the table: it is there as a whole or not at all. Needs
    `pip install "keras-hash[lance]"`.

    Args:
        bits: int, code length, any number from 1; spare bits of the last byte
            are 0 and change no distance.
        uri: path of a folder, or a bucket such as `"s3://photos/codes"`.
        table: str, name of the table; it is made by the first `add`, and opened
            where it is there.
        lists: int, inverted lists (`IVF_FLAT`) that `optimize` sorts the codes
            into; `None`: every search reads all of them.
        probes: int, lists that a search visits, which makes it approximate;
            `None`: all codes, exact.
        similarity: `"hamming"`; `Index` has another one.
        storage_options: dict, what LanceDB wants to know of a bucket, such as
            keys, region and endpoint.

    Raises:
        ValueError: a table of another code length or that is none of
            keras_hash, or arguments that do not fit.
        ImportError: lancedb is not installed.
        ConnectionError: the folder or bucket cannot be used.
    """

    _name, _extra = "LanceDB", "lance"

    def __init__(
        self,
        bits,
        uri,
        table="codes",
        lists=None,
        probes=None,
        similarity="hamming",
        storage_options=None,
    ):
        self._options = storage_options
        super().__init__(bits, uri, table, similarity, lists, probes)

    def optimize(self):
        """Tidies up: joins the parts that calls of `add` wrote.

        With `lists`, it sorts the codes into lists anew. Until then what was
        added later is compared item by item, so it is always found.
        """
        if not self._exists():
            return
        with self._asked("optimized"):
            self._table.optimize()
            if self.lists is not None:
                from lancedb.index import IvfFlat

                lists = IvfFlat(
                    distance_type="hamming", num_partitions=self.lists
                )
                self._table.create_index("code", config=lists, replace=True)

    def _leave(self):
        self._database = self._table = None

    def _connect(self):
        import datetime

        import lancedb

        self._database = lancedb.connect(
            self.uri,
            storage_options=self._options,
            # What another program added is found at once.
            read_consistency_interval=datetime.timedelta(0),
        )

    def _open(self):
        if self.name not in self._database:
            return None
        self._table = self._database.open_table(self.name)
        schema = self._table.schema
        bits = (schema.metadata or {}).get(b"keras_hash.bits")
        strings = bits is not None and str(schema.field("id").type) == "string"
        return bits and bits.decode(), strings

    def _schema(self, strings):
        import pyarrow as pa

        return pa.schema(
            [
                pa.field(
                    "id", pa.string() if strings else pa.int64(), nullable=False
                ),
                pa.field("code", pa.list_(pa.uint8(), self._width)),
            ],
            # The width alone does not tell 30 bits from 32.
            metadata={"keras_hash.bits": str(self.bits)},
        )

    def _create(self, strings):
        self._table = self._database.create_table(
            self.name, schema=self._schema(strings)
        )

    def _count(self):
        return self._table.count_rows()

    def _ids(self, wanted, limit):
        found = self._table.search().where(wanted).select(["id"])
        return found.limit(limit).to_arrow()["id"].to_pylist()

    def _among(self, ids):
        if self._strings:
            ids = ("'{}'".format(one.replace("'", "''")) for one in ids)
        return f"id in ({', '.join(map(str, ids))})"

    def _write(self, codes, ids):
        import pyarrow as pa

        table = pa.table(
            [
                pa.array(ids, pa.string() if self._strings else pa.int64()),
                pa.FixedSizeListArray.from_arrays(
                    pa.array(codes.ravel()), self._width
                ),
            ],
            schema=self._schema(self._strings),
        )
        with self._asked("written to"):
            self._table.add(table)

    def _delete(self, wanted):
        self._table.delete(wanted)

    def _nearest(self, codes, k, exact):
        found = self._table.search(list(codes), vector_column_name="code")
        found = found.distance_type("hamming").limit(k)
        if exact:
            found = found.bypass_vector_index()
        else:
            found = found.nprobes(self.probes)
        found = found.select(["id", "_distance"]).to_arrow()
        if len(codes) == 1:
            rows = [np.arange(found.num_rows)]
        else:
            # Queries come back in any order.
            query = found["query_index"].to_numpy()
            order = np.argsort(query, kind="stable")
            ends = np.cumsum(np.bincount(query, minlength=len(codes)))
            rows = np.split(order, ends[:-1])
        distances = found["_distance"].to_numpy()
        ids = found["id"].to_numpy()
        return [(distances[row], ids[row]) for row in rows]

    def _errors(self):
        # What it raises where files cannot be read or written.
        return OSError, RuntimeError, ValueError
