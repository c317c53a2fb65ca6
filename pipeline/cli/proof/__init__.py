"""`impasto proof`: all photographs with all paintings, small, on one sheet, before a long run.

`grid` pairs what the command line names, the pairs are rendered small in a temporary outbox, and `proofs` puts them on
a `sheet`, which `contact_sheet` draws as a PNG and `html_page` writes as HTML. `command` calls all of them.

- *proof*: a small rendering of a pair.
- *full run*: the run that the proofs stand for, with the settings as they were given.
"""
