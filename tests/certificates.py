"""Certificates, good ones and those that nobody should trust."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import trustme

LONG_AGO = datetime.now(UTC) - timedelta(days=2)


def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """A server's side of TLS with a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def _expired(ca: trustme.CA) -> ssl.SSLContext:
    return serving(ca.issue_cert("127.0.0.1", not_before=LONG_AGO, not_after=LONG_AGO + timedelta(days=1)))


#: By the words that OpenSSL has for what is wrong: each the server's side, made by an authority that is trusted.
CERTIFICATES: dict[str, Callable[[trustme.CA], ssl.SSLContext]] = {
    "expired": _expired,
    "not valid for": lambda ca: serving(ca.issue_cert("other.test")),
    "issuer": lambda _: serving(trustme.CA().issue_cert("127.0.0.1")),
}
