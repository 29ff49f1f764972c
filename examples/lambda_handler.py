"""
An AWS Lambda handler. Between two calls its process is frozen, so each call delivers before it returns.

    pip install --target package "mindlytics[openai]"
    (handler: lambda_handler.handler; environment: OPENAI_API_KEY, MLSDK_API_KEY, MLSDK_PROJECT_ID)

The event: {"user_id": "jjacob", "question": "Where is my order?"}
"""

import os
from typing import Any

import mindlytics_core
from mindlytics_openai import OpenAI  # instead of: from openai import OpenAI

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o-mini")

openai = OpenAI()  # made once, kept from call to call


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer one question; the block is one conversation, which ends with it."""
    messages = [{"role": "user", "content": event["question"]}]
    try:
        with mindlytics_core.conversation(user_id=event.get("user_id")):
            completion = openai.chat.completions.create(model=MODEL, messages=messages)
    finally:
        mindlytics_core.flush_sync(timeout=2)  # what is not delivered by then goes with the next call
    return {"statusCode": 200, "body": completion.choices[0].message.content}
