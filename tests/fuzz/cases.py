"""Calls of the public functions with what they take, small."""

import keras
import numpy as np

import keras_hash
from keras_hash import codebooks
from keras_hash import codes as code_functions
from keras_hash import data
from keras_hash import losses
from keras_hash import search
from keras_hash import zoo
from keras_hash.evaluation import RetrievalReport
from keras_hash.evaluation import count_table

BITS = 12
RANDOM = np.random.RandomState(0)
REAL = RANDOM.randn(9, BITS).astype("float32")
CODES = np.packbits(REAL >= 0, axis=1)
QUERIES = CODES[[1, 1, 4]]
LABELS = np.arange(9) % 3
HOT = (RANDOM.rand(9, 4) < 0.5).astype("int64")
HOT[:, 0] = 1
IMAGES = RANDOM.randint(0, 256, (9, 8, 8, 3), "uint8")
IDS = np.arange(9) * 7 % 23
NAMES = np.array([f"é{i}" for i in range(9)])


def _index(ids=None):
    return keras_hash.Index(BITS, CODES, ids)


def _added(codes, ids):
    index = _index([f"n{i}" for i in range(9)] if _are_text(ids) else None)
    before = len(index)
    try:
        index.add(codes, ids)
    except (ValueError, TypeError):
        assert len(index) == before == len(index.codes), "added some"
        raise
    return index.codes, index.ids.tolist()


def _are_text(ids):
    return isinstance(ids, np.ndarray) and ids.dtype.kind == "U"


def _removed(ids):
    index = _index()
    try:
        index.remove(ids)
    except (ValueError, TypeError):
        assert len(index) == 9, "removed some"
        raise
    return index.codes, index.ids


def _saved(path, about):
    index = _index()
    index.save(path, about)
    return keras_hash.Index.load(path).codes


def _searched(**arguments):
    found = _index().search(**arguments)
    assert np.shape(found[0]) == np.shape(found[1])
    return found


def _reranked(first, second, candidates):
    return _index().search(QUERIES, 2, None, (first, second), candidates)


def _evaluated(**arguments):
    return keras_hash.evaluate(**arguments).metrics


def _result(**arguments):
    evaluator = keras_hash.HammingEvaluator(QUERIES, LABELS[:3], BITS)
    return evaluator.update(CODES, LABELS).result(**arguments).metrics


def _precisions(**arguments):
    evaluator = keras_hash.HammingEvaluator(QUERIES, LABELS[:3], BITS)
    return evaluator.update(CODES, LABELS).average_precision(**arguments)


def _updated(codes, labels):
    evaluator = keras_hash.HammingEvaluator(QUERIES, LABELS[:3], BITS)
    return evaluator.update(codes, labels).result().metrics


def _state(**changed):
    evaluator = keras_hash.HammingEvaluator(QUERIES, LABELS[:3], BITS)
    state = evaluator.update(CODES, LABELS).state()
    found = keras_hash.HammingEvaluator.from_state({**state, **changed})
    return found.result().metrics


def _merged(other):
    evaluator = keras_hash.HammingEvaluator(QUERIES, LABELS[:3], BITS)
    return evaluator.update(CODES, LABELS).merge(other).result().metrics


def _layer(codes, bits, ids, k, similarity):
    layer = search.HammingSearch(codes, bits, ids, k, similarity)
    return [keras.ops.convert_to_numpy(part) for part in layer(QUERIES)]


def _asked(codes):
    layer = search.HammingSearch(CODES, BITS, k=3)
    return [keras.ops.convert_to_numpy(part) for part in layer(codes)]


def _benchmark(**arguments):
    found = data.from_arrays(**arguments)
    return found.targets, found.parts, found.images


def _batches(**arguments):
    import tensorflow as tf

    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
    for images, _ in data.batches(pairs, **arguments):
        return images.numpy()


def _augmented(seed, **arguments):
    return data.Augment(**arguments).on_arrays(IMAGES, seed)


def _augment(images):
    augment = data.Augment(flip=True, shift=1)
    return augment.on_arrays(images, 1)


def _sampled(kind):
    def sampled(**arguments):
        sampler = kind(**arguments)
        assert len(sampler) > 0
        return sampler(0, 0)

    return sampled


def _disjoint(**arguments):
    bench = data.from_arrays(IMAGES, LABELS, query=0.4)
    return data.disjoint_classes(bench, **arguments).parts


def _book(name):
    def book(bits, num_classes, seed):
        return losses.CSQ(bits, num_classes, codebook=name, seed=seed).prepared[
            "centres"
        ]

    return book


