"""From what sockets and TLS said to what it means: name, connection, certificate."""

import errno
import socket
import ssl
from collections.abc import Sequence

from mindlytics_cli.doctor._findings import Finding

#: OpenSSL's numbers (x509_vfy.h) for what is wrong with a certificate.
_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED, _SELF_SIGNED_IN_CHAIN = 9, 10, 18, 19
_NO_ISSUER, _NO_ISSUER_LOCALLY, _UNVERIFIED, _WRONG_HOST, _WRONG_IP = 2, 20, 21, 62, 64
_SOON_DAYS = 14
_DAY_SECONDS = 86_400

_TRUST = (
    "if it is your company's own service or proxy, name its root certificate: SSL_CERT_FILE=/path/to/root.pem; "
    "if not, somebody may be listening: do not send anything"
)


def name(host: str, found: Sequence[str] | OSError) -> Finding:
    """
    Judge the look-up of a host name.

    Args:
        host: The host.

        found: Its addresses, or what went wrong.
    """
    if not isinstance(found, OSError):
        return Finding("name", "ok", f"{host} is {', '.join(found[:4])}")
    if isinstance(found, socket.gaierror) and found.errno == socket.EAI_AGAIN:
        return Finding("name", "fault", f"no name server answers for {host}", "check this machine's network and DNS")
    return Finding(
        "name", "fault", f"no host is called {host}", "check the address for typing errors, and the machine's DNS"
    )


def connection(host: str, port: int, failed: OSError | None, timeout: float) -> Finding:
    """
    Judge the opening of a connection.

    Args:
        host: The host.

        port: The port.

        failed: What went wrong, or None.

        timeout: Seconds that it was tried for.
    """
    if failed is None:
        return Finding("connection", "ok", f"{host} port {port} takes connections")
    if isinstance(failed, ConnectionRefusedError):
        local = "start it with `mindlytics local`, or " if host in {"localhost", "127.0.0.1", "::1"} else ""
        advice = f"{local}check the port in the address, and that the service runs"
        return Finding("connection", "fault", f"nothing listens on {host} port {port}", advice)
    if isinstance(failed, TimeoutError):
        advice = "a firewall may be in the way: allow outgoing connections, or set HTTPS_PROXY if there is a proxy"
        return Finding("connection", "fault", f"{host} port {port} does not answer within {timeout:g} s", advice)
    if failed.errno in {errno.ENETUNREACH, errno.EHOSTUNREACH}:
        return Finding("connection", "fault", f"no way leads to {host}", "check this machine's network")
    return Finding("connection", "fault", f"{host} port {port}: {failed.strerror or failed}", "check the network")


def certificate(host: str, result: float | OSError, now: float) -> Finding:
    """
    Judge a TLS handshake.

    Args:
        host: The host that was asked for.

        result: When the certificate ends, in seconds since 1970, or what went wrong.

        now: The time now, likewise.
    """
    if isinstance(result, ssl.SSLCertVerificationError):
        return _distrusted(host, result)
    if isinstance(result, ssl.SSLError):
        if result.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
            return Finding("TLS", "fault", f"{host} does not speak TLS on this port", "use http://, or another port")
        text = f"{host} and this machine find no common TLS: {result.reason}"
        return Finding("TLS", "fault", text, "update Python and its OpenSSL; a proxy in between may be too old, too")
    if isinstance(result, OSError):
        text = f"{host} ends the connection during the TLS handshake"
        return Finding("TLS", "fault", text, "a firewall or proxy may be in the way; check also that the port is right")
    days = int((result - now) / _DAY_SECONDS)
    if days < _SOON_DAYS:
        return Finding(
            "TLS", "warning", f"the certificate of {host} expires in {days} days", "tell whoever runs the service"
        )
    return Finding("TLS", "ok", f"the certificate of {host} is good for {days} more days")


def _distrusted(host: str, error: ssl.SSLCertVerificationError) -> Finding:
    code = error.verify_code
    if code == _EXPIRED:
        text, advice = "has expired", "tell whoever runs the service; check also this machine's date"
    elif code == _NOT_YET_VALID:
        text, advice = "is not valid yet", "check this machine's date"
    elif code in {_WRONG_HOST, _WRONG_IP}:
        text, advice = "is made out to another host", "check the address: the name in it must be the certificate's"
    elif code in {_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN}:
        text, advice = "is self-signed, or signed by an authority of its own", _TRUST
    elif code in {_NO_ISSUER, _NO_ISSUER_LOCALLY, _UNVERIFIED}:
        text, advice = "is signed by nobody whom this machine trusts", _TRUST
    else:
        text, advice = f"is not trusted: {error.verify_message}", _TRUST
    return Finding("TLS", "fault", f"the certificate of {host} {text}", advice)
