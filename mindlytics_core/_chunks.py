"""What a row of the spool holds: some events of one session, guarded by a checksum. Pure."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

#: A bent row may claim any number of events.
_MOST_CLAIMED = 10_000


class Chunk(NamedTuple):
    """
    Some events of one session, in order.

    Attributes:
        session_id: The session.

        bodies: Each the JSON of one object.

        written: When they were written down, in seconds since 1970.
    """

    session_id: str
    bodies: Sequence[bytes]
    written: float

    def packed(self) -> bytes:
        """One event a line: JSON has no line break of its own."""
        return b"\n".join(self.bodies)


class Damaged(NamedTuple):
    """A chunk whose bytes are not those that were written, and how many events it claims to have held."""

    claimed: int


def checksum(session_id: str, packed: bytes) -> int:
    """Guards a chunk against what the disk may do to it."""
    return _checksum(session_bytes(session_id), packed)


def session_bytes(session_id: str) -> bytes:
    """A session's id as it is written, whatever the app calls it: also with half a pair of surrogates."""
    return session_id.encode(errors="surrogatepass")


def _checksum(session: bytes, packed: bytes) -> int:
    return zlib.crc32(packed, zlib.crc32(session))


def unpacked(
    session: bytes | None, count: int | None, crc: int | None, written: float | None, packed: bytes | None
) -> Chunk | Damaged:
    """Read a row back, and say whether it is what was written; a bent row has whatever in its fields, or nothing."""
    if session is not None and written is not None and packed is not None:
        bodies = packed.split(b"\n")
        if len(bodies) == count and _checksum(session, packed) == crc:
            return Chunk(session.decode(errors="surrogatepass"), bodies, written)
    return Damaged(min(max(count or 0, 0), _MOST_CLAIMED))


def chunked(pairs: Iterable[tuple[str, bytes]], most_events: int, most_bytes: int) -> Iterator[list[int]]:
    """
    Group events into chunks of one session each, and give each chunk's places among the events.

    A session's chunks come in its order, and a full one is followed by another.
    """
    open_chunks: dict[str, tuple[list[int], int]] = {}
    done: list[list[int]] = []
    for place, (session, body) in enumerate(pairs):
        places, size = open_chunks.get(session, ([], 0))
        if places and (len(places) >= most_events or size + len(body) > most_bytes):
            places, size = [], 0
        if not places:
            done.append(places)
        places.append(place)
        open_chunks[session] = places, size + len(body)
    return iter(done)
