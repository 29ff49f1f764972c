"""Recognise a conversation by its messages: a bounded table of digests, never of texts."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K")
T = TypeVar("T")
V = TypeVar("V")

ASSISTANT = "assistant"


class Message(NamedTuple):
    """
    One message of a model's input, as far as it tells conversations apart.

    Attributes:
        role: `system`, `user`, `assistant` or `tool`.

        text: Its text, with whatever else makes it this message, such as tool calls, written out.
    """

    role: str
    text: str


def digests(root: str, messages: Sequence[Message]) -> Iterator[bytes]:
    """
    For each message the digest of everything up to and including it.

    Args:
        root: Whose messages they are: the same words of two users are two conversations.

        messages: The input, oldest first.
    """
    so_far = hashlib.blake2b(root.encode("utf-8", "surrogatepass"), digest_size=16)
    for role, text in messages:
        so_far.update(f"\0{role}\0{len(text)}\0{text}".encode("utf-8", "surrogatepass"))
        yield so_far.copy().digest()


class History(Generic[V]):
    """
    Which values answered which messages.

    Several conversations may have begun with the very same words. The one that stands exactly there is
    preferred over one that has gone on since, and of those the one that has waited longest.

    Args:
        most: Entries kept; the oldest are forgotten first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        #: Every entry, the oldest first.
        self._entries: OrderedDict[tuple[bytes, V], None] = OrderedDict()
        self._by_digest: dict[bytes, list[V]] = {}
        #: Each value's digests; it stands at the last of them.
        self._by_value: dict[V, list[bytes]] = {}

    def add(self, digest: bytes, value: V) -> None:
        """Remember that `value` stands at `digest` now."""
        if (digest, value) in self._entries:
            self._forget(digest, value)
        self._entries[digest, value] = None
        self._by_digest.setdefault(digest, []).append(value)
        self._by_value.setdefault(value, []).append(digest)
        while len(self._entries) > self._most:
            self._forget(*next(iter(self._entries)))

    def find(self, root: str, messages: Sequence[Message]) -> V | None:
        """The value whose messages these continue: the longest known part that ends with an answer."""
        known = [
            digest
            for message, digest in zip(messages, digests(root, messages), strict=True)
            if message.role == ASSISTANT and digest in self._by_digest
        ]
        if not known:
            return None
        values = self._by_digest[known[-1]]
        standing = [value for value in values if self._by_value[value][-1] == known[-1]]
        return standing[0] if standing else values[-1]

    def discard(self, value: V) -> None:
        """Forget everything about a value."""
        for digest in list(self._by_value.get(value, ())):
            self._forget(digest, value)

    def _forget(self, digest: bytes, value: V) -> None:
        del self._entries[digest, value]
        _remove(self._by_digest, digest, value)
        _remove(self._by_value, value, digest)


def _remove(lists: dict[K, list[T]], key: K, item: T) -> None:
    lists[key].remove(item)
    if not lists[key]:
        del lists[key]
