"""How good the images of a model are: reconstructions beside their originals, samples beside the test images."""
