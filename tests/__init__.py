"""What the tests run is compiled once, even where the environment forbids Python to keep it: the tests start hundreds of processes."""

import os
import sys

sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
