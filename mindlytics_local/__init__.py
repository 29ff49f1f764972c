"""The Mindlytics service on your own machine: a real receiver, SQLite, and one web page."""

# First, so that what is missing is named before anything needs it.
from mindlytics_local import _extra as _extra
from mindlytics_local._service import LocalService, serve, start

__all__ = ["LocalService", "serve", "start"]
