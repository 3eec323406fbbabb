"""A model of one multiprocessor: what a compiled kernel costs where no GPU is, instruction by instruction."""
