"""The command, as somebody at a shell and a program see it."""
