"""Indexes to search by photo, and names that attack a page."""

import pathlib

import numpy as np

import keras_hash
from keras_hash.cli import indexing
from keras_hash.extras.app import answers
from keras_hash.search import pictures
from keras_hash.zoo import encoder as encoding

NAME = "dshc_digits_30"
BITS = 12
HOSTILE = [
    "<script>top.hit=1<",
    "<img src=x onerror=top.hit=1>",
    "${top.hit=1}",
    "{{#each this}}`${top.hit=1}`",
    "quo\"te' onmouseover=top.hit=1 x=",
    "\u202eturned",
]


def coded(similarity="hamming", count=60, bits=BITS, ids=None):
    """A search in few different codes, its codes, and those of queries."""
    random = np.random.RandomState(0)
    codes = keras_hash.codes.pack(random.randn(9, bits))
    codes = codes[random.randint(9, size=count)]
    ids = [f"photos/{i}.png" for i in range(count)] if ids is None else ids
    index = keras_hash.Index(bits, codes, ids, similarity=similarity)
    queries = keras_hash.codes.pack(random.randn(5, bits))

    def encode(paths):
        known = [p for p in paths if pathlib.Path(p).name.isdecimal()]
        places = [int(pathlib.Path(p).name) for p in known]
        refused = {p: "no code" for p in paths if p not in known}
        return queries[places], known, refused

    return answers.PhotoSearch(encode, stored(index, str)), codes, queries


def stored(index, place):
    """A photo index whose paths are what `place` makes of ids."""
    found = object.__new__(pictures.PhotoIndex)
    found.path, found.index, found.place = "my.index", index, place
    return found


def indexed(folder, paths, name=NAME):
    """An index file of some files."""
    index = indexing.opened(folder / "my.index", keras_hash.zoo.card(name))
    index.extend(paths, encoding.FileEncoder(name))
    return folder / "my.index"
