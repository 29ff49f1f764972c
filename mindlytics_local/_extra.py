"""What the local service needs beyond the bundle's own dependencies, or one clear word about what is missing."""

try:
    import starlette
    import uvicorn
    import websockets
except ImportError as error:
    raise ImportError(
        f"the local service needs the package {error.name!r}: pip install 'mindlytics[local]'", name=error.name
    ) from error

__all__ = ["starlette", "uvicorn", "websockets"]
