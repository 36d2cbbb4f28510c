"""Names of tensors in other languages: readable where they can be, harmless always."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.packaging.names import (
    JAVA,
    MAX_IDENTIFIER,
    SWIFT,
    TYPESCRIPT,
    Language,
    camel,
    comment,
    identifiers,
    pascal,
    quoted,
    slug,
    snake,
)


@pytest.mark.parametrize(
    ("text", "in_camel", "in_pascal", "in_snake", "in_slug"),
    [
        ("input_ids", "inputIds", "InputIds", "input_ids", "input-ids"),
        ("softmax_11.tmp_0", "softmax11Tmp0", "Softmax11Tmp0", "softmax_11_tmp_0", "softmax-11-tmp-0"),
        ("/model/Conv:0", "modelConv0", "ModelConv0", "model_conv_0", "model-conv-0"),
        ("HTTPServer2Go", "httpServer2Go", "HttpServer2Go", "http_server_2_go", "http-server-2-go"),
        ("2d", "v2D", "M2D", "v2_d", "m2-d"),
        ("gro\u0308sse", "grosse", "Grosse", "grosse", "grosse"),  # an o with its dots behind it: the word stays whole
        ("入力", "value", "Model", "value", "model"),
        ("", "value", "Model", "value", "model"),
    ],
)
def test_words_become_identifiers(text: str, in_camel: str, in_pascal: str, in_snake: str, in_slug: str) -> None:
    assert (camel(text), pascal(text), snake(text), slug(text)) == (in_camel, in_pascal, in_snake, in_slug)


def test_reserved_words_and_clashes_get_out_of_the_way() -> None:
    found = identifiers(["class", "x", "X", "x_2", "engine", "Class"], JAVA, taken=["engine"])
    assert found == {"class": "class_", "x": "x", "X": "x_2", "x_2": "x2", "engine": "engine_2", "Class": "class__2"}


NAMES = st.lists(
    st.text(max_size=40) | st.sampled_from(["class", "let", "var", "x", "X", "x_2", "x2", "X 2"]), unique=True, max_size=12
)


@given(NAMES, st.sampled_from([JAVA, TYPESCRIPT, SWIFT]), st.sampled_from([camel, snake]))
def test_any_names_give_identifiers_of_their_own(texts: list[str], language: Language, convert: object) -> None:
    found = identifiers(texts, language, convert, taken=["engine"])  # type: ignore[arg-type]
    assert list(found) == texts
    lowered = [name.lower() for name in found.values()]
    assert len(set(lowered)) == len(texts)
    for name in found.values():
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)
        assert len(name) <= MAX_IDENTIFIER
        assert name not in language.reserved
        assert name != "engine"


@given(st.text(max_size=60))
def test_literals_are_ascii_and_end_where_they_should(text: str) -> None:
    for language in ("java", "typescript", "swift"):
        literal = quoted(text, language)  # type: ignore[arg-type]
        assert re.fullmatch(r'"(?:[ !#-\[\]-~]|\\["\\]|\\u[0-9a-f]{4}|\\u\{[0-9A-F]+\}|\\[0-7]{3})*"', literal), literal
        if language == "java":
            assert not re.search(r"\\u00(0a|0d|22|5c)", literal), "Java reads these before it reads literals"
        assert not (language == "typescript" and re.search(r"(?<!\\)\\[0-7]", literal)), "octal is an error in a module"


@given(st.text(max_size=300))
def test_comments_stay_comments(text: str) -> None:
    shown = comment(text)
    assert "*/" not in shown
    assert "/*" not in shown
    assert "\n" not in shown
    assert "\\u" not in shown
    assert shown.isascii()
