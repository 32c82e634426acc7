"""Names of people: given names, family names, both."""

import re
from collections.abc import Iterator
from typing import Any

from tasks.privacy.pii.base import Match, Recogniser, Sample, without_accents
from tasks.privacy.pii.known_names import PARTICLES, KnownNames, known_names

_STRONG = (
    r"\b(first|last|full|given|family|middle|maiden|christian|birth) ?names?\b|\b[fl]name\b"
    r"|\b(sur|fore) ?names?\b"
    r"|\b(patient|customer|client|employee|contact|person|people|author|owner|holder|member|student"
    r"|teacher|doctor|physician|passenger|guest|cardholder|beneficiary|recipient|sender|applicant"
    r"|spouse|mother|father|manager|agent|reviewer|buyer|seller|host|driver|player) (full )?name\b"
    r"|\b(vor|nach|familien|zu)names?\b|\bprenoms?\b|\bnom de famille\b|\bapellidos?\b"
    r"|\bcognome\b|\bsobrenome\b|\bapelido\b|\bimie\b|\bnazwisko\b|\b(for|efter)namn\b"
    r"|\b(voor|achter)naam\b|\bjmeno\b|\bprijmeni\b|\bfornavn\b|\betternavn\b|\befternavn\b"
    r"|\bsoyad\w*\b|\betunimi\b|\bsukunimi\b|\bkeresztnev\b|имя|фамилия|отчество|姓名|氏名|名前|이름|성명"
)
_WEAK = (
    r"^(name|nom|nombre|nome|naam|namn|navn|nazwa|ad|nimi|nev)$|\bnames?$"
    r"|\b(customer|employee|patient|contact|owner|author|doctor|physician|student|teacher|manager"
    r"|composer|person|passenger|signed by|created by|sales ?rep|attending)\b$"
)
_NOT_PEOPLE = (
    r"\b(company|product|file|city|town|country|street|road|user|nick|login|screen|host|domain|brand"
    r"|artist|band|album|track|song|genre|play ?list|media|table|column|field|event|school"
    r"|university|college|team|club|species|state|region|province|county|bank|job|department|dept"
    r"|title|movie|film|book|colou?r|item|category|group|class|model|hotel|restaurant|station|airport"
    r"|currency|language|firma|entreprise|empresa|azienda|store|shop|site|project|app|device|type"
    r"|drug|disease|gene|month|day|feature|variable|metric|count|length|id|organi[sz]ation|employer"
    r"|business|vendor|supplier|area|district|neighbou?rhood|place|dataset|layer|common|scientific)\b"
)
_WORD = r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f\u0900-\u0dff\u0e00-\u0e7f'’`])*\.?"
_SHAPE = re.compile(rf"{_WORD}(?:(?:,? +|-){_WORD}){{0,5}},?")
_COMPANY = re.compile(
    r"\b(inc|llc|ltd|plc|gmbh|ag|kg|ohg|group|and sons|corp|co|company|limited|sarl|sa|ltda|srl|spa|nv|bv"
    r"|ab|oy|the|of|and|und|et|for|in|foundation|university|street|road)\b"
)
_TITLES = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "miss",
        "dr",
        "prof",
        "sir",
        "madam",
        "herr",
        "frau",
        "hr",
        "fr",
        "dipl",
        "ing",
        "med",
        "mme",
        "m",
        "mlle",
        "sr",
        "sra",
        "srta",
        "sig",
        "dott",
        "dhr",
        "mevr",
        "pan",
        "pani",
        "phd",
        "md",
        "dds",
        "dvm",
        "jr",
        "ii",
        "iii",
        "iv",
        "univ",
    ]
)
_HONORIFIC = (
    r"\b(?:Mr|Mrs|Ms|Miss|Dr|Prof|Herrn?|Frau|Mme|Mlle|[Mm]onsieur|[Mm]adame|[Ss]eñora?|[Ss]ra?"
    r"|[Ss]ig(?:nora?|\.ra)?|[Pp]ani?|[Mm]evrouw|[Mm]eneer)\.? +"
)
_CAPITALISED = r"[^\W\d_a-zß-ÿ][^\W\d_]+(?:[-'’][^\W\d_]+)*"

_RUN = re.compile(
    rf"\b{_CAPITALISED}(?:(?: [A-Z]\.)?(?: (?:van|von|de|der|den|d[aiou]|del|dos|la|le|te[nr]|zur?|'t))"
    rf"{{0,3}} {_CAPITALISED})+"
)
"""Words with capitals, one after the other, with initials and particles between them."""


