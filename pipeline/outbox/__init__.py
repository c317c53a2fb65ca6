"""The outbox: a folder of results, published whole and durably, described by metadata, and found again by key.

`stage` publishes through `publish.Outbox`; `run` and `watch` ask `ledger.look_up` which pairs are done; the commands
`status`, `retry` and `report` read the records. The words of this package:

- result: a picture, and its metadata in a file of its name plus .json.
- metadata: the JSON that describes a result; it is written last, so a picture with metadata is complete.
- key: SHA-256 over the inputs and settings of a result; a result with an equal key need not be made again.
- mark: a file with the owner of a result's name and the number of its unfinished attempts (`marks`).
- owner: the run of a manifest, or a worker with its job; a name's mark says which owner works on it. The results of a
  worker whose job another worker has taken over are refused.
- fence: a function that the `stage` calls just before it publishes a result, and that can still refuse the result.
- failure: the record in failed/ that says why a pair has no result and what to do about it.
- state: the folder .impasto, with marks, locks, records of runs, and the working files.
- working files: checkpoints and previews of pairs in progress, and thumbnails (`working_files`).
"""
