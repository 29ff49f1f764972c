"""What each fact means to the doctor: functions without a network."""

import errno
import socket
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from mindlytics_cli.doctor import _answers, _configuration, _network, _versions
from mindlytics_cli.doctor._answers import Answer, Sent
from mindlytics_cli.doctor._findings import Finding
from mindlytics_cli.doctor._versions import Requirement

NOW = datetime(2025, 1, 31, 12, tzinfo=UTC)


def levels(findings: Iterable[Finding]) -> dict[str, str]:
    return {finding.check: finding.level for finding in findings}


def test_floors_are_read_from_the_package_s_own_metadata():
    lines = ["httpx>=0.27", "openai>=2.0; extra == 'openai'", "mindlytics[cli]; extra == 'local'", "openai>=2.0"]

    assert _versions.requirements(lines) == [Requirement("httpx", "0.27", ""), Requirement("openai", "2.0", "openai")]


@pytest.mark.parametrize(
    ("version", "level"),
    [("0.26.9", "fault"), ("0.27", "ok"), ("0.27.0", "ok"), ("0.100", "ok"), ("1.0rc1", "ok"), ("weird", "fault")],
)
def test_a_version_is_held_against_its_floor(version: str, level: str):
    installed = {"mindlytics": "1", "httpx": version}.get

    found = levels(_versions.findings("3.12.1", "3.11", [Requirement("httpx", "0.27", "")], installed))

    assert found == {"python": "ok", "mindlytics": "ok", "httpx": level}


def test_what_is_needed_and_missing_is_a_fault_and_what_is_optional_is_nothing():
    wanted = [Requirement("pydantic", "2", ""), Requirement("openai", "2", "openai"), Requirement("rich", "13", "cli")]

    found = levels(_versions.findings("3.10.0", "3.11", wanted, {"mindlytics": "1"}.get))

    assert found == {"python": "fault", "mindlytics": "ok", "pydantic": "fault"}


def test_the_library_that_is_used_in_httpx_s_place_is_the_one_that_counts():
    installed = {"mindlytics": "1", "httpx": "0.1", "httpx2": "2"}.get

    found = levels(_versions.findings("3.12.1", "3.11", [Requirement("httpx", "0.27", "")], installed))

    assert found == {"python": "ok", "mindlytics": "ok", "httpx2": "ok"}


def test_no_finding_shows_the_key():
    for key in ("sk-secret-key", "Bearer sk-secret-key", "'sk-secret-key'"):
        found = _configuration.findings({"MLSDK_API_KEY": key}, project=None, server=None)
        assert "secret" not in "".join(each.text + each.advice for each in found)


@pytest.mark.parametrize("key", ["", "  ", "Bearer k", "bearer k", '"k"', "'k"])
def test_a_key_that_cannot_work_is_a_fault(key: str):
    assert levels(_configuration.findings({"MLSDK_API_KEY": key}, project=None, server=None))["key"] == "fault"


def test_where_each_value_comes_from_is_said():
    environment = {"MLSDK_API_KEY": "abc", "MLSDK_PROJECT_ID": "p", "MLSDK_SERVER_BASE": "http://a"}

    own = [each.text for each in _configuration.findings(environment, project=None, server=None)]
    given = [each.text for each in _configuration.findings(environment, project="q", server="http://b")]

    assert own == [
        "from MLSDK_API_KEY, 3 characters long",
        "p, from MLSDK_PROJECT_ID",
        "http://a, from MLSDK_SERVER_BASE",
    ]
    assert given[1:] == ["q, from --project", "http://b, from --server"]


def test_a_switched_off_sdk_is_a_fault():
    found = levels(_configuration.findings({"MLSDK_DISABLED": "1"}, project="p", server=None))

    assert found["switch"] == "fault"


@pytest.mark.parametrize(
    ("endpoint", "count"),
    [("https://a.b", 0), ("http://localhost:3000", 0), ("http://a.b", 1), ("http://a.b/bc/v1", 2)],
)
def test_an_address_is_looked_at_too(endpoint: str, count: int):
    found = list(_configuration.address(endpoint))

    assert [each.level for each in found] == ["warning"] * count


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (["1.2.3.4"], "h is 1.2.3.4"),
        (socket.gaierror(socket.EAI_NONAME, "x"), "no host is called h"),
        (socket.gaierror(socket.EAI_AGAIN, "x"), "no name server answers"),
    ],
)
def test_names(found: list[str] | OSError, said: str):
    assert said in _network.name("h", found).text


