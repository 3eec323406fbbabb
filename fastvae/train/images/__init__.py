"""A folder of images as one array of bytes: listed, decoded in processes, and kept in the cache."""
