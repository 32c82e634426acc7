"""The steps of cleaning, one file each, in the order in which they run.

| order | step            | rounds | what it does                                                |
|-------|-----------------|--------|-------------------------------------------------------------|
| 10    | drop_columns    | 0      | leaves columns out                                          |
| 20    | finite          | 0 or 1 | NaN and infinity become missing; always done                |
| 30    | text            | 0      | brings texts into one form                                  |
| 40    | replace         | 0      | puts values in place of others                              |
| 50    | types           | 0 or 1 | gives columns types, declared or as their texts show        |
| 60    | units           | 0      | brings measurements to one unit                             |
| 70    | length          | 0      | leaves out rows whose texts are too short or too long       |
| 80    | images          | 0      | brings images to one size and mode                          |
| 90    | drop_duplicates | 1      | leaves out rows that repeat another                         |
| 100   | outliers        | 1 to 8 | flags, clips or leaves out what is far from the rest        |
| 110   | missing         | 0 to 8 | fills missing values, or leaves out the rows that have them |
| 120   | drop_missing    | 0      | leaves out rows with missing values                         |
| 130   | scale           | 1 to 8 | puts numbers on a common scale                              |
| 200   | personal        | 0      | pseudonymises, replaces, masks … personal data; warns of it |

A round is one more pass over the rows.
"""
