"""
A sync view that runs a LangChain chain. The conversation is named, so it may go on in any process of the server.

    pip install "mindlytics[langchain]" langchain-openai flask
    flask --app flask_view run
    curl localhost:5000/conversations/order-7 -H 'X-User-Id: jjacob' --json '{"question": "Where is my order?"}'
    curl -X DELETE localhost:5000/conversations/order-7
"""

import os

from flask import Flask, request
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

import mindlytics_core
from mindlytics_langchain import MindlyticsHandler

app = Flask(__name__)
prompt = ChatPromptTemplate.from_messages([("system", "Answer in one short sentence."), ("user", "{question}")])
model = ChatOpenAI(model=os.environ.get("OPENAI_MODEL", "gpt-4o-mini"))
chain = prompt | model | StrOutputParser()
handler = MindlyticsHandler()  # one for the whole server, from any thread


@app.post("/conversations/<conversation_id>")
def ask(conversation_id: str) -> dict[str, str]:
    """Answer one question."""
    ids = {"mindlytics_conversation_id": conversation_id}
    if user_id := request.headers.get("X-User-Id"):
        ids["mindlytics_user_id"] = user_id
    answer = chain.invoke(request.get_json(), config={"callbacks": [handler], "metadata": ids})
    return {"answer": answer}


@app.delete("/conversations/<conversation_id>")
def end(conversation_id: str) -> tuple[str, int]:
    """End it now, so that it is analysed now; silence of half an hour ends it too."""
    mindlytics_core.default_client().end_conversation(conversation_id)
    return "", 204
