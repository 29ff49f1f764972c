"""What the service answered, as the public SDK's users know it."""

import msgspec


class APIResponse(msgspec.Struct, frozen=True):
    """
    What the service answered to an event that it refused.

    Attributes:
        errored: Whether it refused; always true in a session's list of errors.

        status: HTTP status.

        message: What the service said.
    """

    errored: bool
    status: int
    message: str
