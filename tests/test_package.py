"""What the package shows."""

from __future__ import annotations

import sqlalchemy_imageattach


def test_the_face_of_the_package_has_just_these_names():
    assert sorted(sqlalchemy_imageattach.__all__) == [
        "ContextError",
        "Image",
        "ImageAttachError",
        "ImageNotFoundError",
        "ImagePolicy",
        "ImageSet",
        "ImageSubset",
        "InvalidImageError",
        "MissingDependencyError",
        "MultipleImageSet",
        "SingleImageSet",
        "Store",
        "StoreError",
        "__version__",
        "current_store",
        "image_attachment",
        "store_context",
    ]
    assert all(hasattr(sqlalchemy_imageattach, name) for name in sqlalchemy_imageattach.__all__)
