"""Names of tensors and models as identifiers of another language. A bundle may come from anybody, so any text may come in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Literal

MAX_IDENTIFIER = 64
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")


@dataclass(frozen=True)
class Language:
    """What a language does not allow as the name of a parameter, a field or a method."""

    name: str
    reserved: frozenset[str]


def _language(name: str, words: str) -> Language:
    return Language(name, frozenset(words.split()))


#: Keywords and literals (Java Language Specification 3.9), and the methods that every object has.
JAVA = _language(
    "Java",
    "abstract assert boolean break byte case catch char class const continue default do double else enum exports extends final "
    "finally float for goto if implements import instanceof int interface long module native new null package permits private "
    "protected public record return sealed short static strictfp super switch synchronized this throw throws transient true false "
    "try var void volatile while yield clone equals finalize getClass hashCode notify notifyAll toString wait",
)
#: Reserved words in strict mode, contextual ones of TypeScript that confuse, and what every module or object has.
TYPESCRIPT = _language(
    "TypeScript",
    "any arguments as async await boolean break case catch class const constructor continue debugger declare default delete do "
    "else enum eval export extends false finally for from function get if implements import in instanceof interface is let module "
    "namespace never new null number object of package private protected prototype public require return set static string super "
    "switch symbol this throw true try type typeof undefined unknown var void while with yield then toString valueOf",
)
#: Keywords used in declarations, statements, expressions and types (The Swift Programming Language, Lexical Structure).
SWIFT = _language(
    "Swift",
    "Any Protocol Self Type actor as associatedtype async await borrowing break case catch class consuming continue default defer "
    "deinit do else enum extension fallthrough false fileprivate for func guard if import in init inout internal is let nil "
    "nonisolated open operator precedencegroup private protocol public repeat rethrows return self static struct subscript super "
    "switch throw throws true try typealias var where while description hash",
)


def words(text: str) -> list[str]:
    """The lower-case words of ``text``: split at what is no ASCII letter or digit, at ``aB``, and between letters and digits."""
    plain = unicodedata.normalize("NFKD", text[: 8 * MAX_IDENTIFIER])
    return [
        word.lower() for word in _WORD.findall("".join(c if c.isascii() else " " * (not unicodedata.combining(c)) for c in plain))
    ]


def camel(text: str) -> str:
    """``input_ids`` and ``Input:0`` as ``inputIds`` and ``input0``; ``value`` where nothing is left of the name."""
    first, *rest = words(text) or ["value"]
    return _starting_with_letter(first + "".join(word.capitalize() for word in rest), "v")


def pascal(text: str) -> str:
    """``digits-small`` as ``DigitsSmall``; ``Model`` where nothing is left of the name."""
    return _starting_with_letter("".join(word.capitalize() for word in words(text) or ["model"]), "M")


def snake(text: str) -> str:
    """``inputIds`` as ``input_ids``; ``value`` where nothing is left of the name."""
    return _starting_with_letter("_".join(words(text) or ["value"]), "v")


def slug(text: str) -> str:
    """``Digits Small.onnx`` as ``digits-small-onnx``: the name of a package; ``model`` where nothing is left of the name."""
    return _starting_with_letter("-".join(words(text) or ["model"]), "m").rstrip("-")


def _starting_with_letter(identifier: str, letter: str) -> str:
    return (identifier if identifier[:1].isalpha() else letter + identifier)[:MAX_IDENTIFIER]


def identifiers(
    texts: Iterable[str],
    language: Language,
    convert: Callable[[str], str] = camel,
    *,
    taken: Collection[str] = (),
) -> dict[str, str]:
    """An identifier of its own for each text, in their order; the same texts give the same identifiers.

    Args:
        texts: names as the model has them, each once.
        language: whose reserved words are avoided, by an underscore behind them.
        convert: :func:`camel`, :func:`pascal` or :func:`snake`.
        taken: identifiers that generated code already has in that scope.
    """
    used = {name.lower() for name in taken}  # not by case alone: file names and readers do not always see it
    found: dict[str, str] = {}
    for text in texts:
        plain = convert(text)
        plain = plain + "_" if plain in language.reserved else plain
        name, number = plain, 2
        while name.lower() in used:
            name, number = f"{plain[: MAX_IDENTIFIER - 6]}_{number}", number + 1
        used.add(name.lower())
        found[text] = name
    return found


def quoted(text: str, language: Literal["java", "typescript", "swift"] = "java") -> str:
    """``text`` as a string literal: ASCII only, everything else as escapes, so that no text of a model ends it or hides in it."""
    return '"' + "".join(_escaped(c, language) for c in text) + '"'


def _escaped(character: str, language: str) -> str:
    code = ord(character)
    if character in '"\\':
        return "\\" + character
    if character == "$" and language == "swift":
        return character
    if 0x20 <= code < 0x7F:
        return character
    if language == "swift":
        return f"\\u{{{code:X}}}" if not 0xD800 <= code < 0xE000 else "\\u{FFFD}"
    if code < 0x20 and language == "java":  # to Java's compiler, \\u000a is a line feed also within a literal (JLS 3.3)
        return f"\\{code:03o}"
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def comment(text: str, limit: int = 200) -> str:
    """``text`` fit for a comment or a README: one line, printable ASCII, nothing that ends a comment or starts markup."""
    shown = "".join(c if 0x20 <= ord(c) < 0x7F else "?" for c in " ".join(text.split()))[:limit]
    return shown.replace("*/", "* /").replace("/*", "/ *").replace("\\u", "\\ u").replace("<", "&lt;").replace("@", "(at)")
