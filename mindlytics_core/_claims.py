"""One model call, seen by two integrations, is recorded once: by the outer one, which claims it."""

from collections.abc import Callable
from contextvars import ContextVar

_claim: ContextVar[Callable[[], bool] | None] = ContextVar("mindlytics_model_call_claim", default=None)


def claim_model_call(is_asking: Callable[[], bool]) -> None:
    """
    Say that the model call which begins in this context is recorded by the caller.

    Args:
        is_asking: Whether nothing of its answer has come. The claim cannot be taken back from the contexts that
            it was copied to, so it is asked for instead.
    """
    _claim.set(is_asking)


def model_call_is_claimed() -> bool:
    """Whether a model call that is made in this context is recorded by somebody else."""
    is_asking = _claim.get()
    return is_asking is not None and is_asking()
