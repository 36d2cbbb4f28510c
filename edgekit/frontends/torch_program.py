"""What the JSON of an exported program would make PyTorch do, judged before PyTorch reads it.

The program looks like data, but loading it evaluates parts of it as Python: symbolic sizes (``expr_str``, by sympy's parser),
guards, operators by name (``torch.os.system`` is a name, too), enumerations in tree specifications (imported by name), and names
end in generated source. So the rule is: each text must be of a kind that is known to be harmless; what only describes where the
program came from (metadata, guards) is left out of what PyTorch gets.
"""

from __future__ import annotations

import ast
import json
import re
from typing import Any

#: A name or a version. Without quotes, brackets and blanks it can neither call nor import anything, wherever it ends up.
_PLAIN = re.compile(r"[A-Za-z0-9_.:@$+-]{0,1000}")
#: A text argument of an operator ("bhqd,bhkd->bhqk", "reflect"): it is passed on quoted.
_TEXT = re.compile(r"[^'\"\\`\x00-\x1f\x7f-\U0010ffff]{0,1000}")
_OPERATOR = re.compile(
    r"torch\.ops\.(aten|prims|quantized_decomposed)\.\w+\.\w+"
    r"|torch\.ops\.higher_order\.(cond|while_loop|scan|wrap_with_set_grad_enabled|wrap_with_autocast)"
    r"|torch\.(sym_(int|float|max|min|not|ite|sum)|_sym_sqrt)"
    r"|_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|neg|pos|pow|eq|ne|lt|le|gt|ge|and_|or_|not_|lshift|rshift)"
    r"|math\.(ceil|floor|trunc|sqrt|pow)",
    re.ASCII,
)
_FILE_OPERATORS = re.compile(r"torch\.ops\.aten\.(from_file|save|_print|warn)\..*")
_SIZE_FUNCTIONS = frozenset(
    {
        # sympy's own
        "Symbol", "Integer", "Float", "Rational", "Add", "Mul", "Pow", "Max", "Min", "Mod", "Abs", "floor", "ceiling", "And", "Or",
        "Not", "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "Equality", "Unequality", "StrictLessThan", "LessThan", "StrictGreaterThan",
        "GreaterThan", "Piecewise", "ExprCondPair",
        # PyTorch's
        "FloorDiv", "ModularIndexing", "Where", "PythonMod", "CleanDiv", "CeilToInt", "FloorToInt", "CeilDiv", "LShift", "RShift",
        "PowByNatural", "FloatPow", "FloatTrueDiv", "IntTrueDiv", "IsNonOverlappingAndDenseIndicator", "TruncToFloat", "TruncToInt",
        "RoundToInt", "RoundDecimal", "ToFloat", "Identity",
    }
)  # fmt: skip
_SIZE_NAMES = re.compile(r"[a-z]{1,6}[0-9]{1,9}|True|False|true|false|oo|int_oo")
_QUOTED_IN_SIZES = {"Symbol": re.compile(r"[A-Za-z_]\w{0,99}", re.ASCII), "Float": re.compile(r"[0-9.eE+-]{1,60}")}
_SIZE_SYNTAX = (
    ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare,
    ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip
_TREE_TYPES = (None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")
_LARGEST_PROGRAM_BYTES = 256 << 20
_DEEPEST = 200  # what looks at it is recursive; branches inside branches need about ten levels each
_OBJECTS = ("as_custom_obj", "custom_obj", "as_operator", "as_opaque", "as_opaque_obj")
_LEFT_OUT: dict[str, Any] = {"metadata": {}, "guards_code": []}


def read_json(data: bytes) -> Any:
    """The document.

    Raises:
        ValueError: not JSON, nested too deeply, or too large.
    """
    if len(data) > _LARGEST_PROGRAM_BYTES:
        raise ValueError(f"it is over {_LARGEST_PROGRAM_BYTES >> 20} MiB")
    try:
        document = json.loads(data)
    except RecursionError as problem:
        raise ValueError("it is nested too deeply") from problem
    level = [document]
    for _ in range(_DEEPEST):
        level = [
            inner
            for each in level
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    if level:
        raise ValueError("it is nested too deeply")
    return document


def without_remarks(document: Any) -> Any:
    """The program without what only says where it came from: stack traces, module types, guards on the example's shapes."""
    if isinstance(document, dict):
        return {key: _LEFT_OUT[key] if key in _LEFT_OUT else without_remarks(value) for key, value in document.items()}
    if isinstance(document, list):
        return [without_remarks(value) for value in document]
    return document


def code_in_program(document: Any, key: str = "") -> str:
    """Why loading the program (or this part of it, found under ``key``) may run code; empty when it cannot."""
    if isinstance(document, dict):
        return _code_in_object(document)
    if isinstance(document, list):
        return next((reason for reason in (code_in_program(value, key) for value in document) if reason), "")
    if not isinstance(document, str):
        return ""
    if key == "expr_str":
        return "" if _is_size(document) else _named("the size", document)
    if key == "target":
        return _code_in_operator(document)
    if key in ("in_spec", "out_spec"):
        return "" if _is_tree(document) else _named("the tree of inputs or outputs", document)
    if key in ("as_string", "as_strings"):
        return "" if _TEXT.fullmatch(document) else _named("the text", document)
    return "" if _PLAIN.fullmatch(document) else _named("the name", document)


def code_in_payloads(document: Any, prefix: str) -> str:
    """Why loading the weights (or constants) that this list describes may run code; empty when all are raw bytes.

    Args:
        prefix: what the names of their records begin with: ``weight_`` or ``tensor_``.
    """
    payloads = document.get("config") if isinstance(document, dict) else None
    if not isinstance(payloads, dict):
        return "the list of its tensors is damaged"
    for name, payload in payloads.items():
        record = payload.get("path_name") if isinstance(payload, dict) else None
        if not isinstance(record, str) or not re.fullmatch(rf"{prefix}[0-9]+", record) or payload.get("use_pickle") is not False:
            return f"{name[:100]!r} is stored as a pickled object, not as the bytes of a tensor"
    return code_in_program(document)


def _code_in_object(document: dict[str, Any]) -> str:
    for key, value in document.items():
        if not _PLAIN.fullmatch(key):
            return _named("the name", key)
        if key in _OBJECTS or (key == "custom_obj_values" and value):
            return "it holds an object of a custom class"
        reason = code_in_program(value, key)
        if reason:
            return reason
    return ""


def _code_in_operator(name: str) -> str:
    if _FILE_OPERATORS.fullmatch(name):
        return f"the operator {name} reads or writes outside the model"
    return "" if _OPERATOR.fullmatch(name) else _named("the operator", name) + " is not one of PyTorch's own"


def _named(what: str, text: str) -> str:
    return f"{what} {text[:120]!r}" + ("" if what == "the operator" else " is not of a form that is known to be harmless")


def _is_size(text: str) -> bool:
    """Whether a symbolic size is arithmetic on symbols and numbers, and nothing else."""
    try:
        tree = ast.parse(text, mode="eval") if len(text) <= 4000 else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if tree is None:
        return False
    quoted: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, _SIZE_SYNTAX):
            return False
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Name) or node.func.id not in _SIZE_FUNCTIONS:
                return False
            allowed = _QUOTED_IN_SIZES.get(node.func.id)
            first = node.args[0] if node.args else None
            if allowed and isinstance(first, ast.Constant) and isinstance(first.value, str) and allowed.fullmatch(first.value):
                quoted.add(id(first))
        elif isinstance(node, ast.Constant):
            if not isinstance(node.value, (bool, int, float)) and id(node) not in quoted:
                return False
        elif isinstance(node, ast.Name) and node.id not in _SIZE_FUNCTIONS and not _SIZE_NAMES.fullmatch(node.id):
            return False
    return True


def _is_tree(text: str) -> bool:
    """Whether a tree specification is tuples, lists and dictionaries with plain keys."""
    try:
        document = read_json(text.encode())
    except ValueError:
        return False
    return isinstance(document, list) and len(document) == 2 and document[0] == 1 and _is_subtree(document[1])


def _is_subtree(node: Any) -> bool:
    if not isinstance(node, dict) or set(node) != {"type", "context", "children_spec"} or node["type"] not in _TREE_TYPES:
        return False
    context, children = node["context"], node["children_spec"]
    try:
        keys = read_json(context.encode()) if isinstance(context, str) else context
    except ValueError:
        return False
    plain = keys is None or (isinstance(keys, list) and all(isinstance(key, str) and _PLAIN.fullmatch(key) for key in keys))
    return plain and isinstance(children, list) and all(_is_subtree(child) for child in children)
