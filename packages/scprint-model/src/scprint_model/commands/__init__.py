"""One module a subcommand of ``scprint``, each with ``run(arguments) -> exit status``."""
