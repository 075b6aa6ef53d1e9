"""The built-in transforms, a family a file. Adding one is writing its class: the registry finds it."""
