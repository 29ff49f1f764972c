"""From the service's answers to what they mean: key, project, clock, the test conversation."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from mindlytics_cli.doctor._findings import Finding

#: From this difference on, times are wrong enough to mislead.
_SKEW_SECONDS = 60.0
#: Answers to a question that a service does not offer.
_NOT_OFFERED = {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.FORBIDDEN}


@dataclass(frozen=True, slots=True)
class Answer:
    """
    One answer over HTTP.

    Attributes:
        status: HTTP status; 0 for none.

        body: Its beginning, or what kept it from coming.

        headers: Its headers, by lower-case names.
    """

    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> object:
        """Its body, read; None when it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Sent:
    """
    What became of the test conversation.

    Attributes:
        events: How many it has.

        delivered: How many the service took.

        dropped: How many were given up, by reason.

        errors: What the service said to those that it refused.
    """

    events: int
    delivered: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    errors: Sequence[str] = ()


def access(answer: Answer, timeout: float) -> Finding:
    """
    Judge the answer to a question that needs a good key and project.

    Args:
        answer: The answer.

        timeout: Seconds that were waited for it.
    """
    if answer.status == 0:
        advice = f"try again with a longer --timeout than {timeout:g} s; then the service or a proxy has a fault"
        return Finding("key and project", "fault", f"no whole answer came: {answer.body}", advice)
    if answer.status in _REFUSALS:
        text, advice = _REFUSALS[answer.status]
        return Finding("key and project", "fault", f"{text} (HTTP {answer.status})", advice)
    return _by_class(answer)


_REFUSALS: Mapping[int, tuple[str, str]] = {
    HTTPStatus.UNAUTHORIZED: (
        "the service does not know this key",
        "compare MLSDK_API_KEY with your organisation's keys; a key of another service does not work here",
    ),
    HTTPStatus.FORBIDDEN: (
        "the key is known, but may not use this project",
        "compare MLSDK_PROJECT_ID with the key's organisation; the key may have been limited or withdrawn",
    ),
    HTTPStatus.NOT_FOUND: (
        "nothing of Mindlytics is at this address, or the project does not exist",
        "check MLSDK_SERVER_BASE (the address alone, without a path) and MLSDK_PROJECT_ID",
    ),
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: (
        "the proxy wants to know who you are",
        "put the proxy's user and password into HTTPS_PROXY",
    ),
    HTTPStatus.TOO_MANY_REQUESTS: (
        "the service takes no more requests for now",
        "wait; an app's events wait by themselves, and nothing is lost while the app runs",
    ),
}


def _by_class(answer: Answer) -> Finding:
    check, status = "key and project", answer.status
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        # A redirected POST loses its body with many servers: events are never sent after it.
        target = answer.headers.get("location", "another address")
        return Finding(check, "fault", f"the service has moved to {target}", "set MLSDK_SERVER_BASE to that address")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        text = f"the service, or a proxy before it, has a fault (HTTP {status})"
        return Finding(check, "fault", text, "nothing is wrong here: wait, and tell whoever runs it if it lasts")
    if status >= HTTPStatus.BAD_REQUEST:
        return Finding(check, "note", f"this service cannot be asked about them (HTTP {status}); sending will show")
    if answer.json() is None:
        advice = (
            "something else answers there, such as a company's or hotel's login page: check the address and the net"
        )
        return Finding(check, "fault", "the answer is not Mindlytics'", advice)
    return Finding(check, "ok", "accepted")


def clock(date: str | None, before: datetime, after: datetime) -> Finding:
    """
    Judge this machine's clock by the `Date` of an answer.

    Args:
        date: The header.

        before: When the question left, by this machine's clock.

        after: When the answer came, likewise.
    """
    try:
        theirs = parsedate_to_datetime(date or "")
        # The header has whole seconds; and the service wrote it at some moment between the two.
        ahead = max(0.0, (before - theirs).total_seconds() - 1)
        behind = max(0.0, (theirs - after).total_seconds())
    except (TypeError, ValueError):
        return Finding("clock", "note", "the service does not tell its time")
    if max(ahead, behind) < _SKEW_SECONDS:
        return Finding("clock", "ok", "agrees with the service's")
    text = f"this machine's is {max(ahead, behind):,.0f} s {'ahead of' if ahead else 'behind'} the service's"
    advice = "every event gets a time as wrong as that: let the machine set its clock (Linux: timedatectl set-ntp true)"
    return Finding("clock", "fault", text, advice)


def sent(facts: Sent, timeout: float) -> Finding:
    """
    Judge the sending of the test conversation.

    Args:
        facts: What became of it.

        timeout: Seconds that were waited.
    """
    if facts.delivered == facts.events:
        return Finding("sending", "ok", f"the service took a test conversation of {facts.events} events")
    said = f": {facts.errors[0]}" if facts.errors else ""
    if facts.dropped:
        gone = ", ".join(f"{count} as {reason}" for reason, count in facts.dropped.items())
        text = f"of {facts.events} events the service took {facts.delivered}; given up: {gone}{said}"
        return Finding("sending", "fault", text, "the service's words say which field it does not take; tell us of it")
    text = f"of {facts.events} events the service took {facts.delivered} within {timeout:g} s{said}"
    return Finding("sending", "fault", text, "what stands above says why; if nothing does, try a longer --timeout")


def read_back(answer: Answer, events: int) -> Finding:
    """
    Judge what a service gives back of the test conversation.

    Args:
        answer: The events of its session.

        events: How many were sent.
    """
    found = answer.json()
    if answer.status in _NOT_OFFERED or not isinstance(found, list):
        text = "this service cannot be asked what arrived; look for the user mindlytics-doctor on its pages"
        return Finding("reading back", "note", text)
    if len(found) == events:
        return Finding("reading back", "ok", f"all {events} events are there")
    text = f"of {events} events {len(found)} are there so far"
    return Finding("reading back", "warning", text, "the service may still be at it: look at its pages in a minute")
