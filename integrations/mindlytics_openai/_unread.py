"""A response that the app reads itself (`with_streaming_response`): what it has read is known when it is closed."""

import json
from typing import Any

from mindlytics_openai._hooks import Hooks
from mindlytics_openai._recording import Recording


class UnreadResponse:
    """
    Waits for the app to read a whole response.

    Args:
        recording: The model call.

        response: The HTTP response.
    """

    def __init__(self, recording: Recording, response: Any) -> None:
        self._recording = recording
        self._response = response
        self._was_read = False
        self._hooks = Hooks()
        self._hooks.on_close(response, self.closed)

    def closed(self) -> None:
        """The response was closed: by the reading itself, which has then still to keep what it read, or for good."""
        is_kept = hasattr(self._response, "_content")
        if not is_kept and self._response.is_stream_consumed and not self._was_read:
            self._was_read = True
            return
        with self._recording.closing("openai.unread"):
            self._hooks.undo()
            # Read line by line nothing is kept; then nobody knows the answer, which is a failure to read it.
            self._recording.complete(self._recording.surface.answer(json.loads(self._response.content)))
