"""
A chat server that streams its answers. Who talks, and in which visit, comes from headers.

    pip install "mindlytics[openai]" fastapi uvicorn
    uvicorn fastapi_chat:app
    curl -N localhost:8000/chat -H 'X-Mindlytics-User-Id: jjacob' \
        --json '{"messages": [{"role": "user", "content": "Hi"}]}'

The messages that the page sends back with each question are what one conversation is recognised by.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

import mindlytics_core
from mindlytics_openai import AsyncOpenAI  # instead of: from openai import AsyncOpenAI

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o-mini")
IDS = ("X-Mindlytics-User-Id", "X-Mindlytics-Session-Id")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """End and deliver what is open: uvicorn dies of the signal that stops it, without Python's exit."""
    yield
    await mindlytics_core.default_client().aclose(timeout=5)


app = FastAPI(lifespan=lifespan)
openai = AsyncOpenAI()


class Chat(BaseModel):
    """The whole chat so far, with the new question at its end."""

    messages: list[dict[str, str]]


@app.post("/chat")
async def chat(chat: Chat, request: Request) -> StreamingResponse:
    """Answer word by word."""
    ids = {name: request.headers[name] for name in IDS if name in request.headers}  # taken off before the call leaves
    stream = await openai.chat.completions.create(model=MODEL, messages=chat.messages, stream=True, extra_headers=ids)

    async def words() -> AsyncIterator[str]:
        async with stream:  # a reader who goes away closes it: the turn is recorded as far as they saw it
            async for chunk in stream:
                if chunk.choices:
                    yield chunk.choices[0].delta.content or ""

    return StreamingResponse(words(), media_type="text/plain")
