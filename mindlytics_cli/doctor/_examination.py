"""The checks in their order; one that cannot work after a fault is left out, and that is said."""

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from mindlytics_cli.doctor import _answers, _configuration, _conversation, _network, _probe, _versions
from mindlytics_cli.doctor._findings import Finding, has_fault
from mindlytics_core import Client, ConfigurationError

#: A question that every service of the API document answers, and only with a good key and project.
_QUESTION, _QUERY = "/bc/v1/user/list", {"limit": "1"}
_PORTS = {"http": 80, "https": 443}


def examine(
    new_client: Callable[..., Client], *, project: str | None, server: str | None, send: bool, timeout: float
) -> Iterator[Finding]:
    """
    Look at everything, from the installation to a conversation that arrives.

    Args:
        new_client: Makes the client, with the options given to it.

        project: The project, where it is given on the command line.

        server: The address, likewise.

        send: Whether to send a test conversation.

        timeout: Most seconds for each check.
    """
    yield from _versions.examine()
    configured = list(_configuration.findings(os.environ, project=project, server=server))
    if spool := os.environ.get(_configuration.SPOOL, "").strip():
        configured.append(_configuration.spool(spool, _probe.unusable(Path(spool))))
    yield from configured
    try:
        client = new_client()
    except ConfigurationError as error:
        if not has_fault(configured):
            yield Finding("configuration", "fault", str(error), "set it right, and run this again")
        return
    with client:
        endpoint = client.config.destination.endpoint
        yield from _configuration.address(endpoint)
        on_the_way: list[Finding] = []
        for finding in _way(endpoint, timeout):
            on_the_way.append(finding)
            yield finding
        if has_fault(on_the_way):
            yield Finding("key and project", "note", "not looked at: the service cannot be reached")
        else:
            yield from _service(client, new_client, send=send, timeout=timeout)


def _way(endpoint: str, timeout: float) -> Iterator[Finding]:
    """From the name to TLS; each step needs the one before."""
    parts = urlsplit(endpoint)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    through = _probe.proxy(parts.scheme, host)
    if through is not None:
        yield Finding("proxy", "note", f"requests go through {through}; name, connection and TLS are its business")
        return
    found = _network.name(host, _probe.resolved(host, port))
    yield found
    if found.level == "fault":
        return
    found = _network.connection(host, port, _probe.connected(host, port, timeout), timeout)
    yield found
    if found.level != "fault" and parts.scheme == "https":
        yield _network.certificate(host, _probe.trusted_until(host, port, timeout), time.time())


def _service(client: Client, new_client: Callable[..., Client], *, send: bool, timeout: float) -> Iterator[Finding]:
    before = datetime.now(UTC)
    answer = _probe.asked(client, _QUESTION, _QUERY, timeout)
    yield _answers.clock(answer.headers.get("date"), before, datetime.now(UTC))
    access = _answers.access(answer, timeout)
    yield access
    if not send:
        yield Finding("sending", "note", "not tried, because of --no-send")
        return
    if client.config.disabled or access.level == "fault":
        yield Finding("sending", "note", "not tried: what stands above has to be mended first")
        return
    facts, session_id = _conversation.send(new_client, timeout)
    sending = _answers.sent(facts, timeout)
    yield sending
    if sending.level == "ok":
        yield _answers.read_back(_conversation.read_back(client, session_id, timeout), facts.events)
