"""Readers of databases, one file each, by the name that SQLAlchemy has for the dialect."""
