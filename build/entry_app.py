"""The packaged desktop app starts here."""

import sys

from quantvsr_gui.app import main

sys.exit(main())
