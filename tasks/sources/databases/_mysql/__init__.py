"""What the reader of MySQL and MariaDB is made of."""
