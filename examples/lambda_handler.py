"""
An AWS Lambda handler. Between two calls its process is frozen, so each call delivers before it returns.

    pip install --target package "mindlytics[openai]"
    (handler: lambda_handler.handler; environment: OPENAI_API_KEY, MLSDK_API_KEY, MLSDK_PROJECT_ID)

The event: {"user_id": "jjacob", "question": "Where is my order?"}
"""

import os
from typing import Any

import openai

from mindlytics_core import Client, Delivery, conversation, flush_at_end
from mindlytics_openai import wrap

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o-mini")

# Made once, kept from call to call.
mindlytics = Client(delivery=Delivery(mode="serverless"))
model = wrap(openai.OpenAI(), client=mindlytics)


@flush_at_end(timeout=2)  # what is not delivered by then goes with the next call
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer one question; the block is one conversation, which ends with it."""
    messages = [{"role": "user", "content": event["question"]}]
    with conversation(user_id=event.get("user_id")):
        completion = model.chat.completions.create(model=MODEL, messages=messages)
    return {"statusCode": 200, "body": completion.choices[0].message.content}
