"""For tests, an app's and ours: leave nothing behind between one and the next."""

from mindlytics_core._book import Book
from mindlytics_core._process import PROCESS
from mindlytics_core._stats import FlushResult, combined

__all__ = ["close_clients"]


def close_clients(server_endpoint: str, project_id: str, *, timeout: float = 5.0) -> FlushResult:
    """
    Close every client of the process that records in one project: end what is open, and deliver it.

    A default client is made anew when it is needed again.

    Args:
        server_endpoint: The service's address, as the clients were given it.

        project_id: The project.

        timeout: Most seconds to wait for each client.
    """
    books = [
        ender
        for ender in PROCESS.enders()
        if isinstance(ender, Book)
        and (ender.destination.endpoint, ender.destination.project_id) == (server_endpoint, project_id)
    ]
    results = []
    for book in books:
        book.close(timeout)
        results.append(book.flush_sync(timeout))
        book.release()
    return combined(results)
