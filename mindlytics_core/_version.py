"""The version of the whole bundle."""

__version__ = "0.1.0"
