"""docs/serving.md, with the ports of a test."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "serving.md"


def blocks(language):
    text = PAGE.read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def here(text, ports):
    """Text with the ports of the test."""
    for port, other in ports.items():
        for host in ("localhost:", "127.0.0.1/"):
            text = text.replace(host + port, host + other)
    return text
