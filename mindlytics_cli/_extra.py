"""What the commands need beyond the bundle's own dependencies, or one clear word about what is missing."""

try:
    import rich
except ImportError as error:
    raise ImportError(
        f"this command needs the package {error.name!r}: pip install 'mindlytics[cli]'", name=error.name
    ) from error

__all__ = ["rich"]
