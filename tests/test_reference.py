"""The reference: what its command checks. `make docs` builds it."""

import inspect

import reference


def test_dead_links_are_seen(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text(
        '<p id="x"></p><a href="#x"></a><a href="sub/b.html#y"></a>'
        '<a href="https://keras.io#z"></a><a href="#y"></a>'
    )
    (tmp_path / "sub" / "b.html").write_text(
        '<p id="y"></p><a href="../a.html#x"></a><a href="c.html"></a>'
    )
    found = reference.dead_links(tmp_path)
    assert sorted(found) == ["a.html: #y", "b.html: c.html"]


def test_links_to_what_is_not_shown_become_text():
    text = '<a href="#A">A</a>, <a href="#B">B</a>'
    assert reference.unlinked(text, {"A"}) == '<a href="#A">A</a>, B'


def test_a_constructor_shows_the_signature_of_its_class():
    def call(bits, margin=0.5, **kwargs):
        pass

    made = reference.constructor(inspect.signature(call))
    assert str(inspect.signature(made)) == "(self, bits, margin=0.5, **kwargs)"
