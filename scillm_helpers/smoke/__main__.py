"""`python -m scillm_helpers.smoke` is `scillm-smoke`."""

import sys

from .cli import main

sys.exit(main())
