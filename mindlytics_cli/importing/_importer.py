"""One file, record by record: read, checked, sent, and noted down as done."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from mindlytics_cli.importing._framing import Piece, pieces
from mindlytics_cli.importing._past import Unreadable
from mindlytics_cli.importing._records import Reading
from mindlytics_cli.importing._sending import Sender
from mindlytics_cli.importing._source import Mark, Source
from mindlytics_core import Event


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One record that was not imported, or not whole.

    Attributes:
        line: Where it begins in the file.

        what: What is wrong, for a person.
    """

    line: int
    what: str


@dataclass(slots=True)
class Counts:
    """
    What became of a file's records so far.

    Attributes:
        records: Records read.

        faulty: Those of them that could not be read, or of which the service refused something.

        events: Events in those that could be read.
    """

    records: int = 0
    faulty: int = 0
    events: int = 0


class Watcher(Protocol):
    """Is told how an import goes."""

    def fault(self, fault: Fault) -> None:
        """A record was not imported, or not whole."""
        ...

    def reached(self, source: Source, counts: Counts) -> None:
        """Another record is done."""
        ...


@dataclass(slots=True)
class Importer:
    """
    Imports what is left of one file.

    Attributes:
        reading: How records are read.

        watcher: Told how it goes.

        interrupted: Whether somebody wants it to end.

        counts: What became of the records so far.
    """

    reading: Reading
    watcher: Watcher
    interrupted: Callable[[], bool]
    counts: Counts = field(default_factory=Counts)
    #: The lines of the sessions on their way.
    _lines: dict[str, int] = field(default_factory=dict)
    #: The place after the last record.
    _end: Mark | None = None
    #: Events on their way that the queue did not take, and given up ones that were told of.
    _not_taken: int = 0
    _explained: int = 0

    def check(self, source: Source, framing: str) -> None:
        """
        Read everything and send nothing.

        Args:
            source: The file.

            framing: How it is divided.
        """
        for _ in self._readable(source, framing):
            pass

    def send(self, source: Source, framing: str, sender: Sender, save: Callable[[Mark], None]) -> None:
        """
        Send everything.

        Args:
            source: The file.

            framing: How it is divided.

            sender: The way to the service.

            save: Called with each place in the file before which the service took everything.

        Raises:
            Stopped: The service takes nothing any more.
        """
        for piece, events in self._readable(source, framing):
            for event in events:
                self._lines[event.session_id] = piece.line
                if not sender.put(event, len(piece.text or b"") // len(events)):
                    self._not_taken += 1
                    self._fault(piece.line, "an event of it is too large")
            # Only between two records: the mark must not stand inside of one.
            if sender.is_full:
                self._settle(source, sender, save)
        self._settle(source, sender, save)

    def _readable(self, source: Source, framing: str) -> Iterator[tuple[Piece, list[Event]]]:
        before = source.mark()
        for piece in pieces(source, framing):
            events = self._read(piece)
            # A line that is only half there yet is for the next run.
            self._end = before if piece.is_open and not events else source.mark()
            before = self._end
            self.watcher.reached(source, self.counts)
            if events:
                yield piece, events
            # Only here: what was taken from the source has also been handed on.
            if self.interrupted():
                return

    def _read(self, piece: Piece) -> list[Event]:
        """The events of a record; none if there is a fault in it."""
        self.counts.records += 1
        try:
            events = self.reading.events(piece)
        except Unreadable as error:
            self._fault(piece.line, str(error))
            return []
        self.counts.events += len(events)
        return events

    def _settle(self, source: Source, sender: Sender, save: Callable[[Mark], None]) -> None:
        sender.settle()
        refused = sender.take_refused()
        # One line for each session, however many of its events were refused.
        for session_id, error in {error.session_id or "": error for error in refused}.items():
            line = self._lines.get(session_id, 0)
            self._fault(line, f"the service refused an event of session {session_id}: {error}")
        if unexplained := sender.dropped - self._explained - len(refused) - self._not_taken:
            self._fault(source.line, f"{unexplained} events before it were given up: {sender.reasons}")
        self._explained, self._not_taken = sender.dropped, 0
        self._lines.clear()
        save(self._end or source.mark())

    def _fault(self, line: int, what: str) -> None:
        self.counts.faulty += 1
        self.watcher.fault(Fault(line, what))
