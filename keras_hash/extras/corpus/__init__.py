"""Encodes more images than one sitting, or one machine, can.

Images by glob or CSV become Parquet files of ids and codes, on Apache Beam: on
this machine, or with the runner and the options that Beam has for Flink, Spark
and Dataflow. `pip install "keras-hash[beam]"`.

    listing = corpus.from_glob("photos/**/*.jpg")
    corpus.encode("dshc_cifar10_30", listing, "encoded")
    for codes, ids in corpus.read("encoded"):
        index.add(codes, ids)

What is not an image goes to `refused.csv` with the reason. Called again after a
kill, `encode` does the shards that are missing; another model or another list
of images is refused. The same on the command line: `keras-hash encode
--runner`.
"""

from keras_hash.extras.corpus.listing import Listing
from keras_hash.extras.corpus.listing import from_csv
from keras_hash.extras.corpus.listing import from_glob
from keras_hash.extras.corpus.running import Encoding
from keras_hash.extras.corpus.running import encode
from keras_hash.extras.corpus.running import read

__all__ = [
    "Encoding",
    "Listing",
    "encode",
    "from_csv",
    "from_glob",
    "read",
]
