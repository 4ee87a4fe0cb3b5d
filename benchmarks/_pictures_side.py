"""One revision of the library, which looks at pictures and makes a thumbnail of each: a side of ``pictures.py``."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, sys.argv[1])

from sqlalchemy_imageattach.imaging import probe, resize

for line in sys.stdin:
    path, width = line.rsplit(" ", 1)
    with Path(path).open("rb") as file:
        began = time.process_time()
        info = probe(file)
        made = resize(file, info, int(width), max(1, round(info.height * int(width) / info.width)))
        with made.file:
            seconds = time.process_time() - began
    print(json.dumps(seconds), flush=True)
