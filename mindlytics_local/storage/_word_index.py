"""Finding conversations by what was said in them: an index of words, beside the events."""

import sqlite3

from mindlytics_local.model._received_events import ReceivedEvent

#: Characters of an event's texts that are indexed; who looks for a word finds it long before.
_INDEXED_CHARS = 100_000
#: Events that a search looks at, the latest first; more would make a common word slow, and nobody reads so far.
FOUND_EVENTS = 20_000


def index(db: sqlite3.Connection, seq: int, received: ReceivedEvent) -> None:
    """
    Have an event found by its texts.

    Args:
        db: The writer's connection.

        seq: The event's number.

        received: The event.
    """
    if received.conversation_id is None:
        return
    texts = [text for text in received.data.get("properties", {}).values() if isinstance(text, str)]
    if texts:
        db.execute("INSERT INTO texts (rowid, said) VALUES (?, ?)", (seq, "\n".join(texts)[:_INDEXED_CHARS]))


def query(words: str) -> str | None:
    """
    Words that somebody looks for as a query of the index; None when there is no word among them.

    Args:
        words: What was typed: every word must occur, or begin one that does.
    """
    named = (word.replace('"', " ") for word in words.split() if any(map(str.isalnum, word)))
    # In quotes nothing is an operator of the index's language; it divides what it finds there as it divides texts.
    return " AND ".join(f'"{word}"*' for word in named) or None
