"""Recognise a conversation by its messages: a bounded table of digests, never of texts."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import msgspec

K = TypeVar("K")
T = TypeVar("T")
V = TypeVar("V")

ASSISTANT = "assistant"
USER = "user"
#: Roles of messages that stand before a chat and are written anew, as summaries of it are.
_INSTRUCTIONS = {"system", "developer"}
#: As many characters of a chat's last messages are no coincidence.
_TELLING_CHARS = 80


class Message(NamedTuple):
    """
    One message of a model's input, as far as it tells conversations apart.

    Attributes:
        role: `system`, `user`, `assistant` or `tool`.

        text: Its text, with whatever else makes it this message, such as tool calls, written out.
    """

    role: str
    text: str


def answer_named(answer_id: str) -> Message:
    """What an input begins with that goes on from an answer by its id, and does not repeat the messages."""
    return Message(ASSISTANT, f"\0{answer_id}")


class Trail(msgspec.Struct, frozen=True):
    """
    What messages look like as digests.

    Attributes:
        root: Whose they are: the same words of two users are two conversations.

        messages: They, oldest first.

        answers: For each answer among them, the digest of everything up to and including it, the first one first.

        so_far: The digest in the making of all of them, to go on from; None where nothing was made out.
    """

    root: str
    messages: Sequence[Message]
    answers: Sequence[bytes]
    so_far: "hashlib.blake2b | None"

    def tail(self) -> bytes | None:
        """
        A digest of the last exchanges up to the last answer, if they hold enough words to be no coincidence.

        By it a chat is recognised whose first messages were cut off or summarised.
        """
        so_far = _digest(f"{self.root}\0tail")
        chars = 0
        is_answered = False
        for message in reversed(self.messages):
            is_answered = is_answered or message.role == ASSISTANT
            if not is_answered or message.role in _INSTRUCTIONS:
                continue
            so_far.update(_bytes(message))
            chars += len(message.text)
            if chars >= _TELLING_CHARS and message.role == USER:
                return so_far.digest()
        return None


NOTHING_SEEN = Trail("", (), (), None)


def trail(root: str, messages: Sequence[Message]) -> Trail:
    """
    Make out the digests of messages.

    Args:
        root: Whose they are.

        messages: A model's input, oldest first.
    """
    if not any(message.role == ASSISTANT for message in messages):
        return NOTHING_SEEN
    answers = []
    so_far = _digest(root)
    for message in messages:
        so_far.update(_bytes(message))
        if message.role == ASSISTANT:
            answers.append(so_far.digest())
    return Trail(root, messages, answers, so_far)


def answered(root: str, messages: Sequence[Message], answer: Message, seen: Trail = NOTHING_SEEN) -> Trail:
    """
    Make out where a conversation stands after an answer: the last of the digests.

    Args:
        root: Whose the messages are.

        messages: A model's input, oldest first.

        answer: What came next.

        seen: What the messages looked like, if that is known: then they need not be read again.
    """
    if seen.so_far is not None:
        so_far = seen.so_far.copy()
    else:
        so_far = _digest(root)
        for message in messages:
            so_far.update(_bytes(message))
    so_far.update(_bytes(answer))
    return Trail(root, (*messages, answer), (so_far.digest(),), so_far)


def _digest(root: str) -> "hashlib.blake2b":
    return hashlib.blake2b(root.encode("utf-8", "surrogatepass"), digest_size=16)


def _bytes(message: Message) -> bytes:
    role, text = message
    # Apps like to take the spaces off an answer before they show and repeat it.
    text = text.strip()
    return f"\0{role}\0{len(text)}\0{text}".encode("utf-8", "surrogatepass")


class History(Generic[V]):
    """
    Which values came by which digests.

    Args:
        most: Entries kept; the oldest are forgotten first.

        is_free: Whether a value is not in use just now.
    """

    def __init__(self, most: int, is_free: Callable[[V], bool]) -> None:
        self._most = most
        self._is_free = is_free
        #: Every entry, the oldest first.
        self._entries: OrderedDict[tuple[bytes, V], None] = OrderedDict()
        #: The values that came by each digest, the last of them at the end.
        self._by_digest: dict[bytes, dict[V, None]] = {}
        #: Each value's digests; it stands at the last of them.
        self._by_value: dict[V, dict[bytes, None]] = {}
        #: The values that stand at each digest, the longest-waiting first.
        self._standing: dict[bytes, dict[V, None]] = {}

    def __bool__(self) -> bool:
        """Whether anything is remembered."""
        return bool(self._entries)

    def add(self, digest: bytes, value: V) -> None:
        """Remember that `value` stands at `digest` now."""
        if (digest, value) in self._entries:
            self._forget(digest, value)
        if value in self._by_value:
            _discard(self._standing, next(reversed(self._by_value[value])), value)
        self._entries[digest, value] = None
        self._by_digest.setdefault(digest, {})[value] = None
        self._by_value.setdefault(value, {})[digest] = None
        self._standing.setdefault(digest, {})[value] = None
        while len(self._entries) > self._most:
            self._forget(*next(iter(self._entries)))

    def standing(self, digest: bytes) -> V | None:
        """The value that stands exactly there; of several one that is free, the longest-waiting first."""
        standing = self._standing.get(digest, {})
        return next(filter(self._is_free, standing), next(iter(standing), None))

    def last(self, digest: bytes) -> V | None:
        """The value that came by there last, wherever it stands now."""
        return next(reversed(self._by_digest.get(digest, {})), None)

    def only(self, digest: bytes) -> V | None:
        """The value that came by there, if no other did."""
        passed = self._by_digest.get(digest, {})
        return next(iter(passed)) if len(passed) == 1 else None

    def discard(self, value: V) -> None:
        """Forget everything about a value."""
        digests = self._by_value.get(value)
        for digest in list(digests) if digests else ():
            self._forget(digest, value)

    def _forget(self, digest: bytes, value: V) -> None:
        del self._entries[digest, value]
        _discard(self._by_digest, digest, value)
        _discard(self._by_value, value, digest)
        _discard(self._standing, digest, value)


def _discard(groups: dict[K, dict[T, None]], key: K, item: T) -> None:
    group = groups.get(key)
    if group is not None:
        group.pop(item, None)
        if not group:
            del groups[key]


class Recognition(Generic[V]):
    """
    Which conversation messages continue.

    Several conversations may have begun with the very same words. The one that stands exactly where the longest
    known part ends is preferred; then one that the last exchanges alone lead to, because the first messages may
    have been cut off; then one that has gone on since from the longest known part, whose turn is made anew.

    Args:
        most: Entries kept of each kind.

        is_free: Whether a conversation is not in use just now.
    """

    def __init__(self, most: int, is_free: Callable[[V], bool]) -> None:
        self._wholes: History[V] = History(most, is_free)
        self._tails: History[V] = History(most, is_free)
        self._names: History[V] = History(most, is_free)

    def add(self, whole: bytes, tail: bytes | None, conversation: V, names: Sequence[bytes] = ()) -> None:
        """
        Remember that a conversation stands where messages end.

        Args:
            whole: The digest of all of them, an answer at their end.

            tail: That of the last exchanges, if they are telling.

            conversation: It.

            names: The digests of the answer's names, if it has any.
        """
        self._wholes.add(whole, conversation)
        if tail is not None:
            self._tails.add(tail, conversation)
        for name in names:
            self._names.add(name, conversation)

    def find(self, seen: Trail) -> V | None:
        """The conversation that messages continue."""
        if not seen.answers:
            return None
        known = next((digest for digest in reversed(seen.answers) if self._wholes.last(digest)), None)
        return (
            (self._wholes.standing(known) if known else None)
            or (self._tails.standing(tail) if self._tails and (tail := seen.tail()) else None)
            or (self._wholes.last(known) if known else None)
            or self._names.last(seen.answers[0])
        )

    def named(self, name: bytes) -> V | None:
        """The conversation in which alone an answer had that name."""
        return self._names.only(name)

    def __bool__(self) -> bool:
        """Whether any conversation is remembered."""
        return bool(self._wholes) or bool(self._names)

    def discard(self, conversation: V) -> None:
        """Forget everything about a conversation."""
        for history in (self._wholes, self._tails, self._names):
            history.discard(conversation)
