"""Serving, tested over real connections."""
