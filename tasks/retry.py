"""How often something that may pass is tried again, and after which waits."""

import secrets
from collections.abc import Iterator

TRIES = 6
"""At most, as long as no try comes further than the one before."""

FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 30.0

_random = secrets.SystemRandom()


def waits(tries: int = TRIES) -> Iterator[float]:
    """Seconds before the second try, the third …: 1, 2, 4, 8, 16, each times 0.5 to 1.

    So a fault may last for half a minute, and those whom one fault has hit do not come back all at
    once ("equal jitter").

    **Source:** Brooker, M. (2015). Exponential Backoff And Jitter. AWS Architecture Blog.
    """
    for attempt in range(tries - 1):
        wait = min(FIRST_WAIT_SECONDS * 2**attempt, LONGEST_WAIT_SECONDS)
        yield wait * _random.uniform(0.5, 1.0)
