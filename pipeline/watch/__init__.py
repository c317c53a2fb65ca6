"""A watched inbox, from a dropped file to the outbox. `impasto watch` and `impasto drain` call it, by `service`.

Its words:

- inbox: the folder into which people drop photographs, and tickets, which are manifests.
- spool: the folder of claimed files, by default `.impasto` in the inbox.
- worker: a process that works on the spool. It beats to show that it is alive; others take over the jobs of dead ones.
- claim: to move a settled file from the inbox into the spool, by one rename, so that only one worker gets it.
- job: a claimed photograph, or a claimed ticket with its files; it has one pair or several.
- drain: to do what lies in the inbox now, and to end.
- scan: to look for files that have settled, and to claim them. One thread scans, another one renders.

A file passes `scan_thread` → `inbox` → `spool` → `jobs.queue` → `stage_feeder` → `jobs.lifecycle` → the stage, and
then `jobs.endings`, which puts it to rest in the spool.
"""
