"""What TensorBoard's plugins read, one function each.

All write to the default writer of `tf.summary`, at its step.
"""

import io

import numpy as np

from keras_hash.evaluation import metrics


def scalars(report):
    """Writes all metrics of a report."""
    import tensorflow as tf

    for name, value in report.metrics.items():
        tf.summary.scalar(_tag(name), value)


def layout(names):
    """Writes which metrics the custom-scalars page shows side by side."""
    from tensorboard.plugins.custom_scalar import layout_pb2
    from tensorboard.plugins.custom_scalar import summary

    described = {name: metrics.describe(name) for name in names}
    several = any(known.grade for known in described.values())
    pages = {}
    for name, known in described.items():
        # With one label an image these say what others do.
        if known.group and (several or known.group != metrics.SEVERAL):
            charts = pages.setdefault(known.group, {})
            charts.setdefault(known.chart, []).append(f"^{_tag(name)}$")
    layout = layout_pb2.Layout()
    for title, charts in pages.items():
        category = layout_pb2.Category(title=title)
        for chart, tags in charts.items():
            content = layout_pb2.MultilineChartContent(tag=tags)
            category.chart.add(title=chart, multiline=content)
        layout.category.append(category)
    _raw(summary.pb(layout))


def hparams(values, names, trial):
    """Writes the settings of a run, and which metrics stand beside them."""
    from tensorboard.plugins.hparams import api

    api.hparams_config(
        [api.HParam(name) for name in values],
        [api.Metric(_tag(name), display_name=name) for name in names],
    )
    api.hparams(values, trial_id=trial)


def finished():
    """Writes that the run of `hparams` has ended."""
    from tensorboard.plugins.hparams import api_pb2
    from tensorboard.plugins.hparams import summary

    _raw(summary.session_end_pb(api_pb2.STATUS_SUCCESS))


def table(name, columns, rows):
    """Writes a table as text."""
    import tensorflow as tf

    lines = [columns, ["---"] * len(columns), *rows]
    lines = [
        " | ".join(
            " ".join(str(cell).split()).replace("|", "\\|") for cell in line
        )
        for line in lines
    ]
    tf.summary.text(name, "\n".join(f"| {line} |" for line in lines))


def picture(name, description, draw, *values):
    """Writes the picture that a function draws of values into a PNG file."""
    import tensorflow as tf

    content = io.BytesIO()
    draw(*values, content)
    pixels = tf.io.decode_png(content.getvalue())[None]
    tf.summary.image(name, pixels, description=description)


def distances(name, counts):
    """Writes a histogram with one bucket a distance, exact."""
    import tensorflow as tf
    from tensorboard.plugins.histogram import metadata

    middle = np.arange(len(counts))
    buckets = np.stack([middle - 0.5, middle + 0.5, counts], axis=1)
    tf.summary.write(
        name,
        tf.constant(buckets, "float64"),
        metadata=metadata.create_summary_metadata(
            None, "Number of pairs (query, database item) at each distance."
        ),
    )


def pr_curve(report, similar, dissimilar):
    """Writes precision and recall by radius for the PR curve plugin.

    The plugin's thresholds run evenly over 0..1 and find less and less: here
    they are `1 - radius / bits`.
    """
    import tensorflow as tf
    from tensorboard.plugins.pr_curve import metadata

    true, false = np.cumsum(similar), np.cumsum(dissimilar)
    rows = [
        true,
        false,
        false[-1] - false,
        true[-1] - true,
        report.curves["precision"],
        report.curves["recall"],
    ]
    tf.summary.write(
        "precision_recall",
        tf.constant(np.array(rows, "float32")[:, ::-1].copy()),
        metadata=metadata.create_summary_metadata(
            "precision and recall by Hamming radius",
            "Threshold: 1 - radius / bits. Precision and recall are means "
            "over the queries, as in the report; the counts are those of all "
            "pairs.",
            len(true),
        ),
    )


def _tag(name):
    return f"retrieval/{name}"


def _raw(summary):
    """Writes what a plugin made for TensorFlow 1."""
    import tensorflow as tf

    # It is no series: the plugins look for it at step 0 alone.
    tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=0)
