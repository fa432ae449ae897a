"""Building blocks of the network, one file each; :mod:`scprint_model.model` puts them together."""
