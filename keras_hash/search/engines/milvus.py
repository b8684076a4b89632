"""Codes in Milvus."""

import collections
import contextlib
import importlib.metadata
import json
import logging
import os
import re
import time
import warnings

from keras_hash.search.engines import base
from keras_hash.search.ids import check_ids

# Rows that one request returns.
_MOST = 16_384
# How many indexes of this program have a file open.
_FILES = collections.Counter()


class MilvusIndex(base.Engine):
    """Codes in Milvus: a local file, a server or a cluster.

    They are a `BINARY_VECTOR` field under `HAMMING`. Needs
    `pip install "keras-hash[milvus]"`; embedded it is milvus-lite 2.5.1, the
    last one with binary vectors.

    Args:
        bits: int, code length, any number from 1; spare bits of the last byte
            are 0 and change no distance.
        uri: path of a file that ends in `.db`, for the embedded database, or
            the address of a server such as `"http://localhost:19530"`.
        collection: str, name of the collection; it is made by the first `add`,
            and opened where it is there.
        lists: int, inverted lists of a `BIN_IVF_FLAT` index; `None`:
            `BIN_FLAT`, which is all that the embedded database has.
        probes: int, lists that a search visits, which makes it approximate;
            `None`: all, exact.
        similarity: `"hamming"`; `Index` has another one.
        token: str, `"user:password"` or an API key.
        timeout: float, seconds that one request may take.

    Raises:
        ValueError: a collection of another code length or that is none of
            keras_hash, or arguments that do not fit.
        ImportError: pymilvus or milvus-lite is not installed.
        ConnectionError: nothing answers at `uri`.
    """

    _name, _extra, _most = "Milvus", "milvus", _MOST

    def __init__(
        self,
        bits,
        uri,
        collection="codes",
        lists=None,
        probes=None,
        similarity="hamming",
        token="",
        timeout=60.0,
    ):
        self._token, self._timeout = token, timeout
        local = "://" not in os.fspath(uri)
        if local and lists is not None:
            raise ValueError(
                "`lists` should be None for a file: the embedded Milvus has "
                "BIN_FLAT only. "
                f"Received: lists={lists!r}, uri={os.fspath(uri)!r}"
            )
        self._local = local
        super().__init__(bits, uri, collection, similarity, lists, probes)

    def remove(self, ids):
        if self._local:
            # It would paste them into SQL as they are.
            quoted = [one for one in check_ids(ids) if "'" in str(one)]
            if quoted:
                raise ValueError(
                    "`ids` should be without apostrophes: the embedded Milvus "
                    "cannot remove such items, a server can. "
                    f"Received: {quoted[0]!r:.80}"
                )
        super().remove(ids)

    def _leave(self):
        with self._quiet():
            self._client.close()
            if self._local:
                _FILES[self._path] -= 1
                if not _FILES[self._path]:
                    # Other programs may open the file now.
                    from milvus_lite import server_manager

                    manager = server_manager.server_manager_instance
                    manager.release_server(self._path)

    def _connect(self):
        if self._local:
            version = importlib.metadata.version("milvus-lite")
            if not version.startswith("2."):
                raise ImportError(
                    f"milvus-lite 2.5.1 has binary vectors, {version} has none"
                )
            with warnings.catch_warnings():
                # It imports pkg_resources, which setuptools < 81 warns of.
                warnings.simplefilter("ignore")
                import milvus_lite.server_manager  # noqa: F401
        import pymilvus

        self._kinds = pymilvus.DataType
        # A server that is back is found soon.
        options = {"grpc.max_reconnect_backoff_ms": 2000}
        if self._local:
            # It calls the client's usual keepalive too many pings.
            options["grpc.keepalive_time_ms"] = 2**31 - 1
        settings = {
            "token": self._token,
            "timeout": self._timeout,
            "grpc_options": options,
        }
        end = time.monotonic() + self._timeout
        while True:
            try:
                self._client = pymilvus.MilvusClient(self.uri, **settings)
                break
            except pymilvus.exceptions.ConnectionConfigException:
                raise
            except pymilvus.MilvusException:
                # The embedded database listens a moment after its start.
                if not self._local or time.monotonic() > end:
                    raise
                time.sleep(0.1)
        if self._local:
            self._path = os.path.realpath(self.uri)
            _FILES[self._path] += 1

    def _call(self, name, **arguments):
        return getattr(self._client, name)(
            collection_name=self.name, timeout=self._timeout, **arguments
        )

    def _open(self):
        if not self._call("has_collection"):
            return None
        stored = self._call("describe_collection")
        bits = re.fullmatch(r"keras_hash bits=(\d+)", stored["description"])
        index = self._call("describe_index", index_name="code") if bits else {}
        lists = int(index["nlist"]) if index.get("nlist") else None
        if bits and lists != self.lists:
            raise ValueError(
                f"`lists` should be {lists}, with which {self.name!r} was "
                f"made. Received: lists={self.lists}"
            )
        if bits:
            self._call("load_collection")
        kind = {field["name"]: field["type"] for field in stored["fields"]}
        return bits and bits[1], kind.get("id") == self._kinds.VARCHAR

    def _create(self, strings):
        import pymilvus

        schema = pymilvus.MilvusClient.create_schema(
            auto_id=False,
            enable_dynamic_field=False,
            # The dimension alone does not tell 30 bits from 32.
            description=f"keras_hash bits={self.bits}",
        )
        kind, options = self._kinds.INT64, {}
        if strings:
            kind, options = self._kinds.VARCHAR, {"max_length": base.LONGEST}
        schema.add_field("id", kind, is_primary=True, **options)
        dimension = 8 * self._width
        schema.add_field("code", self._kinds.BINARY_VECTOR, dim=dimension)
        index = pymilvus.MilvusClient.prepare_index_params()
        index.add_index(
            "code",
            index_name="code",
            index_type="BIN_FLAT" if self.lists is None else "BIN_IVF_FLAT",
            metric_type="HAMMING",
            params={} if self.lists is None else {"nlist": self.lists},
        )
        self._call(
            "create_collection",
            schema=schema,
            index_params=index,
            # What was added is found at once, as in `Index`.
            consistency_level="Strong",
        )

    def _count(self):
        found = self._call("query", filter="", output_fields=["count(*)"])
        return int(found[0]["count(*)"])

    def _ids(self, wanted, limit):
        found = self._call(
            "query", filter=wanted, output_fields=["id"], limit=limit
        )
        return [row["id"] for row in found]

    def _among(self, ids):
        # JSON's escapes are Milvus', too.
        return f"id in {json.dumps(ids, ensure_ascii=False)}"

    def _write(self, codes, ids):
        for start, some in self._batches(ids):
            rows = [
                {"id": name, "code": code.tobytes()}
                for name, code in zip(some.tolist(), codes[start:])
            ]
            with self._asked(f"written beyond the first {start} items"):
                self._call("insert", data=rows)

    def _delete(self, wanted):
        self._call("delete", filter=wanted)

    def _nearest(self, codes, k, exact):
        params = {}
        if self.lists is not None:
            params["nprobe"] = self.lists if exact else self.probes
        found = self._call(
            "search",
            data=[code.tobytes() for code in codes],
            anns_field="code",
            limit=k,
            search_params={"metric_type": "HAMMING", "params": params},
        )
        return [
            ([hit["distance"] for hit in row], [hit["id"] for hit in row])
            for row in found
        ]

    def _errors(self):
        import grpc
        import pymilvus

        return pymilvus.MilvusException, grpc.RpcError

    @contextlib.contextmanager
    def _quiet(self):
        """Keeps pymilvus from printing what it raises as well."""
        logger = logging.getLogger("pymilvus")
        level = logger.level
        logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            logger.setLevel(level)
