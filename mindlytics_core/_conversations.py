"""Which conversation an exchange continues, and when a conversation ends by itself."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from mindlytics_core._clock import IDS, Clock
from mindlytics_core._history import NOTHING_SEEN, Message, Recognition, Trail, answer_named, answered, trail
from mindlytics_core._lifecycle import Lifecycle
from mindlytics_core._model import Properties
from mindlytics_core._outbox import Outbox
from mindlytics_core._scope import Ids

#: Conversations kept open at once, and digests kept to recognise them by; beyond it the quietest ends.
MOST_OPEN = 10_000
MOST_DIGESTS = 50_000


class Sessions(Protocol):
    """Where conversations get their sessions from: the client."""

    clock: Clock
    outbox: Outbox

    def lifecycle(self, ids: Ids, *, for_conversation: str) -> Lifecycle:
        """The session that the ids name, or a new one."""
        ...

    def call_at(self, when: float, task: Callable[[], None]) -> None:
        """Have `task` called at a time of the monotonic clock."""
        ...


class Exchange(Protocol):
    """One turn in the making, as far as its conversation must know it."""

    ids: Ids
    #: The model's input, and what it looks like as far as that is known.
    messages: Sequence[Message]
    seen: Trail

    def give_up(self) -> None:
        """The results never came."""
        ...


class Conversation:
    """
    One conversation that exchanges may still join.

    Args:
        lifecycle: Its session.

        conversation_id: Its id.

        named_as: The session id and the conversation id that the app or its framework chose, if it did.

        own_session: Whether the session was made for it, and ends with it.

        wait: Seconds of silence after which it ends; 0 ends it with its last exchange.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        conversation_id: str,
        *,
        named_as: tuple[str | None, str] | None,
        own_session: bool,
        wait: float,
    ) -> None:
        self.lifecycle = lifecycle
        self.conversation_id = conversation_id
        self.named_as = named_as
        self.own_session = own_session
        self.wait = wait
        #: Exchanges in progress.
        self.running = 0
        #: The length of the silence that it is in, None while an exchange runs.
        self.silence: float | None = None
        #: Exchanges that wait for their tools' results, by what they have seen.
        self.unanswered: dict[bytes, Exchange] = {}

    @property
    def is_open(self) -> bool:
        """Whether nobody has ended it, by hand or with its session."""
        return self.lifecycle.is_open(self.conversation_id)


