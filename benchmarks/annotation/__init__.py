"""Cell types of cells that were held out, batch by batch."""
