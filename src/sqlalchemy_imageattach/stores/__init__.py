"""The stores that come with this library, each in a module of its own: import the one that is used."""
