"""Postal addresses: streets with numbers."""

import re
from typing import Any

from tasks.privacy.pii.base import Match, Recogniser, Sample, without_accents

_BEFORE_NUMBER = (  # Rue de la Paix 12, Hauptstraße 5, Via Roma 1
    r"rue|avenue|av|boulevard|bd|chemin|allees?|impasse|quai|cours|route|place"
    r"|calle|c/|carrer|avenida|avda|paseo|plaza|camino|ronda|glorieta|callejon|pasaje|cuesta|rambla"
    r"|via|viale|piazza|piazzale|corso|vicolo|largo|strada|contrada|borgo|rotonda|incrocio|stretto|canale"
    r"|rua|travessa|alameda|praca|rodovia|estrada|av\.|r\.|aeroporto|area|parque|vila|lago|ladeira"
    r"|ulica|ul|ul\.|aleja|al\.|plac|pl\.|osiedle|os\.|улица|ул\.?|проспект|пр\.?|пер\.?|наб\.?|бульвар|шоссе"
)
_AFTER_NAME = (  # endings of one word, or words of their own
    r"strasse|str\.?|weg|platz|gasse|allee|ring|damm|ufer|straat|laan|plein|kade|dreef|singel|hof|pad"
    r"|gatan|gata|vagen|vag|grand|grande|torget|vej|gade|vaenget|gate|veien|vei|katu|tie|polku"
    r"|utca|ut|ter|korut|fasor|sok\.?|sokagi|sokak|caddesi|cad\.?|mahallesi|bulvari|sk\.?"
)
_ENGLISH = (  # the suffixes of USPS Publication 28, appendix C1
    r"street|st|road|rd|avenue|ave|lane|ln|drive|dr|boulevard|blvd|way|court|ct|place|pl|squares?|sq"
    r"|terrace|ter|parkway|pkwy|highway|hwy|circles?|cir|trail|trl|loop|alley|close|crescent|gardens?"
    r"|groves?|mews|row|walk|hills?|plaza|points?|ridges?|run|crossing|route|expressway|turnpike|broadway"
    r"|parks?|junctions?|glens?|coves?|landing|meadows?|views?|villages?|station|spurs?|stravenue|track"
    r"|bridge|canyon|creek|annex|arcade|bayou|beach|bend|bluffs?|bottom|branch|brooks?|burgs?|bypass|camp"
    r"|cape|causeway|centers?|cliffs?|club|common|corners?|course|crest|curve|dale|dam|divide|estates?"
    r"|extensions?|falls?|ferry|fields?|flats?|fords?|forest|forges?|forks?|fort|freeway|gateway|greens?"
    r"|harbors?|haven|heights|hollow|inlet|islands?|isle|keys?|knolls?|lakes?|land|light|lodge|locks?"
    r"|manors?|mall|mills?|mission|motorway|mount|mountains?|neck|orchard|oval|overpass|pass|passage|path"
    r"|pike|pines?|plains?|ports?|prairie|radial|ramp|ranch|rapids?|rest|river|roads|shoals?|shores?"
    r"|skyway|springs?|streams?|streets|summit|throughway|trace|trafficway|tunnel|underpass|unions?"
    r"|valleys?|via|viaduct|ville|vista|walks|wall|ways|wells?"
)
_IN_ENGLISH_TEXT = (
    r"Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Boulevard|Blvd|Way|Court|Ct|Place|Square|Terrace"
    r"|Parkway|Highway|Circle|Trail|Close|Crescent|Gardens"
)
_PATTERNS = re.compile(
    rf"^\d{{1,6}}[a-z]?[ ,]+(?:[\w.'’-]+ ){{1,5}}(?:{_ENGLISH})\b"
    rf"|^(?:\d{{1,5}}(?: ?(?:bis|ter|[a-z]))?,? +)?(?:{_BEFORE_NUMBER})[ .].*"
    rf"|\b[\w.'’-]*(?:{_AFTER_NAME}),? +\d{{1,5}} ?[a-z]?\b"
    r"|^(?:p\.? ?o\.? box|postfach|boite postale|apartado) \d+"
    r"|\b\d+ ?(?:jalan|jln)|\b(?:jalan|jl\.|gang|gg\.) .*\d|\d+丁目|\d+番|[市区町村].*\d|[路街道].*\d+号",
    re.IGNORECASE,
)
_LINES = re.compile(r"[^\n]{0,60}\d[^\n]{0,60}\n(?:[^\n]{0,60}\n){0,2}[^\n]{0,60}\d{2}[^\n]{0,60}")
"""Lines of an envelope: a number in the first, a postcode in the last."""

_HAS_BOTH = re.compile(r"(?=.*\d)(?=.*[^\W\d_]{3})")


class Address(Recogniser):
    """A street and a number, in the order and with the words of many languages."""

    kind = "address"
    hint = (
        r"\baddr(ess)?(es)?\b|\bstreet( address| name)?\b|\badress\w*\b|\banschrift\b|\bstr(asse|eet)?\b"
        r"|\bdireccion\b|\bindirizzo\b|\bendereco\b|\badres\w*\b|\bdomicil\w*\b|\brue\b|\bmorada\b"
        r"|\bosoite\b|\blakcim\b|\bcalle\b|адрес|地址|住所|주소"
    )
    against = r"\be ?mail\b|\bip\b|\bmac\b|\bweb\b|\burl\b|\btype\b"
    hinted_share = 0.3
    bare_share = 0.4
    in_text = re.compile(
        rf"(?<!\w)\d{{1,5}} (?:[A-Z][\w.'’-]+ ){{1,3}}(?:{_IN_ENGLISH_TEXT})\b\.?"
        rf"|\b[A-ZÄÖÜ][\w.-]*(?:straße|strasse|str\.|weg|platz|gasse|allee|straat|laan|gatan|vägen)"
        r" \d{1,4} ?[a-z]?\b"
        r"|\b\d{1,4},? (?:rue|avenue|boulevard|chemin|allée|impasse) (?:[\w'’-]+ ?){1,5}"
    )

    def holds(self, value: str) -> bool:
        """Whether it is a street with a number."""
        if not 5 <= len(value) <= 250 or "@" in value or "://" in value:
            return False
        if _HAS_BOTH.search(value) is None:
            return False
        if _LINES.fullmatch(value):
            return True
        return (
            _PATTERNS.search(" ".join(without_accents(value).replace("\n", " ").split()))
            is not None
        )

    def match(self, sample: Sample, *, hinted: bool) -> Match:
        """With a name that says so, any values of both words and numbers that hardly repeat."""
        strict = super().match(sample, hinted=hinted)
        if not hinted or sample.n_distinct < 3:
            return strict
        loose = sum(
            _HAS_BOTH.search(v) is not None and "@" not in v and "://" not in v
            for v in sample.values
        )
        return Match(max(strict.n, loose))

    def generalise(self, value: str) -> str:
        """The street without the number."""
        return " ".join(re.sub(r"\b\d+\w*\b,?", "", value).split()).strip(" ,")

    def invent(self, faker: Any, value: str) -> str:
        """An address; on one line if the value is."""
        whole = "\n" in value or "," in value
        made = faker.address() if whole else faker.street_address()
        return str(made if "\n" in value else str(made).replace("\n", ", "))
