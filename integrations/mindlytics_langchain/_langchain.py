"""The one import of the framework, with a clear word when it is missing."""

try:
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.messages import (
        AIMessage,
        BaseMessage,
        HumanMessage,
        SystemMessage,
        ToolMessage,
        convert_to_messages,
    )
    from langchain_core.outputs import LLMResult
    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables.config import var_child_runnable_config
    from langchain_core.tracers.context import register_configure_hook
except ImportError as error:
    raise ImportError(
        "mindlytics_langchain needs the langchain-core package: pip install 'mindlytics[langchain]'"
    ) from error

__all__ = [
    "AIMessage",
    "BaseCallbackHandler",
    "BaseMessage",
    "HumanMessage",
    "LLMResult",
    "PromptValue",
    "SystemMessage",
    "ToolMessage",
    "convert_to_messages",
    "register_configure_hook",
    "var_child_runnable_config",
]
