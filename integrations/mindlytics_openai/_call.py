"""One request of the app's, from before it is sent until its outcome is known."""

from typing import Any

from mindlytics_core import guarded, model_call_is_claimed
from mindlytics_openai._background_jobs import JOBS, settle
from mindlytics_openai._openai import openai
from mindlytics_openai._raw_body import EventBody, WholeBody, read_whole
from mindlytics_openai._recording import Recording
from mindlytics_openai._request import RawMode, body_of, raw_mode, surface_of, with_usage, without_ids
from mindlytics_openai._settings import Settings
from mindlytics_openai._stream import Observer, hide_usage
from mindlytics_openai._surface import NO_ANSWER, NO_IDS, telling
from mindlytics_openai._usage_support import USAGE_SUPPORT


class Call:
    """
    One request. `failed` and `answered` may be called whatever went wrong in `begin`, and do not raise.

    Args:
        options: What is to be sent.
    """

    def __init__(self, options: Any) -> None:
        #: What is to be sent now.
        self.options = options
        self._recording: Recording | None = None
        #: Whether it fetches the answer to an earlier request: then its failure is not that answer's.
        self._is_fetch = False
        self._is_stream = False
        self._raw_mode = RawMode.NONE
        #: The request as the app made it, while our own question is in it.
        self._unasked: Any = None
        #: The server that was asked for usage.
        self._asked: str | None = None

    def begin(self, settings: Settings, openai_client: Any, *, stream: bool) -> None:
        """Open the exchange, if the request is one that is recorded."""
        self._is_stream = stream
        ids, default_headers = NO_IDS, openai_client._custom_headers  # noqa: SLF001  # as they were given
        if self.options.headers or default_headers:
            self.options, ids = without_ids(self.options, default_headers)
            self._raw_mode = raw_mode(self.options)
        surface = surface_of(self.options)
        if surface is None:
            self._recording = JOBS.fetched_by(self.options)
            self._is_fetch = self._recording is not None
            return
        if model_call_is_claimed():
            return
        body = body_of(self.options)
        question = surface.question(body)
        exchange = settings.recorder().exchange(
            question.user,
            ids=ids,
            default_ids=settings.ids,
            framework_ids=question.ids,
            messages=question.messages,
            continues=question.continues,
            calls=telling(question.calls),
            continue_within=settings.continue_within,
            assistant_id=settings.assistant_id,
        )
        self._recording = Recording(exchange, surface, question)
        self._recording.note_results()
        may_ask = stream and settings.stream_usage and surface.reports_usage_on_demand
        # Who asked for the HTTP response may read its lines, from which a chunk cannot be taken out.
        if may_ask and "stream_options" not in body and self._raw_mode is RawMode.NONE:
            self._ask_usage(str(openai_client.base_url))

    def failed(self, error: BaseException) -> bool:
        """Whether the error is the app's; otherwise the request is to be sent again, as the app made it."""
        recording = self._recording
        if recording is None or self._is_fetch:
            return True
        with recording.closing("openai.error"):
            if self._asked and self._unasked is not None and USAGE_SUPPORT.may_be_refused(self._asked, error):
                self.options, self._unasked = self._unasked, None
                return False
            recording.fail(error)
        return True

    def answered(self, answer: Any) -> Any:
        """Record the answer, or watch it while it comes; give it back as it is."""
        recording = self._recording
        if recording is not None:
            with recording.closing("openai.answer"):
                self._observe(recording, answer)
        if self._asked is not None:
            with guarded("openai.usage"):
                self._settle_usage(self._asked, answer)
        return answer

    def _ask_usage(self, server: str) -> None:
        if USAGE_SUPPORT.may_ask(server):
            self._asked, self._unasked = server, self.options
            self.options = with_usage(self.options)

    def _settle_usage(self, server: str, answer: Any) -> None:
        """The server took our question, or was asked without it; what it takes is remembered."""
        if self._unasked is not None:
            hide_usage(answer)
        USAGE_SUPPORT.learn(server, takes=self._unasked is not None)

    def _observe(self, recording: Recording, answer: Any) -> None:
        if self._raw_mode is RawMode.UNREAD or (self._raw_mode is RawMode.READ and self._is_stream):
            self._observe_response(recording, answer.http_response)
            return
        if self._raw_mode is RawMode.READ:
            # The SDK keeps what is parsed, so the app gets this very object when it parses.
            try:
                answer = answer.parse()
            except openai.OpenAIError as error:
                if not self._is_fetch:
                    recording.fail(error)
                return
        if self._is_stream and isinstance(answer, openai.Stream | openai.AsyncStream):
            hides_usage = self._unasked is not None
            Observer(recording, recording.surface.collector(), hides_usage=hides_usage).watch(answer)
            return
        read = recording.surface.answer(answer)
        if read.error == NO_ANSWER:
            if hasattr(answer, "iter_bytes"):
                # Asked for by `cast_to`.
                self._observe_response(recording, answer)
                return
            if isinstance(answer, str):
                # Asked for likewise, or what a server said is no JSON.
                read = read_whole(recording.surface, answer)
        settle(recording, read)

    def _observe_response(self, recording: Recording, response: Any) -> None:
        surface = recording.surface
        body = EventBody(surface.collector()) if self._is_stream else WholeBody(surface)
        Observer(recording, body).watch_response(response)
