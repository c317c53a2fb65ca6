"""The spool: the folders through which every claimed file goes, and the records there.

After a crash at any operation, a restart finds all that it needs in the spool.

- job: a claimed file, or a ticket with the files that it names, in a folder of its own;
- ticket: a manifest that was dropped into the inbox;
- claim: the rename that moves a file out of the inbox, with which only one worker can succeed;
- worker: a process that uses the spool; it has a folder with a lock, a heartbeat and its jobs;
- put back: move an unfinished job's files back into the inbox, as if they had never been claimed;
- return: move a finished job's files back into the inbox, and record that they are done;
- quarantine: move a job that failed to `failed`.

`spool` moves the jobs, `workers` knows which worker is alive, `records` has the data, and `accounting` counts the files
by their fate. The packages `inbox` and `jobs` use it, and so do `impasto status` and `impasto retry`.
"""
