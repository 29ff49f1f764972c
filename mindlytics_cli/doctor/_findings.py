"""What a check found, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "warning", "fault"]


@dataclass(frozen=True, slots=True)
class Finding:
    """
    The result of one check.

    Attributes:
        check: What was looked at, in a word or two.

        level: `ok`; `note` for what could not be looked at; `warning` for what works but should not stay so;
            `fault` for what keeps conversations from arriving whole.

        text: What was found. Never holds a key.

        advice: What to do; empty where there is nothing to do.
    """

    check: str
    level: Level
    text: str
    advice: str = ""


def has_fault(findings: list[Finding]) -> bool:
    """
    Whether anything is wrong.

    Args:
        findings: What was found.
    """
    return any(finding.level == "fault" for finding in findings)
