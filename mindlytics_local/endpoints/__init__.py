"""The HTTP and WebSocket endpoints, one file for each part of the API."""
