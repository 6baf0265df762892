"""Make a ticket for an hour: ``python -m acme_sip KEY-FILE NAME``. In earnest, the site where users log in does it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from acme_sip.tickets import ticket

if __name__ == "__main__":
    key_file, name = sys.argv[1:]
    print(ticket(Path(key_file).read_bytes().strip(), name, int(time.time()) + 3600))
