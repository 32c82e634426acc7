"""`python -m tasks …`, which dvc.yaml calls, is the same command as `proofmint …`."""

import os
import sys

# Arrow's allocator (mimalloc) keeps freed memory of many threads for a second, which may be hundreds
# of MB; it reads this when Arrow is imported. In milliseconds.
os.environ.setdefault("MIMALLOC_PURGE_DELAY", "10")

from tasks.cli import main

if __name__ == "__main__":
    sys.exit(main())
