"""What is not for this run: programs of other environments, and tests of another run."""

collect_ignore = ["original_application.py", "tested_application"]
