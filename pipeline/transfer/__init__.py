"""The mathematics of neural style transfer: tensors in, tensors out."""
