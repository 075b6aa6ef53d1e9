"""The subcommands of the command line, one module each, and what they share: a pool, a progress line, folders.

A command's module has `add(commands)`, which declares its arguments, and `run(arguments)`, which returns the exit
code. What needs an array library is imported inside `run`, so that `--help` loads none.
"""
