"""What the reader of SQLite is made of."""
