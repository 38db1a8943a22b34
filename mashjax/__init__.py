"""mashjax: two songs in, one mashup out."""

__version__ = "0.1.0"
