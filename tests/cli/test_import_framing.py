"""Where records end: lines, and the items of one big array."""

import io
import json

from hypothesis import given
from hypothesis import strategies as st

from mindlytics_cli.importing import _framing
from mindlytics_cli.importing._framing import ARRAY, LINES, WHOLE, pieces, sniffed
from mindlytics_cli.importing._source import Source

SCALARS = st.none() | st.booleans() | st.integers() | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


def cut(text: bytes, framing: str) -> list[bytes | None]:
    return [piece.text for piece in pieces(Source(io.BytesIO(text)), framing)]


@given(st.lists(VALUES), st.sampled_from([None, 2]), st.booleans(), st.integers(1, 9))
def test_an_array_s_items_are_those_that_json_finds(items: list[object], indent: int | None, ascii_: bool, chunk: int):
    text = json.dumps(items, indent=indent, ensure_ascii=ascii_).encode("utf-8", "surrogatepass")
    before, _framing._CHUNK_BYTES = _framing._CHUNK_BYTES, chunk
    try:
        found = cut(text, ARRAY)
    finally:
        _framing._CHUNK_BYTES = before

    assert [json.loads(each.decode("utf-8", "surrogatepass")) for each in found if each is not None] == items


@given(st.binary(), st.sampled_from([LINES, ARRAY, WHOLE]))
def test_any_bytes_are_taken_to_their_end_or_to_the_array_s(text: bytes, framing: str):
    source = Source(io.BytesIO(b"[" + text))

    list(pieces(source, framing))

    assert source.offset <= len(text) + 1
    assert framing == ARRAY or source.offset == len(text) + 1


@given(st.lists(VALUES, min_size=1), st.sampled_from([LINES, ARRAY]), st.data())
def test_who_goes_on_at_a_mark_gets_exactly_the_rest(items: list[object], framing: str, data: st.DataObject):
    lines = [json.dumps(item) for item in items]
    text = ("[" + ",\n".join(lines) + "]" if framing == ARRAY else "\n".join(lines)).encode()
    stop = data.draw(st.integers(1, len(items)))
    first, second = Source(io.BytesIO(text)), Source(io.BytesIO(text))

    before = []
    for piece in pieces(first, framing):
        before.append(piece)
        if len(before) == stop:
            break
    assert second.skip_to(first.mark())

    assert before + list(pieces(second, framing)) == list(pieces(Source(io.BytesIO(text)), framing))


def test_a_mark_fits_no_other_file():
    first = Source(io.BytesIO(b"1\n2\n"))
    list(pieces(first, LINES))

    assert not Source(io.BytesIO(b"1\n3\n4\n")).skip_to(first.mark())
    assert not Source(io.BytesIO(b"1\n")).skip_to(first.mark())
    assert Source(io.BytesIO(b"1\n2\n3\n")).skip_to(first.mark())


def test_a_piece_knows_its_line():
    array = Source(io.BytesIO(b'[\n  {"a": 1},\n\n  {\n"b": 2}\n]\n'))

    assert [piece.line for piece in pieces(array, ARRAY)] == [2, 4]


def test_what_a_file_is_shows_in_its_first_bytes():
    assert sniffed(b'{"a": 1}\n{"a": 2}') == LINES
    assert sniffed(b"\xef\xbb\xbf\n [\n") == ARRAY
    assert sniffed(b'{\n  "turns": []\n}') == WHOLE
    assert sniffed(b"") == LINES


def test_a_line_that_is_too_long_costs_no_memory_and_no_neighbour(monkeypatch):
    monkeypatch.setattr(_framing, "MAX_RECORD_BYTES", 10)
    monkeypatch.setattr(_framing, "_CHUNK_BYTES", 4)

    assert cut(b"1\n" + b"x" * 35 + b"\n2\n" + b"y" * 10 + b"\n3", LINES) == [b"1", None, b"2", None, b"3"]


def test_an_item_that_is_too_long_ends_the_reading(monkeypatch):
    monkeypatch.setattr(_framing, "MAX_RECORD_BYTES", 10)
    monkeypatch.setattr(_framing, "_CHUNK_BYTES", 4)

    assert cut(b'[1, "' + b"x" * 35 + b'", 2]', ARRAY) == [b"1", None]
