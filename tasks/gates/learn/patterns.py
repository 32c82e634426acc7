"""The form of identifiers and codes as a regular expression, without a letter or digit of theirs."""

import re

import pandas as pd

_LETTERS, _UPPER, _LOWER, _DIGITS = r"[^\W\d_]", "[A-Z]", "[a-z]", r"\d"
_MOST_FORMS = 3
_MOST_TOKENS = 12
_LONGEST_RUN = 100
"""Characters of a run whose length counts; RE2 knows no more than 1000 repetitions."""

_COVERED = 0.99
"""Share of the values that the forms must fit."""

_TOKENS = re.compile(r"\d+|[^\W\d_]+|\s+|.", re.DOTALL)


def learn_pattern(texts: pd.Series) -> str | None:
    """A regular expression that nearly all texts match, or None if they have no common form.

    Classes stand for letters and digits; what stays as it is are marks such as - and @. The
    lengths of their runs count, if then few forms are enough.

    Args:
        texts: (N,) str, N > 0, none missing.
    """
    values = texts.value_counts()
    for exact in (True, False):
        forms = pd.Series([_form(str(v), exact=exact) for v in values.index], dtype=object)
        counts = values.reset_index(drop=True).groupby(forms).sum().sort_values(ascending=False)
        common = counts[counts >= max(10, 0.005 * len(texts))].head(_MOST_FORMS)
        common = common[common.index != ""]
        if len(common) and common.sum() >= _COVERED * len(texts):
            return "|".join(sorted(common.index))
    return None


def _form(text: str, *, exact: bool) -> str:
    """The form of one text; empty if it is too long to have one."""
    tokens = _TOKENS.findall(text)
    if len(tokens) > _MOST_TOKENS:
        return ""
    return "".join(_class_of(token, exact=exact) for token in tokens)


def _class_of(token: str, *, exact: bool) -> str:
    if token.isspace():
        return r"\s" if len(token) == 1 else r"\s+"
    if token.isdigit():
        kind = _DIGITS
    elif token.isalpha():
        is_ascii = token.isascii()
        kind = _UPPER if is_ascii and token.isupper() else _LETTERS
        kind = _LOWER if is_ascii and token.islower() else kind
    else:
        return re.escape(token)
    return f"{kind}{{{len(token)}}}" if exact and len(token) <= _LONGEST_RUN else f"{kind}+"
