"""The vendor's own client, unchanged, as a separate program; and single posts as its JavaScript client sends them."""

import json
import subprocess
from pathlib import Path

import pytest
from local.builders import end_session, identify, start_session, turn
from local.conftest import Project, http_client

from mindlytics_local import start

PROGRAM = Path(__file__).parent / "vendor_program.py"


@pytest.mark.vendor
def test_the_vendor_s_client_works_unchanged(vendor_python: Path):
    with start() as service:
        ran = subprocess.run(
            [vendor_python, PROGRAM, service.url, service.live_url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        with http_client(service.url, **{"X-App-ID": "vendor"}) as http:
            users = http.get("/bc/v1/db/users/find").json()
            (session,) = http.get("/bc/v1/db/sessions/find", params={"include": '["conversations"]'}).json()

    told = json.loads(ran.stdout)
    assert told["heard"] == [
        "Session Started",
        "User Identified",
        "Conversation Started",
        "Opened",
        "Conversation Turn",
        "Conversation Function",
        "Conversation Ended",
        "Conversation Summary",
        "Session Ended",
    ]
    assert (told["faults"], told["errors"]) == ([], [])
    outside, inside = users
    assert outside["aliases"] == ["ann", "ann2"]
    assert (inside["aliases"][0][:3], inside["aliases"][1:]) == ("ml_", ["bob"])
    assert (session["user_id"], session["attributes"]) == ("bob", {"mood": "glad"})
    assert session["conversations"][0]["turns"] == 1


def test_single_posts_with_a_bare_key_are_taken_by_their_kind():
    with start(api_keys=["secret"]) as service:
        project = Project(service.url, Authorization="secret")
        with project.http:
            posts = {
                "start-session": start_session(device_id="d1"),
                "identify": identify(id="u1"),
                "conversation-turn": turn(),
                "end-session": end_session(attributes={"mood": "glad"}),
            }
            answers = [project.http.post(f"/bc/v1/events/event/{kind}", json=body) for kind, body in posts.items()]

            assert [answer.status_code for answer in answers] == [200] * 4
            assert project.only("sessions")["attributes"] == {"mood": "glad"}
            assert project.only("conversations")["ended_by"] == "session"