class PersonName(Recogniser):
    """Words as names are written, of which enough are in the lists of names of `known_names`.

    How many must be known depends on the column's name: `surname` needs only the form, `name` a
    third of the values, a column of any other name most of them.
    """

    kind = "person_name"
    hint = f"{_STRONG}|{_WEAK}"
    against = rf"(?!.*(?:{_STRONG})){_NOT_PEOPLE}"
    hinted_share = 0.4
    bare_share = 0.5
    unique = False
    in_text = re.compile(rf"(?:{_HONORIFIC}){_CAPITALISED}(?: {_CAPITALISED}){{0,2}}")

    def __init__(self, known: KnownNames | None = None) -> None:
        """Args: known: lists of names; None: all of them."""
        self._known = known

    @property
    def known(self) -> KnownNames:
        """The lists, which are loaded when they are needed first."""
        return self._known or known_names()

    def match(self, sample: Sample, *, hinted: bool) -> Match:
        """By form, lists, or both."""
        is_strong = re.search(_STRONG, sample.name) is not None
        # Names in small letters are names where the column's name says so.
        shaped = [
            v for v in sample.values if _is_shaped(v, small=is_strong or (hinted and " " in v))
        ]
        if len(shaped) < 0.5 * len(sample.values):
            return Match(0)
        if is_strong:
            return Match(len(shaped))
        if not hinted and not _varies(sample):
            return Match(0)
        whole = sum(self._is_known(v, least=0.5) for v in shaped)
        # Words such as months, cities and colours are names, too.
        is_sure = whole >= 0.85 * len(sample.values)
        is_long = sample.n_distinct >= 20
        is_single = all(" " not in v for v in shaped)
        if not hinted and not (is_sure and is_long if is_single else is_sure or is_long):
            return Match(0)
        return Match(whole)

    def holds(self, value: str) -> bool:
        """Whether it is written as a name, and a word of it is known."""
        return _is_shaped(value) and self._is_known(value, least=0.5)

    def spans(self, text: str, *, eager: bool = False) -> Iterator[tuple[int, int]]:
        """After a title, or where a known given name stands before a known family name.

        Eager, before any word with a capital.
        """
        for found in self.in_text.finditer(text):
            yield found.span()
        for run in _RUN.finditer(text):
            words = list(re.finditer(_CAPITALISED, run[0]))
            i = 0
            while i < len(words):
                left = [without_accents(word[0]) for word in words[i:]]
                end = self._end_of_name(left, eager=eager)
                if end:
                    yield run.start() + words[i].start(), run.start() + words[i + end - 1].end()
                i += end or 1

    def _end_of_name(self, words: list[str], *, eager: bool) -> int:
        """How many words, from the first one on, are given names and then a family name; or 0."""
        if len(words[0]) <= 2 or words[0] not in self.known.first:
            return 0
        end = 0
        for i, word in enumerate(words[1:], start=2):
            if word in self.known.last:
                end = i
            elif word not in self.known.first:
                # A known given name and an unknown word: a name, but for places and such.
                return i if eager and not end else end
        return end

    def _is_known(self, value: str, least: float) -> bool:
        words = [w for w in _words_of(value) if w not in PARTICLES and w not in _TITLES]
        known = sum(len(w) > 1 and self.known.has(w) for w in words)
        return (known > 0 and known >= least * len(words)) or self.known.has_whole(value)

    def mask(self, value: str) -> str:
        """The first letter of each word stays."""
        return re.sub(r"(?<=\w)\w", "*", value)

    def generalise(self, value: str) -> str:
        """The initials."""
        return ".".join(word[0].upper() for word in re.findall(r"\w+", value)) + "."

    def invent(self, faker: Any, value: str) -> str:
        """A given name for one word, both for more."""
        if "," in value:
            return f"{faker.last_name()}, {faker.first_name()}"
        if " " in value.strip():
            return f"{faker.first_name()} {faker.last_name()}"
        word = without_accents(value)
        is_last = word in self.known.last and word not in self.known.first
        return str(faker.last_name() if is_last else faker.first_name())


def _words_of(value: str) -> list[str]:
    return [w for w in re.split(r"[\s\-,.'’`]+", without_accents(value)) if w]


def _is_shaped(value: str, *, small: bool = False) -> bool:
    """Up to six words of letters, each with a capital where the script has them, or all `small`."""
    if len(value) > 60 or _SHAPE.fullmatch(value) is None:
        return False
    words = [w for w in re.split(r"[\s\-]+", value) if w]
    if _COMPANY.search(value.lower()):
        return False
    big = [
        w for w in words if w.rstrip(".,").lower() not in PARTICLES and w[:2] not in ("d'", "l'")
    ]
    return bool(big) and (all(not w[0].islower() for w in big) or (small and value.islower()))


def _varies(sample: Sample) -> bool:
    """Whether there are too many different values for a list of choices."""
    return sample.n_distinct >= 50 or sample.n_distinct >= max(4, 0.5 * sample.n_present)
