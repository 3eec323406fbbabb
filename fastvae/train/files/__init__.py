"""A user's own files: folders of images, arrays, counts; read, checked, and cached where reading them takes long."""
