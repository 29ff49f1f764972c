"""Which conversation a call belongs to, and whose it is."""

from typing import Any

import pytest
from openai_chat import QUESTION, STREAMED, TURN, chats

import mindlytics_core
from mindlytics_core import Client
from mindlytics_openai import wrap

SYSTEM = {"role": "system", "content": "Be kind."}


def user(text: str):
    return {"role": "user", "content": text}


def assistant(text: str):
    return {"role": "assistant", "content": text}


@pytest.fixture
def ask(provider: Any, client: Client, say: Any):
    """Asks a wrapped client; the provider's answer is given with the question."""
    recording = wrap(provider.client(), client=client)

    def asked(answer: Any, messages: Any, **options: Any) -> Any:
        provider.answers(say.completion(answer))
        return recording.chat.completions.create(model="tiny", messages=messages, **options)

    return asked


def test_a_growing_list_of_messages_is_one_conversation(ask: Any, arrived: Any):
    messages = [SYSTEM]
    for question, answer in (("One?", "1"), ("Two?", "2"), ("Three?", "3")):
        messages.append(user(question))
        messages.append(ask(answer, messages).choices[0].message)

    assert arrived() == chats([("One?", "1"), ("Two?", "2"), ("Three?", "3")])


def test_two_chats_that_begin_alike_stay_two_conversations(ask: Any, arrived: Any):
    for _ in range(2):
        ask("Hello!", [user("Hi")])
    for question in ("Left?", "Right?"):
        ask("Yes.", [user("Hi"), assistant("Hello!"), user(question)])

    assert arrived() == chats([("Hi", "Hello!"), ("Left?", "Yes.")], [("Hi", "Hello!"), ("Right?", "Yes.")])


def test_a_regenerated_and_an_edited_turn_continue_their_conversation(ask: Any, arrived: Any):
    begun = [user("Hi"), assistant("Hello!")]
    ask("Hello!", begun[:1])
    ask("Fine.", [*begun, user("How are you?")])
    ask("Very well.", [*begun, user("How are you?")])
    ask("Blue.", [*begun, user("What colour is the sky?")])

    again = [("How are you?", "Fine."), ("How are you?", "Very well."), ("What colour is the sky?", "Blue.")]
    assert arrived() == chats([("Hi", "Hello!"), *again])


LONG = "A sentence that is long enough to be told from the small talk of everybody else."


def chat(ask: Any, *questions: str, begun: Any = (), answer: str = LONG):
    """Hold a chat with a growing list of messages; give the list."""
    messages = list(begun)
    for question in questions:
        messages.append(user(question))
        messages.append(assistant(ask(f"{question} {answer}", messages).choices[0].message.content))
    return messages


def answered(*questions: str):
    """The turns that these questions make."""
    return [(question, f"{question} {LONG}") for question in questions]


def test_a_chat_that_is_cut_off_at_the_front_stays_one_conversation(ask: Any, arrived: Any):
    messages = chat(ask, "One?", "Two?", "Three?", begun=[SYSTEM])
    for question in ("Four?", "Five?", "Six?"):
        messages = chat(ask, question, begun=[SYSTEM, *messages[-2:]])

    assert arrived() == chats(answered("One?", "Two?", "Three?", "Four?", "Five?", "Six?"))


def test_a_chat_that_is_summarised_at_the_front_stays_one_conversation(ask: Any, arrived: Any):
    messages = chat(ask, "One?", "Two?", "Three?", begun=[SYSTEM])
    summary = {"role": "system", "content": "Be kind. They counted to three."}
    chat(ask, "Four?", "Five?", begun=[summary, *messages[-4:]])
    chat(ask, "Six?", begun=[SYSTEM, user("So far: five."), assistant("Ok."), user("One more?"), assistant("Yes?")])

    assert arrived() == chats(answered("One?", "Two?", "Three?", "Four?", "Five?"), answered("Six?"))


def test_a_chat_cut_off_at_the_front_goes_on_behind_its_greeting(ask: Any, arrived: Any):
    greeting = [SYSTEM, assistant("Welcome!")]
    ask("Welcome!", [SYSTEM])
    ask("Welcome!", [SYSTEM])
    first = chat(ask, "One?", "Two?", begun=greeting)
    chat(ask, "Eins?", begun=greeting)
    chat(ask, "Three?", begun=[*greeting, *first[-2:]])

    assert arrived() == chats(
        [("", "Welcome!"), *answered("One?", "Two?", "Three?")], [("", "Welcome!"), *answered("Eins?")]
    )


