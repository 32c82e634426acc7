"""`python -m tasks …`, which dvc.yaml calls, is the same command as `proofmint …`."""

import sys

from tasks.cli import main

if __name__ == "__main__":
    sys.exit(main())
