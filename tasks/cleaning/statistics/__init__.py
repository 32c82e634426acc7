"""What steps learn of all rows, in bounded memory and the same to the last bit for any batches."""
