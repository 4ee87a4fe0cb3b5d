"""What the stores of the three clouds share.

::

    store        the store: keys, URLs, headers
    bucket       the objects of one bucket, by obstore
    streams      files that are sent and received in parts
    failures     what an error of a cloud means
    runtime      loading obstore, and its threads
    s3request    signed requests, as the original library made them
    s3listing    a listing of whatever S3 may hold
    s3signature  URLs that are signed as of a time
    arguments    what the stores take, and the checks of it
"""
