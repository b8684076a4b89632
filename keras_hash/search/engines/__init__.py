"""Codes in a database: Milvus and LanceDB, with `Index`' `add` and `search`."""
