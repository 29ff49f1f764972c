"""The names of `openai`'s clients, for those who would rather change an import."""

import functools
from typing import TYPE_CHECKING, Any

from mindlytics_openai._openai import openai
from mindlytics_openai._wrap import PLAIN, records, wrap

if TYPE_CHECKING:
    # Their constructors change with every release of the SDK; to a type checker these are the very same classes.
    from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI
else:

    def _recording(plain: type) -> type:
        @functools.wraps(plain.__init__)
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            plain.__init__(self, *args, **kwargs)
            # One that is made by copying another gets that one's settings.
            if not records(type(self)):
                wrap(self)

        members = {"__module__": "mindlytics_openai", "__doc__": plain.__doc__, "__init__": init, PLAIN: plain}
        return type(plain.__name__, (plain,), members)

    OpenAI = _recording(openai.OpenAI)
    AsyncOpenAI = _recording(openai.AsyncOpenAI)
    AzureOpenAI = _recording(openai.AzureOpenAI)
    AsyncAzureOpenAI = _recording(openai.AsyncAzureOpenAI)

__all__ = ["AsyncAzureOpenAI", "AsyncOpenAI", "AzureOpenAI", "OpenAI"]
