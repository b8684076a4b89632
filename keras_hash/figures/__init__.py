"""Pictures of codes, metrics and what was found: drawn from what is given."""

from keras_hash.figures.charts import INK
from keras_hash.figures.charts import SHAPES
from keras_hash.figures.charts import code_bits
from keras_hash.figures.charts import code_places
from keras_hash.figures.charts import correlation_panel
from keras_hash.figures.charts import line_panel
from keras_hash.figures.charts import points
from keras_hash.figures.charts import radius_curves
from keras_hash.figures.charts import share_panel
from keras_hash.figures.galleries import RIGHT
from keras_hash.figures.galleries import WRONG
from keras_hash.figures.galleries import found_files
from keras_hash.figures.galleries import gallery

__all__ = [
    "INK",
    "RIGHT",
    "SHAPES",
    "WRONG",
    "code_bits",
    "code_places",
    "correlation_panel",
    "found_files",
    "gallery",
    "line_panel",
    "points",
    "radius_curves",
    "share_panel",
]
