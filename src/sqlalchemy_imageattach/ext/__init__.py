"""At home in other frameworks: one module for each, imported by itself, with the extra of its name.

::

    flask            ImageAttach(app): the store of an application, its URLs, its commands
    pydantic         ImageOut: an image in the answer of an API
    alembic          op.add_image_revision("user_picture")
    wtforms          ImageField: a file field that knows what its attribute accepts
    sqladmin         ImageView: pictures in lists, previews and uploads in forms
    pytest_plugin    the fixtures imageattach_store and image_file

It must always be true that

- nothing outside of this package imports it, and of its modules only ``sqladmin`` imports another, ``wtforms``, which
  its forms are made of: an application has what it asks for;
- what needs no code of ours is an example of the documentation, and has no module here.
"""
