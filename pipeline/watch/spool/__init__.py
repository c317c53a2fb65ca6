"""The spool: the folders through which every claimed file goes, and what is written there.

A restart finds in the spool all that it needs, whatever operation the process before it ended at.

- job: a claimed file, or a ticket with the files that it names, in a folder of its own;
- ticket: a manifest that was dropped into the inbox;
- claim: the rename that takes a file out of the inbox; only one worker can succeed with it;
- worker: a process that uses the spool; it has a folder with a lock, a heartbeat and its jobs;
- release: put a job's files back into the inbox, as if they had never been claimed;
- give back: put a finished job's files back into the inbox, and record that they are done;
- quarantine: move a job that failed to `failed`.

`spool` moves the jobs, `workers` knows which worker is alive, `records` has the data, and `accounting` counts what
became of every file. The packages `inbox` and `jobs` beside this one use it, and so do `impasto status` and `retry`.
"""
