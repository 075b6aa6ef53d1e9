"""The registry of transforms, regularizers, policies, presets and backends, and how plugins are found."""
