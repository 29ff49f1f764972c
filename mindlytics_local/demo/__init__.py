"""The demo: real conversations with a real model, and what arrived of them."""
