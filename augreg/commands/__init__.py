"""The subcommands of the command line, and the modules that they share.

The module of a command has `add(commands)`, which declares the arguments, and `run(arguments)`, which returns the
exit code. Array libraries are imported inside `run`, so that `--help` loads none.
"""
