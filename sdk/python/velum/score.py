"""What a policy says of a row."""

REFUSE = 0xFFFF0000
"""Scores at and above this refuse: the low 16 bits are a code."""

BEST = REFUSE - 1
"""The best score there is; larger ones count as this."""

UNDECLARED = 0xFFFF
NO_NUMBER = 0xFFFE
OWN_WORDS = (
    (UNDECLARED, "the policy reads a column, attribute or fact that it does not declare"),
    (NO_NUMBER, "the policy's score is not a whole number"),
)
"""Refusals that the library gives, in words."""


def refuse(code: int) -> int:
    """A refusal by one of the policy's own codes, 0 to 65533, put in words by `Declaration.refusal`."""
    if not 0 <= code < NO_NUMBER:
        raise ValueError(f"a refusal code is 0 to {NO_NUMBER - 1}, not {code}")
    return REFUSE + code


def travelling(score) -> int:
    """A score as the server takes it."""
    if not isinstance(score, int):
        return REFUSE + NO_NUMBER
    if score < 0:
        return 0
    if score >= REFUSE and not REFUSE <= score <= 0xFFFFFFFF:
        return BEST
    return score
