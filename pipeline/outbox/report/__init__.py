"""The page index.html of an outbox: its results and failures, readable without impasto.

`impasto report`, and a run while it works, call `update.write_report`. A report goes through these modules: `read`
turns the JSON files into records, which `cache` keeps, so that only new and changed files are read;
`missing_thumbnails` makes small pictures; `page_data` turns the records into the values of the page; `page` makes the
HTML from report.html.j2, report.css and report.js.

- done: a pair with a complete result.
- failed: a pair with a failure record.
- damaged: a file that is not a complete result.
- usual settings: those of the latest run; a page shows only settings that differ from them.
"""
