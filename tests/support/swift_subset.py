"""Executes the arithmetic of the Swift sources where no Swift compiler is: a small subset of the language, translated to Python.

Swift's precedence of operators, integer division, typed numbers and argument labels are kept: an operation on an Int and a Double,
a wrong label, an integer out of its type's range and an index out of its array raise, as they would not compile or would trap.
Anything outside the subset is a SyntaxError here. It proves nothing about types, about Foundation, or about what a compiler says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

_TOKEN = re.compile(
    r"(?P<skip>[ \t]+|//[^\n]*)|(?P<newline>\n)|(?P<number>-?0x[0-9a-f.]+p[+-]?[0-9]+|[0-9][0-9_]*(?:\.[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<op>\.\.<|->|&&|\|\||==|!=|<=|>=|<<|>>|\+=|-=|[-+*/%<>=!?:.,(){}\[\]])"
)
#: Binary operators by how tightly they bind (The Swift Programming Language: precedence groups of the standard library).
_BINDS = {
    ">>": 9, "<<": 9, "*": 8, "/": 8, "%": 8, "+": 7, "-": 7, "..<": 6, "<": 4, "<=": 4, ">": 4, ">=": 4, "==": 4, "!=": 4,
    "&&": 3, "||": 2,
}  # fmt: skip


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    starts_line: bool


def _tokens(source: str) -> list[_Token]:
    found, at, starts_line = [], 0, True
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            raise SyntaxError(f"not in the subset: {source[at : at + 40]!r}")
        at, kind = match.end(), str(match.lastgroup)
        if kind == "newline":
            starts_line = True
        elif kind != "skip":
            found.append(_Token(kind, match.group(), starts_line))
            starts_line = False
    return [*found, _Token("end", "", True)]


class _Translator:
    """Functions and structs of one or more sources, as Python text."""

    def __init__(self, source: str, labels: dict[str, list[str]]) -> None:
        self.tokens, self.at, self.labels = _tokens(source), 0, labels
        self.lines: list[str] = []
        self.depth = 0

    # ---- tokens
    @property
    def now(self) -> _Token:
        return self.tokens[self.at]

    def take(self, text: str | None = None) -> str:
        token = self.now
        if text is not None and token.text != text:
            raise SyntaxError(
                f"expected {text!r}, found {token.text!r} after {' '.join(t.text for t in self.tokens[self.at - 8 : self.at])}"
            )
        self.at += 1
        return token.text

    def accept(self, text: str) -> bool:
        if self.now.text != text:
            return False
        self.at += 1
        return True

    def emit(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    # ---- declarations
    def file(self) -> None:
        while self.now.kind != "end":
            word = self.take()
            if word == "func":
                self.function()
            elif word == "struct":
                self.struct()
            elif word == "enum":
                self.take()
                self.skip_braces()
            else:
                raise SyntaxError(f"not in the subset: {word}")

    def skip_braces(self) -> None:
        self.take("{")
        depth = 1
        while depth:
            depth += {"{": 1, "}": -1}.get(self.take(), 0)

    def struct(self) -> None:
        name, members = self.take(), []
        self.take("{")
        while not self.accept("}"):
            self.take("let")
            members.append(self.take())
            self.take(":")
            self.type()
        self.labels[name] = members
        self.emit(f"def {name}({', '.join(f'{m}_' for m in members)}):")
        self.emit(f"    return _struct({', '.join(f'{m}_={m}_' for m in members)})")

    def type(self) -> None:
        if self.accept("["):
            self.type()
            self.take("]")
        else:
            self.take()
        self.accept("?")

    def function(self) -> None:
        name = self.take()
        if self.accept("<"):
            while not self.accept(">"):
                self.take()
        self.take("(")
        external, internal = [], []
        while not self.accept(")"):
            first = self.take()
            external.append(first)
            internal.append(first if self.now.text == ":" else self.take())
            self.take(":")
            self.type()
            self.accept(",")
        self.labels[name] = external
        if self.accept("->"):
            self.type()
        self.emit(f"def {name}_({', '.join(f'{p}_' for p in internal)}):")
        self.block()

    # ---- statements
    def block(self) -> None:
        self.take("{")
        self.depth += 1
        self.emit("pass")
        while not self.accept("}"):
            self.statement()
        self.depth -= 1

    def statement(self) -> None:
        word = self.now.text
        special: dict[str, Callable[[], None]] = {
            "let": self.declaration, "var": self.declaration, "if": self.branch, "for": self.loop, "while": self.while_loop,
            "switch": self.switch, "return": self.leave, "break": self.leave,
        }  # fmt: skip
        if word in special:
            self.at += 1
            special[word]()
            return
        target = self.expression()
        if self.now.text in ("=", "+=", "-="):
            operator = self.take()
            value = self.expression()
            self.emit(f"{target} = {f'_value({value})' if operator == '=' else self.operation(operator[0], target, value)}")
        else:
            self.emit(target)

    def declaration(self) -> None:
        name = self.take()
        if self.accept(":"):
            self.type()
        self.take("=")
        self.emit(f"{name}_ = _value({self.expression()})")

    def branch(self) -> None:
        self.emit(f"if _bool({self.expression()}):")
        self.block()
        if self.accept("else"):
            self.emit("else:")
            if self.now.text == "if":
                self.depth += 1
                self.statement()
                self.depth -= 1
            else:
                self.block()

    def loop(self) -> None:
        name = self.take()
        self.take("in")
        self.emit(f"for {name}_ in {self.expression()}:")
        self.block()

    def while_loop(self) -> None:
        self.emit(f"while _bool({self.expression()}):")
        self.block()

    def switch(self) -> None:
        self.emit(f"_switched = {self.expression()}")
        self.take("{")
        word = "if"
        while not self.accept("}"):
            if self.accept("default"):
                self.emit("else:")
            else:
                self.take("case")
                self.emit(f"{word} _switched == {self.expression()}:")
            self.take(":")
            word = "elif"
            self.depth += 1
            while self.now.text not in ("case", "default", "}"):
                self.statement()
            self.depth -= 1

    def leave(self) -> None:
        word = self.tokens[self.at - 1].text
        self.emit(word if word == "break" else f"return {self.expression()}")

    # ---- expressions
    def expression(self, least: int = 0) -> str:
        left = self.prefix()
        while self.now.text in _BINDS and _BINDS[self.now.text] > least:
            operator = self.take()
            left = self.operation(operator, left, self.expression(_BINDS[operator]))
        if least == 0 and self.accept("?"):
            yes = self.expression()
            self.take(":")
            left = f"({yes} if _bool({left}) else {self.expression()})"
        return left

    def operation(self, operator: str, left: str, right: str) -> str:
        if operator in ("&&", "||"):
            return f"(_bool({left}) {'and' if operator == '&&' else 'or'} _bool({right}))"
        return f"_operate({operator!r}, {left}, {right})"

    def prefix(self) -> str:
        token = self.now
        self.at += 1
        if token.text == "-":
            return f"(-{self.prefix()})"
        if token.text == "!":
            return f"(not _bool({self.prefix()}))"
        if token.text == ".":
            return repr(self.take())  # a case of an enumeration
        if token.text == "(":
            value = self.expression()
            self.take(")")
            return self.postfix(f"({value})")
        if token.text == "[":
            elements = self.arguments("]")
            return self.postfix(f"[{', '.join(value for _, value in elements)}]")
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "name":
            return self.postfix(token.text, name=token.text)
        raise SyntaxError(f"not in the subset: {token.text!r}")

    def postfix(self, value: str, name: str | None = None) -> str:
        if name in ("true", "false"):
            return str(name).capitalize()
        started = False
        while self.now.text in (".", "(", "[") and not (self.now.text != "." and self.now.starts_line):
            opening = self.take()
            if opening == "(":
                arguments = self.arguments(")")
                value = self.call(value if started else name, value, arguments)
            else:
                if name is not None and not started:
                    value = f"{name}_"
                value = f"{value}[_index({self.arguments(']')[0][1]})]" if opening == "[" else f"_member({value}, {self.take()!r})"
            started = True
        return f"{name}_" if name is not None and not started else value

    def arguments(self, closing: str) -> list[tuple[str, str]]:
        found = []
        while not self.accept(closing):
            label = "_"
            if self.now.kind == "name" and self.tokens[self.at + 1].text == ":":
                label = self.take()
                self.take(":")
            found.append((label, self.expression()))
            self.accept(",")
        return found

    def call(self, name: str | None, value: str, arguments: list[tuple[str, str]]) -> str:
        values = ", ".join(argument for _, argument in arguments)
        labels = [label for label, _ in arguments]
        if labels == ["repeating", "count"]:
            return f"_fill({values})"
        if name in ("Int", "Double", "Float", "UInt8", "max", "min", "abs"):
            return f"_{name}({values})"
        if name == "stride":
            return f"_stride({values})" if labels == ["from", "through", "by"] else "_unknown"
        if name is None or name.startswith("_member"):
            return f"{value}({values})"
        return f"_call({name!r}, {labels!r}, {values})"


def _number(text: str) -> str:
    return repr(float.fromhex(text)) if "0x" in text else text.replace("_", "")


# ---------------------------------------------------------------- what the translation runs on
def _same(a: Any, b: Any) -> None:
    if type(a) is not type(b):
        raise TypeError(f"{type(a).__name__} and {type(b).__name__} in one operation")


def _operate(operator: str, a: Any, b: Any) -> Any:
    _same(a, b)
    simple: dict[str, Callable[[Any, Any], Any]] = {
        "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b, "==": lambda a, b: a == b,
        "!=": lambda a, b: a != b, ">>": lambda a, b: a >> b, "<<": lambda a, b: a << b, "..<": _range,
    }  # fmt: skip
    if operator == "/":
        return a / b if isinstance(a, float) else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return _fits(simple[operator](a, b), 64, signed=True)


def _range(a: int, b: int) -> range:
    if b < a:
        raise ValueError("a range that ends before it starts")
    return range(a, b)


def _fits(value: Any, bits: int, *, signed: bool) -> Any:
    if type(value) is int and not (-(1 << bits - 1) if signed else 0) <= value < 1 << (bits - 1 if signed else bits):
        raise OverflowError(f"{value} does not fit")
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is no Bool")
    return value


def _index(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise IndexError(value)
    return value


def _value(value: Any) -> Any:
    """Arrays are values: what is assigned is a copy."""
    return list(value) if isinstance(value, list) else value


def _member(value: Any, name: str) -> Any:
    if name == "count":
        return len(value)
    if name == "isEmpty":
        return not value
    if name == "append":
        return value.append
    if name == "reserveCapacity":
        return lambda n: None
    if name == "isNaN":
        return value != value
    if name == "rounded":
        return lambda how: {"toNearestOrEven": lambda: float(round(value)) if abs(value) < 2**52 else value}[how]()
    return getattr(value, f"{name}_")


def _extreme(choose: Callable[..., Any]) -> Callable[..., Any]:
    def chosen(*values: Any) -> Any:
        for value in values:
            _same(values[0], value)
        return choose(values)

    return chosen


class SwiftSubset:
    """The functions and structs of ``sources``, to be called from Python."""

    def __init__(self, sources: Iterable[str]) -> None:
        self.labels: dict[str, list[str]] = {}
        self.scope: dict[str, Any] = {
            "_operate": _operate, "_bool": _bool, "_index": _index, "_value": _value, "_member": _member, "_call": self._call,
            "_fill": lambda value, count: [value] * count, "_Int": int, "_Double": float, "_Float": float, "_abs": abs,
            "_UInt8": lambda value: _fits(int(value), 8, signed=False), "_max": _extreme(max), "_min": _extreme(min),
            "_stride": lambda start, last, step: range(start, last + (1 if step > 0 else -1), step),
            "_struct": lambda **members: SimpleNamespace(**members),
        }  # fmt: skip
        for source in sources:
            translator = _Translator(source, self.labels)
            translator.file()
            exec("\n".join(translator.lines), self.scope)

    def _call(self, name: str, labels: list[str], *values: Any) -> Any:
        if self.labels[name] != labels:
            raise SyntaxError(f"{name} takes {self.labels[name]}, not {labels}")
        return self.scope[name if name in self.scope else f"{name}_"](*values)

    def call(self, name: str, **arguments: Any) -> Any:
        """A function or the initializer of a struct, by its labels; ``_`` is the one without."""
        return self._call(name, list(arguments), *arguments.values())

    def evaluate(self, expression: str) -> Any:
        """The value of an expression."""
        return eval(_Translator(expression, self.labels).expression(), self.scope)


def function(source: str, name: str) -> str:
    """The text of one function at the top level of a source."""
    start = re.search(rf"^func {name}\b", source, re.MULTILINE)
    assert start is not None, name
    return source[start.start() : source.index("\n}\n", start.start()) + 3]
