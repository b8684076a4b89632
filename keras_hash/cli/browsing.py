"""`keras-hash list` and `info`."""

import contextlib

from keras_hash import files
from keras_hash.cli import inputs
from keras_hash.cli import outputs
from keras_hash.cli import quiet

# Of `list`, and how wide they are, so that the groups stand in line.
_COLUMNS = {
    "name": 21,
    "measured on": 12,
    "bits": 14,
    "mAP": 6,
    "MiB": 4,
}


def add_commands(add):
    """Adds the commands to the parser."""
    listing = add(
        "list",
        _list,
        "List the zoo's encoders.",
        ["list", "list 'dshc_*'", "list --json | jq -r '.[].name'"],
        needs_keras=False,
    )
    listing.add_argument(
        "pattern", nargs="?", default="*", help="of names, such as 'dshc_*'"
    )
    inputs.add_json(listing)

    info = add(
        "info",
        _info,
        "Show an encoder's card, or how a benchmark is split.",
        ["info dshc_digits_30", "info runs/mine --json", "info cifar10:dshc"],
        needs_keras=False,
    )
    info.add_argument("model", help=f"{inputs.MODEL}, or DATASET:PROTOCOL")
    inputs.add_json(info)


def _list(chosen):
    from keras_hash.zoo import entries

    cards = []
    for name in entries.list_models(chosen.pattern):
        try:
            cards.append(entries.card(name))
        except (ValueError, OSError) as error:
            # The others are there all the same.
            outputs.say(error)
    if chosen.json:
        outputs.print_json(cards)
        return
    if not cards:
        print(f"No encoder has a name like {chosen.pattern!r}.")
        return
    from rich import box
    from rich.table import Table

    for title, some in entries.grouped(cards).items():
        table = Table(title=title, title_justify="left", box=box.SIMPLE)
        # A name is there to be typed: others give way on a narrow screen.
        for column, width in _COLUMNS.items():
            named = column == "name"
            table.add_column(column, no_wrap=named, min_width=width)
        for card in some:
            measured = card.dataset
            if card.protocol != "official":
                measured += f":{card.protocol}"
            table.add_row(
                card.name,
                measured,
                ", ".join(map(str, card.by_length)),
                f"{card.metrics['map']:.4f}",
                f"{card.bytes / 2**20:.2f}",
            )
        outputs.show(table)


def _info(chosen):
    dataset, colon, protocol = chosen.model.partition(":")
    if colon and not files.local(chosen.model).exists():
        quiet.import_keras()
        from keras_hash.data import protocols

        card = protocols.find(dataset, protocol).card()
    else:
        card = inputs.card(chosen.model)
    if chosen.json:
        outputs.print_json(card)
        return
    from rich.table import Table

    table = Table(title=card["name"], show_header=False)
    for key, value in card.items():
        if key in ("files", "model", "code_sha256"):
            continue
        if key == "lengths":
            value = {
                f"{bits} bits": f"mAP {found['map']:.4f}"
                for bits, found in value.items()
            }
        if key == "runtimes":
            value = {
                name: f"{100 * of['bits_differing']:.2g} % of the bits and "
                f"{100 * of['codes_differing']:.2g} % of {of['images']:,} "
                "codes are others than on Keras"
                for name, of in value.items()
            }
        if key == "false_pairs":
            value = {"pairs": f"{value['pairs']:,}"}
            with contextlib.suppress(ValueError):
                value["one in a million"] = f"radius {card.radius(1e-6)}"
        if key == "extremes":
            value = {
                side.replace("_", " "): ", ".join(
                    f"{name} ({score:.3f})" for name, score in found.items()
                )
                for side, found in value.items()
            }
        if isinstance(value, dict):
            value = "\n".join(f"{k}: {v}" for k, v in value.items())
        table.add_row(key, str(value))
    outputs.show(table)
