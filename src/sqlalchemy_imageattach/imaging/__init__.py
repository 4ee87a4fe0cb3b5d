"""Reading the header of an image, and making other sizes of it."""
