"""The command `mindlytics import`: past conversations, from files."""

# Says what is missing before any of it is imported.
from mindlytics_cli import _extra as _extra
