"""Subcommands of ``scprint``: modules with ``run(command, words)``, which returns text to print or an exit status."""
