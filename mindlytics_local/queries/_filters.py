"""
A JSON filter as the condition of a query: `{"event": "Turn Failed", "timestamp": {"$gte": "2025-01-01T00:00:00Z"}}`.

Pure: JSON and a collection in, SQL and bound values out. Nothing from outside ever becomes part of the SQL.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from mindlytics_local import _json
from mindlytics_local._errors import Refused
from mindlytics_local._timestamps import parse_timestamp
from mindlytics_local.queries._collections import Collection, Field
from mindlytics_local.storage import _word_index

Bound: TypeAlias = str | int | float | None
_MAX_INTEGER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Clause:
    """
    A part of a query.

    Attributes:
        sql: Its text.

        params: The values bound in it, in order.
    """

    sql: str
    params: tuple[Bound, ...] = ()


EVERYTHING = Clause("1")


def condition(wanted: object, collection: Collection) -> Clause:
    """
    Turn a filter into a condition.

    Args:
        wanted: The filter, as read from JSON.

        collection: What is filtered.

    Raises:
        Refused: It names an unknown field or operator, or compares what cannot be compared.
    """
    if not isinstance(wanted, dict):
        raise Refused('a filter must be a JSON object, such as {"session_id": "s1"}')
    parts = [_part(name, value, collection) for name, value in wanted.items()]
    return _joined(" AND ", parts) if parts else EVERYTHING


def _part(name: str, value: object, collection: Collection) -> Clause:
    if name in _JOINERS:
        if not isinstance(value, list) or not value:
            raise Refused(f"{name} must be a list of filters")
        return _joined(_JOINERS[name], [condition(one, collection) for one in value])
    if name == "$search" and collection.text is not None:
        return _search_for(value, collection.text)
    if name == "$user" and collection.person is not None:
        return _of_user(value, collection.person)
    if name.startswith("$"):
        raise Refused(f"unknown operator {name!r}; between filters there are {', '.join(_JOINERS)}")
    field = collection.field(name)
    if not isinstance(value, dict):
        return _equal(field, name, value)
    return _joined(" AND ", [_compared(field, name, operator, operand) for operator, operand in value.items()])


def _search_for(value: object, text: str) -> Clause:
    if not isinstance(value, str):
        raise Refused("$search must be a text")
    words = _word_index.query(value)
    return EVERYTHING if words is None else Clause(text, (words,))


def _of_user(value: object, person: str) -> Clause:
    if not isinstance(value, str):
        raise Refused("$user must be a user's id")
    return Clause(person, (value,) * person.count("?"))


def _compared(field: Field, name: str, operator: str, operand: object) -> Clause:
    if operator not in _OPERATORS:
        raise Refused(f"{name}: unknown operator {operator!r}; there are {', '.join(_OPERATORS)}")
    return _OPERATORS[operator](field, name, operand)


def _equal(field: Field, name: str, operand: object) -> Clause:
    value = _value(field, name, operand)
    if field.many:
        exists = f"EXISTS (SELECT 1 FROM json_each({field.sql}) AS item WHERE item.value IS ?)"  # noqa: S608  # ours
        if not isinstance(value, str):
            return Clause(exists, (*field.params, value))
        # Looked for as a text first: taking every list of a large file apart takes three times as long.
        seen = f"instr({field.sql}, ?) AND {exists}"
        return Clause(seen, (*field.params, _json.write(value), *field.params, value))
    return Clause(f"{field.sql} IS ?", (*field.params, value))


def _unequal(field: Field, name: str, operand: object) -> Clause:
    equal = _equal(field, name, operand)
    return Clause(f"NOT ({equal.sql})", equal.params)


def _one_of(field: Field, name: str, operand: object) -> Clause:
    if not isinstance(operand, list):
        raise Refused(f"{name}: $in must be a list")
    if field.many or not operand:
        return _joined(" OR ", [_equal(field, name, item) for item in operand]) if operand else Clause("0")
    values = [_value(field, name, item) for item in operand]
    # One bound list, however long: SQLite limits how many values a query may bind.
    listed_in = f"{field.sql} IN (SELECT value FROM json_each(?))"  # noqa: S608  # the expression is ours
    listed = Clause(listed_in, (*field.params, _json.write(values)))
    return _joined(" OR ", [listed, Clause(f"{field.sql} IS NULL", field.params)]) if None in values else listed


def _exists(field: Field, name: str, operand: object) -> Clause:
    if not isinstance(operand, bool):
        raise Refused(f"{name}: $exists must be true or false")
    return Clause(f"{field.sql} IS {'NOT ' if operand else ''}NULL", field.params)


def _ordered(sign: str) -> "_Operator":
    def compare(field: Field, name: str, operand: object) -> Clause:
        value = _value(field, name, operand)
        if field.many or value is None or isinstance(operand, bool):
            raise Refused(f"{name}: an order needs a text or a number")
        # SQLite puts every number before every text; a text must not count as larger than a number.
        kinds = "'text'" if isinstance(value, str) else "'integer', 'real'"
        return Clause(
            f"({field.sql} {sign} ? AND typeof({field.sql}) IN ({kinds}))", (*field.params, value, *field.params)
        )

    return compare


def _value(field: Field, name: str, operand: object) -> Bound:
    if operand is not None and not isinstance(operand, str | int | float):
        raise Refused(f"{name}: compare with a text, a number, true, false or null")
    if operand is not None and field.time:
        return _microseconds(name, operand)
    if isinstance(operand, int) and not -_MAX_INTEGER <= operand <= _MAX_INTEGER:
        raise Refused(f"{name}: the number is too large")
    return operand


def _microseconds(name: str, operand: object) -> int:
    if not isinstance(operand, str):
        raise Refused(f"{name}: compare with a timestamp")
    try:
        return parse_timestamp(operand).us
    except ValueError as error:
        raise Refused(f"{name}: {error}") from None


def _joined(word: str, clauses: list[Clause]) -> Clause:
    if not clauses:
        return EVERYTHING
    if len(clauses) == 1:
        return clauses[0]
    # Halved, not in a row: SQLite limits how deep an expression may be, and a row of a thousand is a thousand deep.
    half = len(clauses) // 2
    left, right = _joined(word, clauses[:half]), _joined(word, clauses[half:])
    return Clause(f"({left.sql}){word}({right.sql})", left.params + right.params)


_Operator: TypeAlias = Callable[[Field, str, object], Clause]
_JOINERS: Mapping[str, str] = {"$and": " AND ", "$or": " OR "}
_OPERATORS: Mapping[str, _Operator] = {
    "$eq": _equal,
    "$ne": _unequal,
    "$in": _one_of,
    "$exists": _exists,
    "$gt": _ordered(">"),
    "$gte": _ordered(">="),
    "$lt": _ordered("<"),
    "$lte": _ordered("<="),
}
