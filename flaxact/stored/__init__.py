"""Stored files: atomic writes, records with a schema, and the environment they were made in."""
