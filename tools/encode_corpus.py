"""Encodes a huge corpus of images on Apache Beam.

    python tools/encode_corpus.py MODEL --glob 'photos/**/*.jpg' --out FOLDER

Images by glob, TFRecord or CSV become Parquet files of ids and codes; what is
no image goes to FOLDER/refused.csv. Called again after a kill, it does what is
missing. Everything is in `keras_hash.extras.corpus`; `--help` says the rest.
"""

import sys

from keras_hash.extras.corpus.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
