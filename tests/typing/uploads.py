"""What a type checker lets an application attach."""

from __future__ import annotations

import io
from http.client import HTTPResponse
from typing import BinaryIO

from starlette.datastructures import UploadFile
from werkzeug.datastructures import FileStorage

from sqlalchemy_imageattach.entity import Image, SingleImageSet


class Pipe:
    """It gives bytes, and can do nothing else."""

    def read(self, size: int = -1, /) -> bytes:
        return b""


def files(images: SingleImageSet[Image], file: BinaryIO, response: HTTPResponse) -> None:
    images.from_file(file)
    images.from_raw_file(file)
    images.from_file(io.BytesIO())
    images.from_file(response)
    images.from_file(Pipe())


def text_is_refused(images: SingleImageSet[Image]) -> None:
    images.from_file(io.StringIO())  # type: ignore[arg-type]
    images.from_raw_file(Pipe())  # type: ignore[arg-type]


async def uploads(images: SingleImageSet[Image], of_flask: FileStorage, of_starlette: UploadFile) -> None:
    images.from_file(of_flask)
    images.from_raw_file(of_flask)
    await images.afrom_file(of_flask)
    await images.afrom_file(of_starlette)
    await images.afrom_raw_file(of_starlette)
