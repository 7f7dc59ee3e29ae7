"""Files that are stored whole, records with a schema, and where they were made."""
