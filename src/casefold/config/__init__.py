"""What a user writes in YAML: the schema, and reading, overriding and dumping it."""
