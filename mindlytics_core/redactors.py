"""Ready-made redactors: what they find in a text is replaced by the name of what it was."""

import re
from collections.abc import Callable

__all__ = ["ALL", "redact_api_keys", "redact_card_numbers", "redact_emails"]

# Every repetition below has a limit, so that no text makes the search slow.
_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?!\w)")
#: At least as many digits as a card has, with single spaces or dashes between them, or without; perhaps more
#: than the card's own: its date and its code are often written behind it.
_DIGITS = re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,}(?!\w)")
_LEAST_DIGITS, _MOST_DIGITS = 13, 19
#: Shorter groups of digits are no part of a card that stands among other numbers.
_LEAST_IN_GROUP = 3
#: The beginnings that well-known services give their keys, and tokens by their form.
_API_KEY = re.compile(
    r"""(?<![\w-])(?:
        (?:sk|rk|pk)[-_](?:[a-z]{2,12}[-_]){0,3}[\w-]{16,512}  # OpenAI, Anthropic, Stripe
      | (?:gh[pousr]_|github_pat_|glpat-|hf_|xox[abeoprs]-|npm_|pypi-|lsv2_|gsk_)[\w-]{10,512}
      | AIza[\w-]{30,100}                                      # Google
      | (?:AKIA|ASIA)[A-Z0-9]{16}                              # AWS
      | eyJ[\w-]{8,2048}\.[\w-]{8,4096}\.[\w-]{8,2048}         # JSON Web Token
    )(?![\w-])
    | (?i:(?<=\bbearer\ )[\w.~+/-]{16,4096}=*)""",
    re.VERBOSE,
)


def redact_emails(text: str) -> str:
    """Replace e-mail addresses by `[email]`."""
    return _EMAIL.sub("[email]", text) if "@" in text else text


def redact_card_numbers(text: str) -> str:
    """Replace numbers of payment cards by `[card]`: 13 to 19 digits with a right check digit (ISO/IEC 7812)."""
    return _DIGITS.sub(lambda found: _without_cards(found[0]), text)


def redact_api_keys(text: str) -> str:
    """Replace what has the form of a well-known service's API key or of a token by `[api key]`."""
    return _API_KEY.sub("[api key]", text)


#: All of them.
ALL: tuple[Callable[[str], str], ...] = (redact_api_keys, redact_emails, redact_card_numbers)


def _without_cards(text: str) -> str:
    if _is_card(text):
        return "[card]"
    groups = [found.span() for found in re.finditer(r"\d+", text)]
    kept, done = [], 0
    for first, (start, _) in enumerate(groups):
        # None of a card's groups has less than three digits, so it has seven at most.
        ends = _ends_of_cards(groups[first : first + 7]) if start >= done else []
        if end := next((end for end in reversed(ends) if _is_card(text[start:end])), None):
            kept += [text[done:start], "[card]"]
            done = end
    return "".join([*kept, text[done:]])


def _ends_of_cards(groups: list[tuple[int, int]]) -> list[int]:
    """Where a card may end that begins with the first of these groups of digits."""
    ends: list[int] = []
    digits = 0
    for start, end in groups:
        digits += end - start
        if end - start < _LEAST_IN_GROUP or digits > _MOST_DIGITS:
            break
        ends.append(end)
    return ends


def _is_card(text: str) -> bool:
    digits = [int(letter) for letter in text if letter.isdigit()]
    if not _LEAST_DIGITS <= len(digits) <= _MOST_DIGITS:
        return False
    # Luhn: every second digit from the right counts double, as the sum of its own digits.
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[::-2]) + doubled) % 10 == 0
