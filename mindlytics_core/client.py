"""The client: one organisation's project, its sessions and exchanges, its flush and its end."""

import os
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from mindlytics_core import _config, _model
from mindlytics_core._book import Book
from mindlytics_core._callbacks import at_home
from mindlytics_core._config import Delivery
from mindlytics_core._direct import Direct
from mindlytics_core._editing import BeforeSend, Editor, Redactor
from mindlytics_core._history import Message, answer_named
from mindlytics_core._listener import OnEvent
from mindlytics_core._model import Event, Properties
from mindlytics_core._options import check_options, check_session_options
from mindlytics_core._receipt import Receipt
from mindlytics_core._reports import OnDrop, OnError, Reports
from mindlytics_core._scope import NO_IDS, Ids, current_scope
from mindlytics_core._stats import FlushResult, Stats
from mindlytics_core.exceptions import InvalidArgument
from mindlytics_core.exchange import Exchange
from mindlytics_core.session import LISTEN_TIMEOUT, Session

FLUSH_TIMEOUT = 10.0
IDLE_TIMEOUT = 1800.0
DEFAULT_DELIVERY = Delivery()


class Client(Direct):
    """
    One project's doorway. Nothing starts before the first event; clients of one project share one worker.

    Args:
        api_key: The organisation's key; without it `MLSDK_API_KEY`.

        project_id: The project; without it `MLSDK_PROJECT_ID`.

        server_endpoint: The service's address; without it `MLSDK_SERVER_BASE`, else the public one.

        wss_endpoint: The live events' address; without it made from the service's.

        debug: Kept for the public SDK's users; what happens is logged to the logger `mindlytics` either way.

        on_error: Called with each refused event and each pause, a function or a coroutine function.

        on_drop: Called with a reason and a count when events are given up, likewise.

        before_send: Called with each event on the thread that made it; gives the event to send, or None.

        capture_content: Whether texts are recorded; otherwise only their lengths are.

        redact: Functions from text to text for everything that users, models and tools said, such as those of
            `mindlytics_core.redactors`.

        sample_rate: The share of conversations that is recorded, from 0 to 1; each is whole or not there.

        continue_within: Seconds that an unnamed conversation waits for its next exchange; None leaves it to
            the integration: LangChain's chains end theirs at once, OpenAI's chats have 1,800 s.

        idle_timeout: Seconds of silence after which a named conversation, or a session, ends.

        end_on_exit: Whether the exit of the process also ends what the app has named.

        spool_dir: Where events wait on disk, so that they survive the process; without it `MLSDK_SPOOL_DIR`, and
            without that memory alone.

        delivery: Sizes, waits and limits.

    Raises:
        ConfigurationError: A key or project id is missing, or an option is wrong.
    """

    def __init__(
        self,
        api_key: str | None = None,
        project_id: str | None = None,
        server_endpoint: str | None = None,
        wss_endpoint: str | None = None,
        debug: bool = False,  # noqa: FBT001, FBT002  # the public SDK's signature
        *,
        on_error: OnError | None = None,
        on_drop: OnDrop | None = None,
        before_send: BeforeSend | None = None,
        capture_content: bool = True,
        redact: Sequence[Redactor] = (),
        sample_rate: float = 1.0,
        continue_within: float | None = None,
        idle_timeout: float = IDLE_TIMEOUT,
        end_on_exit: bool = True,
        spool_dir: str | os.PathLike[str] | None = None,
        delivery: Delivery = DEFAULT_DELIVERY,
    ) -> None:
        self.config = _config.load(api_key, project_id, server_endpoint, wss_endpoint, spool_dir)
        self.debug = debug
        self.continue_within = continue_within
        check_options(
            delivery=delivery,
            redact=redact,
            sample_rate=sample_rate,
            idle_timeout=idle_timeout,
            continue_within=continue_within,
            on_error=on_error,
            on_drop=on_drop,
            before_send=before_send,
        )
        self._reports = Reports(at_home(on_error), at_home(on_drop))
        book = Book(
            self.config,
            delivery,
            self._reports,
            editor=Editor(
                capture_content=capture_content,
                redact=redact,
                sample_rate=sample_rate,
                before_send=before_send,
            ),
            idle_timeout=idle_timeout,
            end_on_exit=end_on_exit,
        )
        super().__init__(book)
        self._book = book

    def __repr__(self) -> str:
        destination = self.config.destination
        return f"<Client of project {destination.project_id!r} at {destination.endpoint}>"

    @property
    def api_key(self) -> str:
        """The organisation's key."""
        return self.config.destination.api_key

    @property
    def project_id(self) -> str:
        """The project."""
        return self.config.destination.project_id

    @property
    def server_endpoint(self) -> str:
        """The service's address."""
        return self.config.destination.endpoint

    @property
    def wss_endpoint(self) -> str:
        """The live events' address."""
        return self.config.wss_endpoint

    @property
    def is_closed(self) -> bool:
        """Whether it takes no more events."""
        return self._book.is_closed

    def create_session(
        self,
        *,
        session_id: str | None = None,
        conversation_id: str | None = None,
        id: str | None = None,  # noqa: A002  # the public SDK's name
        device_id: str | None = None,
        attributes: Properties | None = None,
        on_event: OnEvent | None = None,
        on_error: OnError | None = None,
        listen_timeout: float = LISTEN_TIMEOUT,
    ) -> Session:
        """
        Begin a session, or go on with one of that id.

        Args:
            session_id: Its id; without it one is made.

            conversation_id: The conversation of events that name none; without it one is made when needed.

            id: The app's own id of the user.

            device_id: The id of a device; nobody known makes the session its own anonymous device.

            attributes: Scalars to keep with the session.

            on_event: Called with each live event of this session, a function or a coroutine function. The
                connection for it is made with the first event, or on entering the session's `with` block.

            on_error: Called with each event of this session that the service refused, or failed to process.

            listen_timeout: Most seconds that entering a `with` block waits for that connection, and leaving it
                for `Session Ended`.

        Raises:
            InvalidArgument: An argument is of the wrong kind.
        """
        given = {"user_id": id, "device_id": device_id}
        given |= {"session_id": session_id, "conversation_id": conversation_id}
        for name, value in given.items():
            if value is not None:
                _model.check_name(name, value)
        checked = _model.check_properties("attributes", attributes)
        check_session_options(listen_timeout, on_event=on_event, on_error=on_error)
        ids = Ids(**given)
        lifecycle = self._book.lifecycle(ids, attributes=checked)
        session = Session(
            self._book,
            lifecycle,
            conversation_id=conversation_id,
            identity=ids.other_than(lifecycle.identity),
            on_event=on_event,
            on_error=on_error,
            listen_timeout=listen_timeout,
        )
        session.peers = self._reports.join(lifecycle.session_id, session)
        return session

    def exchange(
        self,
        user: str | None = None,
        *,
        ids: Ids = NO_IDS,
        default_ids: Ids = NO_IDS,
        framework_ids: Ids = NO_IDS,
        messages: Sequence[Message] = (),
        continues: str | None = None,
        continue_within: float | None = None,
        assistant_id: str | None = None,
        properties: Properties | None = None,
        turn_id: str | None = None,
        calls: Sequence[str] = (),
    ) -> Exchange:
        """
        Open one turn in the making; session and conversation are found, or started.

        Each id is the first one given: with the call, by the scope around it, by the integration's defaults,
        by the framework. A conversation that none of them names is recognised by its messages, or new.

        Args:
            user: What the user said, if it is known already.

            ids: Ids given with the call.

            default_ids: Ids given to the integration.

            framework_ids: Ids that the framework uses itself.

            messages: The model's input, oldest first.

            continues: The id of the answer that the input goes on from, where the messages are kept elsewhere.

            continue_within: Seconds that an unnamed conversation waits for its next exchange; 0 by default.

            assistant_id: Which assistant, agent or graph answers.

            properties: Scalars to keep with the turn.

            turn_id: The turn's id, where another process may have begun it; without it one is made.

            calls: The ids of the calls whose results the input brings, as `Exchange.await_tools` was given them.

        Raises:
            InvalidArgument: An id or a property is of the wrong kind.
        """
        wait = continue_within if self.continue_within is None else self.continue_within
        if not isinstance(ids, Ids):
            raise InvalidArgument(f"ids must be Ids(…), not a {type(ids).__name__}")
        scope = current_scope()
        known = ids.or_else(scope.ids if scope else NO_IDS).or_else(default_ids).or_else(framework_ids)
        return self._book.open_exchange(
            known,
            scope,
            (answer_named(continues), *messages) if continues else messages,
            user=user,
            continue_within=wait or 0.0,
            assistant_id=assistant_id,
            properties=_model.check_properties("properties", properties),
            turn_id=turn_id,
            calls=calls,
        )

    def end_conversation(self, conversation_id: str, *, session_id: str | None = None) -> None:
        """
        End a conversation that integrations have named, as of its last turn.

        Args:
            conversation_id: The conversation, as it was named.

            session_id: Its session, where that was named too.
        """
        self._book.end_conversation(conversation_id, session_id)

    def record(self, event: Event) -> Receipt:
        """
        Send one event as it is: nothing is started, ended or added around it. For importers and forwarders.

        Args:
            event: The event; `event_from_json` makes one from the service's documented JSON.

        Raises:
            InvalidArgument: It is no event.
        """
        if not isinstance(event, Event):
            raise InvalidArgument(
                f"event must be an Event, such as event_from_json makes, not a {type(event).__name__}"
            )
        return self._book.record(event)

    def stats(self) -> Stats:
        """What became of every event that was sent to this project from this process."""
        return self._book.worker.stats()

    async def flush(self, timeout: float = FLUSH_TIMEOUT) -> FlushResult:
        """
        Send what was accepted so far, and say what became of it.

        Args:
            timeout: Most seconds to wait.
        """
        return await self._book.flush(timeout)

    def flush_sync(self, timeout: float = FLUSH_TIMEOUT) -> FlushResult:
        """
        Send what was accepted so far, and say what became of it; blocks the calling thread.

        Args:
            timeout: Most seconds to wait.
        """
        return self._book.flush_sync(timeout)

    def replay_spool(self, timeout: float = FLUSH_TIMEOUT) -> bool:
        """
        Deliver now what dead processes have left in the spool for this project, which the first event of a process
        does by itself; blocks. Gives whether all of it was taken or refused in time; `stats()` tells which.

        Args:
            timeout: Most seconds to wait.
        """
        return self._book.replay_spool(timeout)

    async def aclose(self, timeout: float = FLUSH_TIMEOUT) -> FlushResult:
        """
        End what is open, send what is queued, and take no more events. A second call only flushes.

        Args:
            timeout: Most seconds to wait.
        """
        deadline = time.monotonic() + timeout
        await self._book.aclose(timeout)
        result = await self.flush(max(deadline - time.monotonic(), 0.0))
        self._book.release()
        return result

    def close(self, timeout: float = FLUSH_TIMEOUT) -> FlushResult:
        """
        End what is open, send what is queued, and take no more events; blocks. A second call only flushes.

        Args:
            timeout: Most seconds to wait.
        """
        deadline = time.monotonic() + timeout
        self._book.close(timeout)
        result = self.flush_sync(max(deadline - time.monotonic(), 0.0))
        self._book.release()
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