def test_small_talk_alone_does_not_lead_into_the_conversation_of_somebody_else(ask: Any, arrived: Any):
    ask("You are welcome.", [user("One?"), assistant("1"), user("Thanks")])
    ask("Bye.", [user("Two?"), assistant("2"), user("Thanks"), assistant("You are welcome."), user("Bye")])

    assert arrived() == chats([("Thanks", "You are welcome.")], [("Bye", "Bye.")])


def test_a_regenerated_turn_is_not_taken_for_another_chat_that_was_cut_off(ask: Any, arrived: Any):
    messages = chat(ask, "One?", "Two?", "Three?")
    ask("Once more.", messages[:-1])
    chat(ask, "Three, but another?", begun=messages[:4])

    again = [("Three?", "Once more."), *answered("Three, but another?")]
    assert arrived() == chats([*answered("One?", "Two?", "Three?"), *again])


def test_chats_with_the_same_words_at_once_are_not_mixed(provider: Any, client: Client, arrived: Any, say: Any):
    recording = wrap(provider.client(), client=client)
    begun = [user("Hi"), assistant("Hello!")]
    provider.answers(*[say.completion("Hello!")] * 2, *[say.spoken("Yes.")] * 2)
    for _ in range(2):
        recording.chat.completions.create(model="tiny", messages=begun[:1])
    streams = [
        recording.chat.completions.create(model="tiny", messages=[*begun, user(question)], stream=True)
        for question in ("Left?", "Right?")
    ]
    for stream in streams:
        list(stream)

    left, right = ({**STREAMED, "user": question, "assistant": "Yes."} for question in ("Left?", "Right?"))
    assert arrived() == chats([("Hi", "Hello!"), left], [("Hi", "Hello!"), right])


def test_a_refusal_is_recognised_in_the_next_request(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.completion(None, refusal="No."), say.completion("Bye."))
    recording = wrap(provider.client(), client=client)

    first = recording.chat.completions.create(model="tiny", messages=[user("Do harm")])
    recording.chat.completions.create(model="tiny", messages=[user("Do harm"), first.choices[0].message, user("Ok")])

    assert arrived() == chats([("Do harm", "No."), ("Ok", "Bye.")])


def test_an_answer_whose_outer_spaces_the_app_takes_off_is_recognised(ask: Any, arrived: Any):
    ask(" Hi there\n", [user("Hello?")])
    ask("Bye.", [user("Hello?"), assistant("Hi there"), user("Bye?")])

    assert arrived() == chats([("Hello?", " Hi there\n"), ("Bye?", "Bye.")])


def test_two_pictures_with_one_question_are_two_messages(ask: Any, arrived: Any):
    def picture(data: Any) -> Any:
        content = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": data}}]
        return {"role": "user", "content": content}

    ask("A thing.", [picture("data:cat")])
    ask("A thing.", [picture("data:dog")])
    ask("Dogs.", [picture("data:dog"), assistant("A thing."), user("What do you like?")])

    assert arrived() == chats(
        [("What?\n[image]", "A thing.")], [("What?\n[image]", "A thing."), ("What do you like?", "Dogs.")]
    )


def test_headers_name_whose_and_which_conversation_it_is_and_never_leave(ask: Any, arrived: Any, provider: Any):
    headers = {
        "X-Mindlytics-User-Id": "ann",
        "x-mindlytics-device-id": "phone",
        "X-MINDLYTICS-SESSION-ID": "visit",
        "X-Mindlytics-Conversation-Id": "chat",
        "X-Other": "kept",
    }
    given = dict(headers)
    ask("Hello!", [user("Hi")], extra_headers=headers)

    assert headers == given
    sent = provider.requests[0].headers
    assert sent["x-other"] == "kept"
    assert not [name for name in sent if name.startswith("x-mindlytics")]
    ids = {"user_id": "ann", "device_id": "phone", "session": "visit"}
    # A session that the app names is the app's to start.
    assert arrived() == [{**event, "conversation": "chat"} for event in chats([("Hi", "Hello!")], **ids)[1:]]


