"""`python -m mindlytics_core` is the command `mindlytics`."""

import sys

from mindlytics_core.cli import main

sys.exit(main())
