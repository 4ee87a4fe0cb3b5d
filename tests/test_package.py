"""What the package shows, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

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


def test_importing_it_loads_no_engine_and_no_cloud():
    program = "import sqlalchemy_imageattach, sys; print(*sorted({'pyvips', 'PIL', 'obstore', 'werkzeug'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert loaded == []
