"""What the reader of PostgreSQL is made of: sessions, the catalogue, ranges of keys, COPY."""
