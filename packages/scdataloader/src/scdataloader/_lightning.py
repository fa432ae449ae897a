"""Lightning, or a word on how to get it: only the data module needs it."""

try:
    import lightning as lightning
except ModuleNotFoundError as error:
    if error.name != "lightning":
        raise
    raise ImportError("CellDataModule needs Lightning: pip install 'scdataloader[torch]'") from error
