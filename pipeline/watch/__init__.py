"""A watched inbox, from a dropped file to the outbox. `impasto watch` and `impasto drain` call `service`.

Its words:

- inbox: the folder into which people drop photographs and tickets, which are manifests.
- spool: the folder of claimed files, by default `.impasto` in the inbox.
- worker: a process that uses the spool. Its heartbeat shows that it is alive; other workers take over the jobs of dead
  workers.
- claim: to move a stable file from the inbox into the spool, by one rename, so that only one worker gets it.
- job: a claimed photograph, or a claimed ticket with its files; it has one pair or several.
- put back: to move the files of an unfinished job back into the inbox, as if they had never been claimed.
- return: to move the files of a finished job back into the inbox, and to record that they are done.
- take back: to uncount an attempt that ended without an outcome, while the process goes on.
- drain: to process the files that lie in the inbox now, and to exit.
- scan: to look for stable files, and to claim them. One thread scans, and another thread renders.

A file passes `scan_thread` → `inbox` → `spool` → `jobs.queue` → `stage_feeder` → `jobs.lifecycle` → the stage, and
then `jobs.endings`, which archives, deletes, returns or quarantines it.
"""
