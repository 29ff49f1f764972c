"""The web page: its parts, and how they become one document."""
