"""Longer texts in which people are named."""

import re

from tasks.privacy.pii.base import Match, Recogniser, Sample

_LEAST_WORDS = 4
"""Words, on average, from which values are texts."""

_READ = 400
"""Texts that are read for what is in them."""


class FreeText(Recogniser):
    """Texts, a tenth of which has an e-mail, a number, an address or a name of somebody in it."""

    kind = "free_text"
    hint = (
        r"\b(notes?|comments?|remarks?|message|description|free text|text|memo|body|bemerkung\w*"
        r"|kommentar\w*|notiz\w*|remarques?|commentaires?|observacion\w*|mensaje|nota|note|uwagi)\b"
    )
    hinted_share = 0.1
    bare_share = 0.1

    def holds(self, value: str) -> bool:
        """Whether personal data is in it."""
        from tasks.privacy.pii.search import recognisers

        return any(
            next(one.spans(value), None) is not None
            for one in recognisers()
            if one.in_text is not None
        )

    def match(self, sample: Sample, *, hinted: bool) -> Match:
        """Only texts of several words count."""
        del hinted
        texts = sample.values[:: max(1, len(sample.values) // _READ)]
        words = [len(re.findall(r"[^\W\d_]+", text)) for text in texts]
        if sum(words) < _LEAST_WORDS * len(texts):
            return Match(0)
        n = sum(
            count >= _LEAST_WORDS and self.holds(t) for t, count in zip(texts, words, strict=True)
        )
        return Match(round(n / len(texts) * len(sample.values)))