def test_headers_that_a_client_always_sends_name_them_too(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.completion(), say.completion())
    always = wrap(provider.client(default_headers={"X-Mindlytics-User-Id": "ann", "X-Own": "1"}), client=client)
    for given in ({}, {"extra_headers": {"x-mindlytics-user-id": "bob"}}):
        always.chat.completions.create(model="tiny", messages=QUESTION, **given)

    of_ann, of_bob = (chats([TURN], [TURN], user_id=name) for name in ("ann", "bob"))
    assert arrived() == [*of_ann[:3], *of_bob[3:]]
    for request in provider.requests:
        assert request.headers["x-own"] == "1"
        assert not any("mindlytics" in name for name in request.headers)


def test_our_headers_never_leave_with_a_request_that_is_not_recorded(provider: Any, client: Client, arrived: Any):
    provider.answers({"object": "list", "data": [], "model": "e", "usage": {"prompt_tokens": 1, "total_tokens": 1}})
    recording = wrap(provider.client(), client=client)

    headers = {"X-Mindlytics-User-Id": "ann"}
    recording.embeddings.create(model="e", input="x", encoding_format="float", extra_headers=headers)

    assert "x-mindlytics-user-id" not in provider.requests[0].headers
    assert arrived() == []


@pytest.mark.parametrize(
    ("given", "known_as"),
    [
        ({"user": "ann"}, "ann"),
        ({"safety_identifier": "bob"}, "bob"),
        ({"user": "ann", "safety_identifier": "bob"}, "bob"),
        ({"user": "ann", "extra_headers": {"X-Mindlytics-User-Id": "cid"}}, "cid"),
    ],
)
def test_the_user_that_the_app_names_is_the_user(ask: Any, arrived: Any, given: Any, known_as: Any):
    ask("Hello!", [user("Hi")], **given)
    assert arrived() == chats([("Hi", "Hello!")], user_id=known_as)


def test_the_same_words_of_two_users_are_two_conversations(ask: Any, arrived: Any):
    for name in ("ann", "bob"):
        ask("Hello!", [user("Hi")], user=name)
    ask("Bye.", [user("Hi"), assistant("Hello!"), user("Bye")], user="bob")

    of_ann, of_bob = (chats([("Hi", "Hello!")], [("Hi", "Hello!"), ("Bye", "Bye.")], user_id=n) for n in ("ann", "bob"))
    assert arrived() == [*of_ann[:3], *of_bob[3:]]


def test_ids_given_to_wrap_stand_behind_those_of_scope_and_call(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(*[say.completion("Hello!")] * 4)
    ids = {"user_id": "of-wrap", "device_id": "phone", "assistant_id": "helper"}
    recording = wrap(provider.client(), client=client, **ids)

    def ask(**options: Any) -> Any:
        recording.chat.completions.create(model="tiny", messages=[user("Hi")], **options)

    ask(user="of-framework")
    with mindlytics_core.conversation(user_id="of-scope"):
        ask()
    with mindlytics_core.conversation(user_id="of-scope"):
        ask(extra_headers={"X-Mindlytics-User-Id": "of-call"})

    turn = {**TURN, "user": "Hi", "assistant": "Hello!", "assistant_id": "helper"}
    told = chats([turn], [turn], [turn], are_ended=True, device_id="phone")
    # The scopes are over.
    del told[3:5]
    names = ["of-wrap"] * 3 + ["of-scope"] * 5 + ["of-call"] * 5
    assert arrived() == [{**event, "user_id": name} for event, name in zip(told, names, strict=True)]


def test_a_scope_is_one_conversation_that_ends_with_its_block(ask: Any, arrived: Any):
    with mindlytics_core.conversation(conversation_id="chat"):
        ask("Hello!", [user("Hi")])
        ask("Bye.", [user("Bye")])

    begun, *rest, over = chats([("Hi", "Hello!"), ("Bye", "Bye.")], are_ended=True)
    assert arrived() == [begun, *({**event, "conversation": "chat"} for event in rest), over]


def test_a_call_that_somebody_else_records_is_left_alone(ask: Any, arrived: Any):
    running = [True]
    mindlytics_core.claim_model_call(lambda: bool(running))
    ask("Hello!", [user("Hi")])
    running.clear()
    ask("Hello!", [user("Again")])

    assert arrived() == chats([("Again", "Hello!")])


def test_an_assistant_that_speaks_first_answers_nobody(ask: Any, arrived: Any):
    ask("Welcome!", [SYSTEM])
    ask("Here.", [SYSTEM, assistant("Welcome!"), user("Where?")])

    assert arrived() == chats([("", "Welcome!"), ("Where?", "Here.")])
