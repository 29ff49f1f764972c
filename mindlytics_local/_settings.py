"""How the service is to behave."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mindlytics_local._prices import Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    How the service is to behave.

    Attributes:
        api_keys: The keys that are taken; none means that any is, also none at all.

        admin_key: The key for wiping and for making keys; None leaves both open to whoever may use the service.

        prices: What models cost, by name.

        max_body_bytes: Largest request body; a larger one is refused while it is being read.

        loopback_only: Whether the service is for this machine only, so that a request must name it as host.

    Raises:
        ValueError: A key is none that a header could carry.
    """

    api_keys: tuple[str, ...] = ()
    admin_key: str | None = None
    prices: Mapping[str, Price] = field(default_factory=dict)
    max_body_bytes: int = 8 * 1024 * 1024
    loopback_only: bool = False

    def __post_init__(self) -> None:
        for key in (*self.api_keys, *(() if self.admin_key is None else (self.admin_key,))):
            # An unset variable on a command line is an empty key, and that would let everybody in.
            if not key or not all("!" <= char <= "~" for char in key):
                raise ValueError("a key must have at least one character, all of them visible ASCII and no spaces")
