"""API keys: which are taken, and new ones."""

import hashlib
import hmac
import secrets
import sqlite3

from starlette.requests import HTTPConnection, Request

from mindlytics_local._errors import Refused
from mindlytics_local._timestamps import Timestamp, now
from mindlytics_local.endpoints._state import settings, store


async def check(request: Request) -> None:
    """
    Let a request through if its key is one that is taken.

    Args:
        request: The request; the key stands in `Authorization`, with and without `Bearer`.

    Raises:
        Refused: With status 401.
    """
    known = settings(request)
    if not known.api_keys:
        return
    sent = given(request)
    if _matches(sent, known.api_keys) or _is_admin(request):
        return
    digest = _digest(sent)
    if not await store(request).read(lambda db: _is_stored(db, digest)):
        raise Refused("the API key in the Authorization header is missing or not one of this service", status=401)


async def check_admin(request: Request) -> None:
    """
    Let a request through if it may wipe or make keys.

    Args:
        request: The request.

    Raises:
        Refused: With status 401.
    """
    if settings(request).admin_key is None:
        await check(request)
    elif not _is_admin(request):
        raise Refused("this needs the administrator key in the Authorization header", status=401)


async def make(request: Request) -> str:
    """
    Make a key that is taken from now on. Only its digest is stored.

    Args:
        request: The request that asks for it.
    """
    key = secrets.token_urlsafe(24)
    made = now()
    await store(request).write(lambda db: _remember(db, _digest(key), made))
    return key


def given(request: HTTPConnection) -> str:
    """
    The key in `Authorization`, with and without `Bearer`.

    Args:
        request: What it was sent with.
    """
    words = request.headers.get("Authorization", "").split(None, 1)
    if words and words[0].lower() == "bearer":
        words = words[1:]
    return " ".join(words).strip()


def _is_admin(request: Request) -> bool:
    admin_key = settings(request).admin_key
    return admin_key is not None and _matches(given(request), (admin_key,))


def _matches(sent: str, keys: tuple[str, ...]) -> bool:
    # In constant time: how long it takes says nothing about a key.
    return any(hmac.compare_digest(sent.encode(), key.encode()) for key in keys)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _is_stored(db: sqlite3.Connection, digest: str) -> bool:
    return db.execute("SELECT 1 FROM api_keys WHERE digest = ?", (digest,)).fetchone() is not None


def _remember(db: sqlite3.Connection, digest: str, made: Timestamp) -> None:
    db.execute("INSERT INTO api_keys (digest, created_us) VALUES (?, ?)", (digest, made.us))
