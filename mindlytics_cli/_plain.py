"""Anybody's words, made fit for a terminal."""


def plain(text: str) -> str:
    """
    A text on one line, without characters that a terminal would obey.

    Args:
        text: Words of users, models or services.
    """
    return "".join(sign if sign.isprintable() else " " for sign in text)
