"""Conversations held through the `openai` client, recorded by one added line."""

from mindlytics_openai._clients import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI
from mindlytics_openai._install import install, uninstall
from mindlytics_openai._wrap import unwrap, wrap

__all__ = ["AsyncAzureOpenAI", "AsyncOpenAI", "AzureOpenAI", "OpenAI", "install", "uninstall", "unwrap", "wrap"]
