"""Training losses, one idea a file; each is a plain function of tensors."""
