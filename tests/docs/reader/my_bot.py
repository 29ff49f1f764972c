"""The app of a reader, as pages name it."""

from mindlytics_openai import OpenAI


def answer(question: str) -> str:
    """Answer one question."""
    messages = [{"role": "user", "content": question}]
    return OpenAI().chat.completions.create(model="gpt-4o", messages=messages).choices[0].message.content
