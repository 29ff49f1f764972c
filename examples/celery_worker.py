"""
A Celery worker that answers in the background. Its prefork pool needs nothing special.

    pip install "mindlytics[openai]" celery
    celery --app celery_worker worker --concurrency 2
    python -c "from celery_worker import answer; answer.delay('jjacob', 'Where is my order?')"

What is made here is made in the parent and used in its children: each child has a queue and a thread of its own.
"""

import os

from celery import Celery
from celery.signals import worker_process_shutdown

import mindlytics_core
from mindlytics_openai import OpenAI  # instead of: from openai import OpenAI

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o-mini")

app = Celery("celery_worker", broker=os.environ.get("CELERY_BROKER_URL", "amqp://"))
openai = OpenAI()


@app.task
def answer(user_id: str, question: str) -> str:
    """Answer one question; the block is one conversation, which ends with it."""
    with mindlytics_core.conversation(user_id=user_id):
        completion = openai.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": question}])
    return completion.choices[0].message.content or ""


@worker_process_shutdown.connect
def deliver(**_: object) -> None:
    """A pool's child leaves without Python's exit, which would deliver: what it still holds is sent here."""
    mindlytics_core.flush_sync(timeout=5)
