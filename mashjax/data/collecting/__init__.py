"""Fetching songs from addresses into a folder that the layouts read."""
