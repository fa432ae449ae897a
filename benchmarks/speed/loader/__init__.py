"""Reading cells: the corpus, the candidate formats, all loaders side by side."""
