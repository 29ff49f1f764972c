"""Progress, one line a step: what is done now, and how long it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


@contextmanager
def step(console: Console, what: str) -> Iterator[None]:
    """
    Show that something is under way, and when it is done.

    Args:
        console: Where to.

        what: What is done, in the present participle.
    """
    started = time.monotonic()
    with console.status(f"{what} …"):
        if not console.is_terminal:
            console.print(f"… {what}")
        yield
    console.print(f"[green]•[/green] {what}: {time.monotonic() - started:.1f} s")
