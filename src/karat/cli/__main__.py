"""``python -m karat.cli``."""

import sys

from . import main

sys.exit(main())
