"""Prints what an extra of the installed package asks for, a requirement a line: ``python scripts/extra.py test``."""

import re
import sys
from importlib.metadata import requires

for requirement in requires("cnncli") or []:
    wanted, _, condition = requirement.partition(";")
    if re.search(rf"""extra == ["']{sys.argv[1]}["']""", condition):
        print(wanted.strip())
