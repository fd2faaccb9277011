"""What attackers try. IDENTITY_LONG=1 runs the large numbers."""

import os

LONG = os.environ.get("IDENTITY_LONG") == "1"
