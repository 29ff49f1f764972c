"""The one way in which a request is turned down."""


class Refused(Exception):
    """
    A request cannot be served as it is.

    Args:
        text: What is wrong with it, for the person who sent it.

        status: The HTTP status that says so.
    """

    def __init__(self, text: str, *, status: int = 400) -> None:
        super().__init__(text)
        self.text = text
        self.status = status
