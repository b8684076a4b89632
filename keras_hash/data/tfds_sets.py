"""Benchmarks that TensorFlow Datasets has prepared: images stay on disk.

All records are read once for their ids and labels, which takes minutes for the
largest sets. Images are streamed from their places in the files when they are
asked for. A set is a row of `SOURCES` and one of `PROTOCOLS` for each split.
"""

import dataclasses
import pathlib
import warnings

import numpy as np

from keras_hash.data import builders
from keras_hash.data import draws
from keras_hash.data import label_sets
from keras_hash.data import places
from keras_hash.data import protocols
from keras_hash.data import records
from keras_hash.data.benchmark import Benchmark


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a dataset is and what its fields are called."""

    # Dataset and configuration in TensorFlow Datasets, and the splits read.
    builder: str
    splits: tuple
    # The field with the publisher's name of an image.
    id: str
    # Fields with labels; one that lies inside another is the path to it.
    labels: tuple
    licence: str
    # What to do before it can be prepared.
    get: str = ""
    # For small images that all have one size.
    in_memory: bool = False

    @property
    def help(self):
        """How to prepare it."""
        prepare = (
            "import tensorflow_datasets as t; "
            f"t.builder('{self.builder}').download_and_prepare()"
        )
        if self.builder in builders.NAMES:
            prepare = (
                "from keras_hash.data import builders; "
                f"builders.prepare('{self.builder}', 'FOLDER')"
            )
        return f'{self.get}Prepare it by `python -c "{prepare}"`'


_FLICKR = "each photo has the licence of its owner on Flickr"
SOURCES = {
    "cifar100": Source(
        builder="cifar100",
        splits=("train", "test"),
        id="id",
        labels=("label", "coarse_label"),
        licence="no licence stated by the publisher (Krizhevsky 2009)",
        in_memory=True,
    ),
    "coco": Source(
        builder="coco/2014",
        splits=("train", "validation"),
        id="image/filename",
        labels=(("objects", "label"),),
        licence="annotations CC BY 4.0; " + _FLICKR,
    ),
    "imagenet100": Source(
        builder="imagenet2012",
        splits=("train", "validation"),
        id="file_name",
        labels=("label",),
        licence="non-commercial research (ImageNet terms of access)",
        get="Register at image-net.org and put ILSVRC2012_img_train.tar and "
        "ILSVRC2012_img_val.tar into ~/tensorflow_datasets/downloads/manual. ",
    ),
    "mirflickr25k": Source(
        builder="mirflickr25k",
        splits=("full",),
        id="id",
        labels=("labels",),
        licence="Creative Commons; " + _FLICKR,
        get="Get mirflickr25k.zip and mirflickr25k_annotations_v080.zip of "
        "press.liacs.nl/mirflickr and unpack both into one FOLDER. ",
    ),
    "nus_wide": Source(
        builder="nus_wide",
        splits=("full",),
        id="id",
        labels=("labels",),
        licence="research use; " + _FLICKR,
        get="Get the lists, the ground truth and the images of NUS-WIDE in one "
        "FOLDER. ",
    ),
    "voc2007": Source(
        builder="voc/2007",
        splits=("train", "validation", "test"),
        id="image/filename",
        labels=("labels_no_difficult",),
        licence=_FLICKR,
    ),
    "voc2012": Source(
        builder="voc/2012",
        splits=("train", "validation"),
        id="image/filename",
        labels=("labels_no_difficult",),
        licence=_FLICKR,
    ),
}

PROTOCOLS = (
    protocols.published(
        dataset="cifar100",
        counts=dict(query=10_000, train=50_000, database=50_000),
        labels="100 fine classes",
        fields=("label",),
    ),
    protocols.published(
        dataset="cifar100",
        name="levels",
        counts=dict(query=10_000, train=50_000, database=50_000),
        labels="100 fine classes and 20 coarse ones, multi-hot",
        fields=("label", "coarse_label"),
        notes="Two images share 2 labels (same class), 1 (same superclass "
        "only) or 0. Ours.",
    ),
    protocols.disjoint(
        dataset="cifar100",
        counts=dict(query=5000, train=25_000, database=25_000),
        labels="100 fine classes, 50 of them trained",
        whole=protocols.held_out("test"),
        fields=("label",),
    ),
    protocols.at_random(
        dataset="coco",
        name="hashnet",
        counts=dict(query=5000, train=10_000, database=112_218),
        train_in_database=False,
        query_in_database=True,
        labels="80 classes",
        only_labelled=True,
        k=5000,
        papers=("HashNet", "CSQ"),
        notes="The 122,218 labelled images of 2014. The published database "
        "contains the queries, so that each finds itself. "
        "DeepHash-pytorch has other queries. " + protocols.OURS,
    ),
    protocols.at_random(
        dataset="coco",
        name="hashnet-clean",
        counts=dict(query=5000, train=10_000, database=107_218),
        train_in_database=False,
        labels="80 classes",
        only_labelled=True,
        k=5000,
        notes="The queries and training images of hashnet, with a database "
        "without the queries.",
    ),
    protocols.Protocol(
        dataset="imagenet100",
        name="hashnet",
        query="the validation images, 50 a class",
        train="130 a class",
        database="the training images of ImageNet",
        counts=dict(query=5000, train=13_000, database=128_503),
        labels="100 classes",
        draw=lambda targets, splits: draws.by_split(
            splits, "validation", 130, targets, seed=0
        ),
        label_names=label_sets.IMAGENET100,
        seed=0,
        k=1000,
        papers=("HashNet", "CSQ", "OrthoHash", "DeepHash-pytorch"),
        notes="The classes are the published ones; which 13,000 of the "
        "database train is our draw.",
    ),
    protocols.at_random(
        dataset="mirflickr25k",
        name="mir38",
        counts=dict(query=1000, train=4000, database=20_000),
        train_in_database=False,
        labels="24 potential and 14 relevant labels",
        label_names=label_sets.MIR38,
        papers=("DeepHash-pytorch", "HyP2 (mAP@1000)", "IDHN (train list)"),
        notes="419 of the images have no label. " + protocols.OURS,
    ),
    protocols.at_random(
        dataset="mirflickr25k",
        name="mir24",
        counts=dict(query=2000, train=10_000, database=22_581),
        train_in_database=True,
        labels="24 potential labels",
        label_names=label_sets.MIR24,
        only_labelled=True,
        papers=("cross-modal hashing",),
        notes="The 24,581 images with a label. Cross-modal papers use the "
        "20,015 that also have tags, a database of 18,015, and 5,000 or 10,000 "
        "training images: tags are not read here. The lists are ours.",
    ),
    protocols.of_each(
        "label",
        query=100,
        train=500,
        dataset="nus_wide",
        name="nus21-1",
        counts=dict(query=2100, train=10_500, database=193_734),
        labels="21 most frequent concepts",
        label_names=label_sets.NUS21,
        only_labelled=True,
        k=5000,
        papers=("CNNH", "DPSH", "DTSH", "DSDH", "TALR", "DeepHash-pytorch"),
        notes="The 195,834 images with one of the labels. An image counts for "
        "the first of its labels that needs one, queries first; "
        "DeepHash-pytorch fills the training set first. " + protocols.OURS,
    ),
    protocols.of_each(
        "label",
        query=100,
        dataset="nus_wide",
        name="nus21-2",
        counts=dict(query=2100, train=193_734, database=193_734),
        labels="21 most frequent concepts",
        label_names=label_sets.NUS21,
        only_labelled=True,
        k=50_000,
        papers=("DSHC", "TALR (setting 2)", "DSDH (setting 2)"),
        notes="The 195,834 images with one of the labels. " + protocols.OURS,
    ),
    protocols.at_random(
        dataset="nus_wide",
        name="nus81",
        counts=dict(query=5000, train=10_000, database=204_347),
        train_in_database=True,
        labels="81 concepts",
        label_names=label_sets.NUS81,
        only_labelled=True,
        k=5000,
        papers=("HashNet",),
        notes="The 209,347 images with a label. HashNet had 223,496 images, of "
        "which some have none (2,185 training images, 1,131 queries), and a "
        "smaller database. The lists are ours.",
    ),
    protocols.published(
        dataset="voc2007",
        train="the training and validation images",
        counts=dict(query=4952, train=5011, database=5011),
        labels="20 classes",
        papers=("HyP2",),
        notes="The published lists. Objects marked difficult do not count.",
    ),
    protocols.published(
        dataset="voc2012",
        split="validation",
        counts=dict(query=5823, train=5717, database=5717),
        labels="20 classes",
        papers=("HyP2",),
        notes="The published lists. Objects marked difficult do not count.",
    ),
    protocols.at_random(
        dataset="voc2012",
        name="voc2012",
        counts=dict(query=1000, train=4000, database=6540),
        train_in_database=False,
        labels="20 classes",
        papers=("DeepHash-pytorch",),
        notes="Drawn from training and validation images. " + protocols.OURS,
    ),
)


def load(plan):
    """A prepared dataset in the order of its ids, one row an image.

    A warning tells where it has fewer images than it should.
    """
    source = SOURCES[plan.dataset]
    folder = places.prepared(source.builder)
    if folder is None:
        raise FileNotFoundError(
            f"{plan.dataset} is not prepared here. {source.help}, and, where "
            "it is another folder, set TFDS_DATA_DIR to the one that then "
            f"contains `{source.builder}`."
        )
    pool, targets, ids, splits, labels = records.read(
        pathlib.Path(folder) / source.builder,
        source.splits,
        source.id,
        plan.fields or source.labels,
    )
    split = plan.split(targets, ids, splits, labels)
    different = plan.differences(split.parts)
    if different:
        warnings.warn(
            f"{plan.dataset}:{plan.name} is not complete here, so that results "
            f"cannot be compared ({'; '.join(different)}).",
            stacklevel=3,
        )
    return Benchmark(
        name=plan.dataset,
        protocol=plan.name,
        images=(
            np.stack(pool[split.rows])
            if source.in_memory
            else pool.take(split.rows)
        ),
        targets=split.targets,
        ids=ids[split.rows],
        parts=split.parts,
        labels=split.labels,
        licence=source.licence,
    )