class Conversations:
    """
    The conversations of one client.

    Args:
        sessions: Makes sessions, tells the time and calls back.

        idle_timeout: Seconds of silence after which a named conversation ends.
    """

    def __init__(self, sessions: Sessions, *, idle_timeout: float) -> None:
        self._sessions = sessions
        self._idle_timeout = idle_timeout
        self.renew()

    def renew(self) -> None:
        """Begin with none; in a forked child they are the parent's."""
        self._lock = self._sessions.outbox.new_lock()
        self._named: dict[tuple[str | None, str], Conversation] = {}
        self._known: Recognition[Conversation] = Recognition(MOST_DIGESTS, _is_free)
        #: By length of wait, the silent conversations with the time when each ends, the next to end first.
        self._silent: dict[float, OrderedDict[Conversation, float]] = {}
        self._open: set[Conversation] = set()
        #: Those in which an exchange waits for its tools' results.
        self._asking: set[Conversation] = set()
        self._timer_at: float | None = None

    def outlive_threads(self) -> None:
        """The process ends: wait no more for threads that are frozen with the lock."""
        self._lock = self._sessions.outbox.last(self._lock)

    def join(
        self,
        ids: Ids,
        seen: Trail,
        *,
        at: str,
        continue_within: float,
        properties: Properties,
    ) -> Conversation:
        """
        The conversation that an exchange belongs to, started if it is new; `leave` follows.

        Args:
            ids: What is known of it.

            seen: The model's input, to recognise an unnamed conversation by.

            at: When the exchange began, ISO 8601.

            continue_within: Seconds that an unnamed conversation waits for its next exchange.

            properties: Sent with its start.
        """
        with self._lock:
            found = self._find(ids, seen)
            if found is None:
                found = self._begin(ids, at, continue_within, properties)
            self._resume(found)
            return found

    def leave(
        self,
        conversation: Conversation,
        exchange: Exchange,
        answer: Message | None,
        answer_id: str | None = None,
    ) -> None:
        """
        An exchange is over, also one that still waited.

        Args:
            conversation: What `join` gave.

            exchange: It.

            answer: What it ended with; None when there was no answer.

            answer_id: What a later input may call the answer by.
        """
        place = None
        # A conversation that does not wait is never looked for; and to look at long inputs takes its time.
        if answer is not None and conversation.wait:
            stands = answered(_root(exchange.ids), exchange.messages, answer, exchange.seen)
            place = stands.answers[-1], stands.tail(), conversation, _names(exchange.ids, answer_id)
        with self._lock:
            self._take_up(conversation, exchange)
            if place is not None:
                self._known.add(*place)
            self._pause(conversation, conversation.wait)

    def look(self, ids: Ids, messages: Sequence[Message]) -> Trail:
        """What messages look like, as far as there is a conversation that they could lead to."""
        return trail(_root(ids), messages) if self._known else NOTHING_SEEN

    def unanswered(self, ids: Ids, seen: Trail, calls: Sequence[str] = ()) -> Exchange | None:
        """
        The exchange that waits for just these tools' results, which then waits no longer.

        Args:
            ids: What is known of its conversation.

            seen: The model's input.

            calls: The ids of the calls, by which it is found where the input was changed before them.
        """
        if not self._asking or not (seen.answers or calls):
            return None
        with self._lock:
            for found, digest in self._asked(ids, seen, calls):
                if found is not None and digest in found.unanswered:
                    exchange = found.unanswered[digest]
                    self._take_up(found, exchange)
                    return exchange
        return None

    def await_tools(
        self,
        conversation: Conversation,
        exchange: Exchange,
        messages: Sequence[Message],
        answer_id: str | None = None,
        calls: Sequence[str] = (),
    ) -> None:
        """Keep an exchange open until its tools' results come, or the conversation ends."""
        stands = answered(_root(exchange.ids), messages[:-1], messages[-1])
        names = _names(exchange.ids, answer_id, *calls)
        [whole], tail = stands.answers, stands.tail()
        with self._lock:
            self._take_up(conversation, exchange)
            for digest in (whole, *names):
                conversation.unanswered[digest] = exchange
            self._asking.add(conversation)
            self._known.add(whole, tail, conversation, names)
            self._pause(conversation, conversation.wait or self._idle_timeout)

    def end(self, conversation_id: str, session_id: str | None = None) -> None:
        """End a named conversation, once no exchange in it is in progress."""
        with self._lock:
            found = self._named.get((session_id, conversation_id))
            if found is not None and found.running:
                found.wait = 0.0
            elif found is not None:
                self._end(found)

    def give_up_all(self) -> None:
        """Give up what waits for tools; the sessions are ended by who holds them."""
        with self._lock:
            for conversation in list(self._open):
                self._give_up(conversation)

    def _asked(self, ids: Ids, seen: Trail, calls: Sequence[str]) -> Iterator[tuple[Conversation | None, bytes]]:
        """Where an exchange may wait for tools' results, and as what; the most certain first."""
        found = self._find(ids, seen)
        for digest in reversed(seen.answers):
            yield found, digest
        for name in _names(ids, *calls):
            yield self._find(ids, NOTHING_SEEN) or self._known.named(name), name

    def _find(self, ids: Ids, seen: Trail) -> Conversation | None:
        if ids.conversation_id is not None:
            found = self._named.get((ids.session_id, ids.conversation_id))
        else:
            found = self._known.find(seen)
        if found is not None and not found.is_open:
            self._end(found)
            return None
        return found

    def _begin(self, ids: Ids, at: str, continue_within: float, properties: Properties) -> Conversation:
        named_as = None if ids.conversation_id is None else (ids.session_id, ids.conversation_id)
        conversation_id = ids.conversation_id or IDS.new()
        conversation = Conversation(
            self._sessions.lifecycle(ids, for_conversation=conversation_id),
            conversation_id,
            named_as=named_as,
            own_session=ids.session_id is None,
            wait=self._idle_timeout if named_as else continue_within,
        )
        lifecycle = conversation.lifecycle
        lifecycle.start_conversation(conversation.conversation_id, at, properties, ids.other_than(lifecycle.identity))
        self._open.add(conversation)
        if conversation.named_as is not None:
            self._named[conversation.named_as] = conversation
        return conversation

    def _take_up(self, conversation: Conversation, exchange: Exchange) -> None:
        """An exchange waits no longer, if it did; it may have waited under several names."""
        if conversation.unanswered and exchange in conversation.unanswered.values():
            conversation.unanswered = {
                key: other for key, other in conversation.unanswered.items() if other is not exchange
            }
            if not conversation.unanswered:
                self._asking.discard(conversation)
            self._resume(conversation)

    def _resume(self, conversation: Conversation) -> None:
        conversation.running += 1
        conversation.lifecycle.begin_exchange(conversation.conversation_id)
        self._break_silence(conversation)

    def _pause(self, conversation: Conversation, silence: float) -> None:
        conversation.running -= 1
        conversation.lifecycle.end_exchange(conversation.conversation_id)
        if conversation.running:
            return
        # One that was ended meanwhile is no longer held here, also when its id has begun anew.
        if not silence or not conversation.is_open or conversation not in self._open:
            self._end(conversation)
            return
        conversation.silence = silence
        ends_at = self._sessions.clock.monotonic() + silence
        self._silent.setdefault(silence, OrderedDict())[conversation] = ends_at
        if len(self._open) > MOST_OPEN:
            self._end(min((next(iter(silent.items())) for silent in self._silent.values()), key=_when)[0])
        self._wake_at(ends_at)

    def _break_silence(self, conversation: Conversation) -> None:
        if conversation.silence is not None:
            silent = self._silent[conversation.silence]
            del silent[conversation]
            if not silent:
                del self._silent[conversation.silence]
            conversation.silence = None

    def _end(self, conversation: Conversation) -> None:
        if conversation not in self._open:
            if not conversation.is_open:
                # Ended by hand and let go of, before this exchange was over: what it left behind leads nowhere.
                self._known.discard(conversation)
                self._give_up(conversation)
            return
        self._forget(conversation)
        self._give_up(conversation)
        if conversation.own_session:
            # And the conversation before it.
            conversation.lifecycle.end(None, {})
        elif conversation.is_open:
            conversation.lifecycle.end_conversation(conversation.conversation_id, None, {})

    def _give_up(self, conversation: Conversation) -> None:
        self._asking.discard(conversation)
        while conversation.unanswered:
            conversation.unanswered.popitem()[1].give_up()

    def _forget(self, conversation: Conversation) -> None:
        self._open.discard(conversation)
        self._known.discard(conversation)
        self._break_silence(conversation)
        if conversation.named_as is not None:
            del self._named[conversation.named_as]

    def _wake_at(self, when: float) -> None:
        """One timer for all: at the first end that may be due."""
        if self._timer_at is None or when < self._timer_at:
            self._timer_at = when
            self._sessions.call_at(when, self._sweep)

    def _sweep(self) -> None:
        with self._lock:
            now = self._sessions.clock.monotonic()
            self._timer_at = None
            for silent in list(self._silent.values()):
                while silent and next(iter(silent.values())) <= now:
                    self._end(next(iter(silent)))
            first = min((next(iter(silent.values())) for silent in self._silent.values()), default=None)
            if first is not None:
                self._wake_at(first)


def _root(ids: Ids) -> str:
    """Messages are told apart by user, and by session if it is named."""
    return f"{ids.user_id}\0{ids.device_id}\0{ids.session_id}"


def _names(ids: Ids, *given: str | None) -> list[bytes]:
    return [trail(_root(ids), [answer_named(name)]).answers[0] for name in given if name is not None]


def _is_free(conversation: Conversation) -> bool:
    return not conversation.running


def _when(entry: tuple[Conversation, float]) -> float:
    return entry[1]
