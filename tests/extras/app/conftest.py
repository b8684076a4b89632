"""Digits to search for, and what their page is served with."""

import pytest

import keras_hash


@pytest.fixture(scope="session")
def digits():
    return keras_hash.data.load("digits")


@pytest.fixture(scope="session")
def framework():
    """What the server needs; tests without it are skipped at once."""
    return pytest.importorskip("gradio", reason="the extra `app` is not here")
