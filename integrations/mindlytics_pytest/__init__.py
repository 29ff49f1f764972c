"""For an app's own tests: a running local service, and what the app has recorded there."""

from mindlytics_pytest._recorded import Conversation, FunctionCall, Turn
from mindlytics_pytest._service import MindlyticsService

__all__ = ["Conversation", "FunctionCall", "MindlyticsService", "Turn"]