def _model(**arguments):
    return keras_hash.models.DPSH(**arguments).bits


MODEL = []


def _encoded(**arguments):
    if not MODEL:
        keras.utils.set_random_seed(1)
        MODEL.append(keras_hash.models.DPSH(BITS, 3, input_shape=(8, 8, 3)))
    return MODEL[0].encode(verbose=False, **arguments)


def _loss(name, **settings):
    def loss(bits, labels, real):
        kind = getattr(losses, name)
        outputs = real
        if name in ("GreedyHash", "DLBHC", "SSDH", "HyP2"):
            outputs = {"code": real, "logits": LOGITS}
        return float(kind(bits, **settings)(labels, outputs))

    return loss


LOGITS = np.tanh(RANDOM.randn(9, 3)).astype("float32")
SETTINGS = {
    name: {"num_classes": 3}
    for name in ("CSQ", "DPN", "OrthoHash", "DSDH", "HyP2")
}
KINDS = (
    "DPSH", "DHN", "ISDH", "IDHN", "HashNet", "DSH", "DMSSPH", "DTSH", "NINH",
    "DCH", "DSRH", "TALR", "CSQ", "DPN", "OrthoHash", "GreedyHash", "DLBHC",
    "SSDH", "HyP2", "DSDH",
)  # fmt: skip
EVALUATED = dict(
    query_codes=QUERIES,
    query_labels=LABELS[:3],
    database_codes=CODES,
    database_labels=LABELS,
    bits=BITS,
    k=5,
    similarity="hamming",
    ties="expected",
    convention=None,
    seed=0,
    kernel="numpy",
    metrics="map",
    denominator="min",
    no_relevant="zero",
    empty="zero",
    ideal_zero="skip",
    self_match="keep",
)
COUNTED = dict(
    query_codes=QUERIES,
    query_labels=LABELS[:3],
    codes=CODES,
    labels=LABELS,
    bits=BITS,
    similarity="hamming",
)
# By name: a function, and arguments that it takes.
CASES = {
    "codes.num_bytes": (code_functions.num_bytes, dict(bits=BITS)),
    "codes.check": (code_functions.check, dict(codes=CODES, bits=BITS)),
    "codes.sign": (code_functions.sign, dict(real=REAL)),
    "codes.pack": (code_functions.pack, dict(real=REAL)),
    "codes.unpack": (code_functions.unpack, dict(codes=CODES, bits=BITS)),
    "codes.hamming": (code_functions.hamming, dict(a=QUERIES, b=CODES)),
    "codes.levels": (
        code_functions.levels,
        dict(a=QUERIES, b=CODES, bits=BITS, similarity="and"),
    ),
    "Index": (
        lambda **a: keras_hash.Index(**a).codes,
        dict(
            bits=BITS,
            codes=CODES,
            ids=IDS,
            similarity="hamming",
            method="scan",
        ),
    ),
    "Index.add": (_added, dict(codes=CODES, ids=IDS + 100)),
    "Index.add names": (_added, dict(codes=CODES, ids=NAMES)),
    "Index.remove": (_removed, dict(ids=np.array([3, 5]))),
    "Index.search": (
        _searched,
        dict(codes=QUERIES, k=2, among=np.array([1, 4, 7]), threads=1),
    ),
    "Index.search rerank": (
        _reranked,
        dict(first=REAL[:3], second=REAL, candidates=3),
    ),
    "Index.range_search": (
        lambda **a: _index().range_search(**a),
        dict(codes=QUERIES, radius=4, among=np.array([1, 4, 7]), threads=1),
    ),
    "Index.save": (_saved, dict(path="here.index", about={})),
    "Index.load": (
        lambda path, mmap, method: keras_hash.Index.load(path, mmap, method),
        dict(path="nowhere", mmap=False, method="scan"),
    ),
    "HammingSearch": (
        _layer,
        dict(codes=CODES, bits=BITS, ids=IDS, k=3, similarity="hamming"),
    ),
    "HammingSearch call": (_asked, dict(codes=QUERIES)),
    "evaluate": (_evaluated, EVALUATED),
    "evaluate several": (
        _evaluated,
        {**EVALUATED, "query_labels": HOT[:3], "database_labels": HOT},
    ),
    "HammingEvaluator": (
        lambda **a: keras_hash.HammingEvaluator(**a).inverse,
        dict(
            query_codes=QUERIES,
            query_labels=LABELS[:3],
            bits=BITS,
            similarity="hamming",
            group=True,
            kernel="numpy",
        ),
    ),
    "HammingEvaluator.update": (_updated, dict(codes=CODES, labels=LABELS)),
    "HammingEvaluator.result": (
        _result,
        dict(
            k=(3, 5),
            ties="random",
            denominator="all",
            no_relevant="skip",
            empty="micro",
            ideal_zero="zero",
            self_match="keep",
            seed=1,
            metrics=("map", "ndcg"),
        ),
    ),
    "HammingEvaluator.average_precision": (
        _precisions,
        dict(k=3, denominator="min", no_relevant="zero", self_match="keep"),
    ),
    "HammingEvaluator.merge": (
        _merged,
        dict(other=keras_hash.HammingEvaluator(QUERIES, LABELS[:3], BITS)),
    ),
    "HammingEvaluator.from_state": (
        _state,
        keras_hash.HammingEvaluator(QUERIES, LABELS[:3], BITS)
        .update(CODES, LABELS)
        .state(),
    ),
    "RetrievalReport.from_json": (RetrievalReport.from_json, dict(text="{}")),
    "count_table": (lambda **a: count_table(**a).numpy(), COUNTED),
    "count_table several": (
        lambda **a: count_table(**a).numpy(),
        {**COUNTED, "query_labels": HOT[:3], "labels": HOT},
    ),
    "data.from_arrays": (
        _benchmark,
        dict(
            images=IMAGES,
            labels=LABELS,
            query=0.4,
            validation=0.0,
            seed=0,
            names=["a", "b", "c"],
            name="mine",
        ),
    ),
    "data.from_arrays several": (
        _benchmark,
        dict(images=IMAGES, labels=HOT, query=0.4),
    ),
    "data.batches": (
        _batches,
        dict(
            size=4,
            image_size=(6, 6),
            shuffle=True,
            index=True,
            seed=1,
            drop=False,
            shard=(0, 2),
            buffer=5,
        ),
    ),
    "data.from_dataset": (data.from_dataset, dict(dataset=None, image_size=4)),
    "data.from_folder": (data.from_folder, dict(path="nowhere", query=0.1)),
    "data.from_csv": (
        data.from_csv,
        dict(
            path="nowhere.csv",
            image_column="a",
            label_columns="b",
            separator="|",
            folder=".",
            delimiter=",",
        ),
    ),
    "data.load": (
        lambda **a: data.load(**a).name,
        dict(name="digits", protocol="official", validation=0.0, seed=0),
    ),
    "data.ImageFiles": (
        lambda paths: data.ImageFiles(paths)[:1],
        dict(paths=["nowhere.png"]),
    ),
    "data.Augment": (
        _augmented,
        dict(crop=0.2, shift=1, flip=True, colour=0.1, cutout=2, seed=1),
    ),
    "data.Augment.on_arrays": (_augment, dict(images=IMAGES)),
    "data.ClassSampler": (
        _sampled(data.ClassSampler),
        dict(labels=LABELS, classes=2, images=2, seed=0),
    ),
    "data.ListSampler": (
        _sampled(data.ListSampler),
        dict(labels=HOT, size=3, lists=2, seed=0),
    ),
    "data.EpochSampler": (
        _sampled(data.EpochSampler),
        dict(count=9, size=4, seed=0),
    ),
    "data.disjoint_classes": (_disjoint, dict(train_share=0.4, seed=0)),
    **{
        f"code book {name}": (_book(name), dict(bits=8, num_classes=3, seed=0))
        for name in codebooks.CONSTRUCTIONS
    },
    "models.DPSH": (
        _model,
        dict(
            bits=BITS,
            num_classes=3,
            input_shape=(8, 8, 3),
            backbone="small",
            bank_size=9,
            hidden=4,
        ),
    ),
    "model.encode": (_encoded, dict(images=IMAGES, batch_size=4)),
    "model.encode floats": (
        _encoded,
        dict(images=IMAGES.astype("float32"), batch_size=4),
    ),
    **{
        f"losses.{name}": (
            _loss(name, **SETTINGS.get(name, {})),
            dict(bits=BITS, labels=LABELS, real=0.9 * np.tanh(REAL)),
        )
        for name in KINDS
    },
    "list_models": (keras_hash.list_models, dict(pattern="no*")),
    "load": (keras_hash.load, dict(name="nobody")),
    "zoo.card": (zoo.card, dict(name="nobody")),
    "zoo.verify_files": (zoo.verify_files, dict(name="nobody")),
    "zoo.entry_folder": (zoo.entry_folder, dict(name="nobody")),
    "zoo.Card.from_dict": (zoo.Card.from_dict, dict(content={"format": 1})),
}
