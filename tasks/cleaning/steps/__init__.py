"""The steps of cleaning, one file each, in the order in which they run.

| order | step            | rounds | what it does                                               |
|-------|-----------------|--------|------------------------------------------------------------|
| 10    | drop_columns    | 0      | leaves columns out                                         |
| 20    | finite          | 0 or 1 | NaN and infinity become missing; always done               |
| 90    | drop_duplicates | 1      | leaves out rows that repeat another                        |
| 120   | drop_missing    | 0      | leaves out rows with missing values                        |

A round is one more pass over the rows.
"""
