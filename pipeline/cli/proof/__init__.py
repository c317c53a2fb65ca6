"""`impasto proof`: all photographs with all paintings, small, on one sheet, before a long run.

`grid` makes pairs of the photographs and paintings that the command line names. The pairs are rendered small in a
temporary outbox, and `proofs` puts them on a `sheet`, which `contact_sheet` draws as a PNG and `html_page` writes as
HTML. `command` calls all of them.

- *proof*: a small rendering of a pair.
- *full run*: the run that the proofs are made for, with the settings as they were given.
"""
