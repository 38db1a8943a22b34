"""The service: a web page and its API over a library, guarded."""
