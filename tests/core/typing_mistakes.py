"""Mistakes that an editor shows; checked by `test_typing.py`, which wants an error in each marked line."""

from mindlytics_core import Client, Session, conversation


def mistakes(client: Client, session: Session) -> None:
    session.track_event("Opened")  # wrong
    session.track_event(event=7)  # wrong
    session.track_event(event="Opened", properties={"a": [1]})  # wrong
    session.track_conversation_turn(user="a")  # wrong
    session.track_conversation_usage(usage=3)  # wrong
    session.user_alias(id="a")  # wrong
    client.create_session(user="jjacob")  # wrong
    client.create_session(on_event=lambda: None)  # wrong
    conversation("jjacob")  # wrong


@conversation(user_id="jjacob")
def answer(text: str) -> str:
    return text


answer(7)  # wrong
