"""
Where one record ends and the next begins, without reading the whole file.

Lines are JSON Lines; an array's items are found by counting brackets outside of strings, so that an export of
gigabytes costs the memory of its longest conversation, and no JSON library that can stream is needed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from mindlytics_cli.importing._source import Source

#: The longest single record.
MAX_RECORD_BYTES = 64 * 1024 * 1024

LINES, ARRAY, WHOLE = "lines", "array", "whole"

_BOM = b"\xef\xbb\xbf"
_CHUNK_BYTES = 256 * 1024
_BLANK = b" \t\r\n"
_OUTSIDE = re.compile(rb'["\[\]{},]')
_INSIDE = re.compile(rb'\\.|"', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Piece:
    """
    The text of one record.

    Attributes:
        number: The how manieth it is, from 1.

        line: The line where it begins, from 1.

        text: Its bytes; None when it is longer than any record may be.

        is_open: Whether it is the end of the file without the end of a line: somebody may still be writing it.
    """

    number: int
    line: int
    text: bytes | None
    is_open: bool = False


def sniffed(head: bytes) -> str:
    """
    How a file is divided, by its first bytes.

    Args:
        head: They; as many as can be had without waiting.
    """
    head = head.removeprefix(_BOM).lstrip(_BLANK)
    if head.startswith(b"["):
        return ARRAY
    first = head.split(b"\n", 1)[0].rstrip(_BLANK)
    # No line of JSON Lines ends so; the first of an indented document does.
    return WHOLE if first.endswith((b"{", b"[", b",")) else LINES


def pieces(source: Source, framing: str) -> Iterator[Piece]:
    """
    The records of a file from where the source stands. While one is looked at, exactly it and what stands before
    it has been taken.

    Args:
        source: The file.

        framing: How it is divided.
    """
    cut = {LINES: _lines, ARRAY: _items, WHOLE: _whole}[framing]
    for line, text in cut(source):
        bare = None if text is None else text.removeprefix(_BOM).strip(_BLANK)
        if bare == b"":
            continue
        source.number += 1
        is_open = framing == LINES and text is not None and not text.endswith(b"\n")
        yield Piece(source.number, line, bare, is_open)


def _lines(source: Source) -> Iterator[tuple[int, bytes | None]]:
    while raw := source.stream.readline(MAX_RECORD_BYTES):
        line, complete = source.line, raw.endswith(b"\n") or len(raw) < MAX_RECORD_BYTES
        source.take(raw)
        if complete:
            yield line, raw
            continue
        while (raw := source.stream.readline(_CHUNK_BYTES)) and not raw.endswith(b"\n"):
            source.take(raw)
        source.take(raw)
        yield line, None


def _whole(source: Source) -> Iterator[tuple[int, bytes | None]]:
    raw = source.stream.read(MAX_RECORD_BYTES + 1)
    source.take(raw)
    yield 1, raw if len(raw) <= MAX_RECORD_BYTES else None


def _items(source: Source) -> Iterator[tuple[int, bytes | None]]:
    """The items of a top-level array; of a broken one as many as can be told apart."""
    scan = _Scan(source.stream)
    if source.offset == 0:
        opened = scan.buffer.index(b"[") + 1
        source.take(scan.cut(opened))
    while (end := scan.next_end()) is not None:
        raw = scan.cut(end)
        # Blank lines before an item do not belong to it.
        line = source.line + raw[: len(raw) - len(raw.lstrip(_BLANK))].count(b"\n")
        source.take(raw)
        if scan.gave_up:
            yield line, None
            return
        yield line, raw[:-1] if scan.at_boundary else raw
        if scan.closed:
            return


class _Scan:
    """Finds the ends of an array's items in a growing buffer."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.buffer = bytearray(stream.read(_CHUNK_BYTES))
        #: Where the search goes on.
        self._at = 0
        #: Brackets that are open inside the item, and whether a string is.
        self._depth = 0
        self._inside = False
        #: Whether the last item ended with a comma or the array's own bracket.
        self.at_boundary = False
        #: Whether the array is over.
        self.closed = False
        #: Whether an item was too long.
        self.gave_up = False

    def cut(self, end: int) -> bytes:
        """Take the front of the buffer off."""
        front = bytes(self.buffer[:end])
        del self.buffer[:end]
        self._at = 0
        return front

    def next_end(self) -> int | None:
        """How many bytes the next item has, with the comma or bracket after it; None when there is none."""
        self.at_boundary = False
        while not self.at_boundary:
            found = (_INSIDE if self._inside else _OUTSIDE).search(self.buffer, self._at)
            if found is not None:
                self._at = found.end()
                self._pass(found.group())
            elif len(self.buffer) > MAX_RECORD_BYTES:
                self.gave_up = True
                return len(self.buffer)
            elif not self._read_on():
                return len(self.buffer) or None
        return self._at

    def _read_on(self) -> bool:
        # A backslash at the very end, unless it is itself escaped, belongs to what comes next.
        alone = self._inside and len(self.buffer) > self._at and self.buffer.endswith(b"\\")
        self._at = len(self.buffer) - alone
        more = self._stream.read(_CHUNK_BYTES)
        self.buffer += more
        return bool(more)

    def _pass(self, sign: bytes) -> None:
        if sign == b'"':
            self._inside = not self._inside
        elif self._inside:
            return
        elif sign in b"[{":
            self._depth += 1
        elif self._depth and sign in b"]}":
            self._depth -= 1
        elif not self._depth:
            self.at_boundary = True
            self.closed = sign == b"]"
