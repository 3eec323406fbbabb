"""From files to tensors: the data sets, and what of an image a conditional model is given."""
