"""On request: a signal that would end the process delivers first."""

import os
import signal
from collections.abc import Callable, Iterable
from types import FrameType

from mindlytics_core._process import PROCESS

Handler = Callable[[int, FrameType | None], object]


def install_signal_handlers(signals: Iterable[signal.Signals] = (signal.SIGTERM,)) -> None:
    """
    Deliver when the process is told to end, which otherwise ends it on the spot, without its exit handlers.

    Nothing installs this by itself: signals belong to the app. A handler that is there already goes on to be
    called, after what is pending was delivered; where there is none, everything open is ended too, and then the
    signal does what it always did. An ignored signal stays ignored. Call it last, and on the main thread.

    Args:
        signals: Which ones.

    Raises:
        ValueError: This is not the main thread.
    """
    for number in signals:
        before = signal.getsignal(number)
        if before is not signal.SIG_IGN:
            signal.signal(number, _then(before))


def _then(before: object) -> Handler:
    def deliver(number: int, frame: FrameType | None) -> None:
        if callable(before):
            # The app decides about its end: it may go on for a while, and its exit ends what is open.
            PROCESS.drain()
            before(number, frame)
            return
        PROCESS.end()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    return deliver
