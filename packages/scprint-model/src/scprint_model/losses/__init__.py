"""Training losses, each a plain function of tensors: of counts, of labels and of embeddings."""
