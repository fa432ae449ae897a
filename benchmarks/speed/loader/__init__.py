"""Reading cells: the corpus, the candidate formats."""
