"""Conversations held through LangChain and LangGraph, recorded by one added line."""

from mindlytics_langchain._handler import MindlyticsHandler
from mindlytics_langchain._install import install, uninstall

__all__ = ["MindlyticsHandler", "install", "uninstall"]
