"""What the rows of images say, whatever a session has loaded and an application hides.

::

    place        one image set, in SQL
    tables       reading rows from their tables
    instances    rows as instances of a session
    locking      what rows say now, until the transaction ends
    replacing    what a flush deletes besides what the application says
"""
