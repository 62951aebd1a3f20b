"""The command line: one thin file a verb; nothing heavy is imported before the arguments are known to be right."""
