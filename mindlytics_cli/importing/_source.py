"""A file read from the front, which knows how far it was taken and a digest of all that was."""

import hashlib
from dataclasses import dataclass
from typing import BinaryIO

_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Mark:
    """
    A place in a file.

    Attributes:
        offset: Bytes before it.

        line: Its line, from 1.

        number: Records before it.

        digest: SHA-256 of the bytes before it, so that another file is recognised as another.
    """

    offset: int
    line: int
    number: int
    digest: str


class Source:
    """
    What was taken of a file.

    Args:
        stream: The file, at its beginning.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        #: Bytes taken.
        self.offset = 0
        #: Line of the next byte, from 1.
        self.line = 1
        #: Records taken.
        self.number = 0
        self._digest = hashlib.sha256()

    def take(self, raw: bytes) -> None:
        """Count bytes that were read as taken."""
        self._digest.update(raw)
        self.offset += len(raw)
        self.line += raw.count(b"\n")

    def mark(self) -> Mark:
        """The place that was reached."""
        return Mark(self.offset, self.line, self.number, self._digest.hexdigest())

    def skip_to(self, mark: Mark) -> bool:
        """
        Go on at a mark; False when what stands before it is not what stood there.

        Args:
            mark: From an earlier run over the same file.
        """
        left = mark.offset
        while left and (raw := self.stream.read(min(left, _CHUNK_BYTES))):
            self.take(raw)
            left -= len(raw)
        self.number = mark.number
        return not left and self.mark() == mark
