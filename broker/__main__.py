"""`python -m broker`: the command line."""

import sys

from broker.cli import main

sys.exit(main())
