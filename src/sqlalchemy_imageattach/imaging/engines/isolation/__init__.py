"""Decoding in a process of its own.

::

    pool        the side that asks
    worker      the side that decodes
    messages    what the two say to each other
"""
