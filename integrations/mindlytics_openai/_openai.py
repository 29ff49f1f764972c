"""The one import of the framework, with a clear word when it is missing."""

try:
    import openai
except ImportError as error:
    raise ImportError("mindlytics_openai needs the openai package: pip install 'mindlytics[openai]'") from error

__all__ = ["openai"]