@pytest.mark.parametrize(
    ("failed", "said"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "nothing listens on localhost port 3000"),
        (TimeoutError("x"), "does not answer within 5 s"),
        (OSError(errno.EHOSTUNREACH, "x"), "no way leads to localhost"),
        (OSError(errno.EACCES, "no right"), "no right"),
    ],
)
def test_connections(failed: OSError, said: str):
    found = _network.connection("localhost", 3000, failed, 5)

    assert (found.level, said in found.text, bool(found.advice)) == ("fault", True, True)


def distrusted(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_code, error.verify_message = code, "some reason"
    return error


@pytest.mark.parametrize(
    ("code", "said"), [(9, "not valid yet"), (10, "expired"), (18, "self-signed"), (20, "nobody whom"), (23, "some")]
)
def test_certificates_that_are_not_trusted(code: int, said: str):
    found = _network.certificate("h", distrusted(code), NOW.timestamp())

    assert (found.level, said in found.text, bool(found.advice)) == ("fault", True, True)


@pytest.mark.parametrize(("days", "level"), [(90, "ok"), (3, "warning")])
def test_a_certificate_that_ends_soon_is_a_warning(days: int, level: str):
    end = (NOW + timedelta(days=days, hours=1)).timestamp()

    found = _network.certificate("h", end, NOW.timestamp())

    assert found.level == level
    assert f"{days} " in found.text


def test_a_handshake_that_is_cut_off_is_a_fault():
    assert _network.certificate("h", ConnectionResetError(), 0.0).level == "fault"


@pytest.mark.parametrize(
    ("answer", "level", "said"),
    [
        (Answer(200, "[]"), "ok", "accepted"),
        (Answer(200, "<html>"), "fault", "not Mindlytics'"),
        (Answer(308, "", {"location": "https://b"}), "fault", "moved to https://b"),
        (Answer(401), "fault", "does not know this key"),
        (Answer(403), "fault", "may not use this project"),
        (Answer(404), "fault", "nothing of Mindlytics is at this address"),
        (Answer(407), "fault", "proxy"),
        (Answer(418), "note", "cannot be asked"),
        (Answer(429), "fault", "no more requests"),
        (Answer(503), "fault", "HTTP 503"),
        (Answer(0, "ReadTimeout"), "fault", "ReadTimeout"),
    ],
)
def test_answers(answer: Answer, level: str, said: str):
    found = _answers.access(answer, 5)

    assert (found.level, said in found.text) == (level, True)
    assert found.advice or level != "fault"


@pytest.mark.parametrize(
    ("seconds", "level", "said"),
    [
        (0, "ok", "agrees"),
        (59, "ok", "agrees"),
        (-58, "ok", "agrees"),
        (3_600, "fault", "3,600 s behind"),
        (-3_600, "fault", "ahead of"),
    ],
)
def test_clocks(seconds: int, level: str, said: str):
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)

    found = _answers.clock(date, NOW, NOW)

    assert (found.level, said in found.text) == (level, True)


def test_a_slow_answer_is_no_wrong_clock():
    date = format_datetime(NOW + timedelta(seconds=100), usegmt=True)

    assert _answers.clock(date, NOW, NOW + timedelta(seconds=200)).level == "ok"


@pytest.mark.parametrize("date", [None, "", "yesterday", "Fri, 31 Jan 2025 12:00:00"])
def test_a_service_without_a_clock_is_only_noted(date: str | None):
    assert _answers.clock(date, NOW, NOW).level == "note"


@pytest.mark.parametrize(
    ("facts", "level", "said"),
    [
        (Sent(6, 6), "ok", "6 events"),
        (Sent(6, 5, {"rejected_400": 1}, ["HTTP 400: bad name"]), "fault", "1 as rejected_400: HTTP 400: bad name"),
        (Sent(6, 0), "fault", "took 0 within 5 s"),
    ],
)
def test_sending(facts: Sent, level: str, said: str):
    found = _answers.sent(facts, 5)

    assert (found.level, said in found.text) == (level, True)


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        (Answer(200, "[1, 2]"), "ok"),
        (Answer(200, "[1]"), "warning"),
        (Answer(200, "{}"), "note"),
        (Answer(404, "[]"), "note"),
    ],
)
def test_reading_back(answer: Answer, level: str):
    assert _answers.read_back(answer, 2).level == level
