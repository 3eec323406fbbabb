"""What can be known of the Triton kernels without a GPU: they are compiled for devices that are not there."""
