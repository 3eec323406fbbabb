"""A user's own files: arrays and counts, read and checked, and a cache of what takes long to read."""
