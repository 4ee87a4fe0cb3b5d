from __future__ import annotations

from . import main

# Documentation is made by importing every module.
if __name__ == "__main__":
    main()
