"""`python -m identity_service`: the same as the command."""

import sys

from identity_service.cli import main

if __name__ == "__main__":
    sys.exit(main())
