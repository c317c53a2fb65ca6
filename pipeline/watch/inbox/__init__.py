"""The inbox: the folder into which people drop photographs and tickets, and the way of its files into the spool.

- photo: a picture that is painted in the style that its folder is named after, or in the default style;
- ticket: a manifest at the top of the inbox; it waits until all files and styles that it names are there;
- style picture: `<folder>/_style.jpg`, a painting for the photographs of that folder alone; it stays in the inbox;
- look: reading a file's status; only looks decide, while events only say where to look;
- stable: said of a file whose writer seems to have finished; see `pipeline.watch.inbox.stability`;
- left: said of a file that stays in the inbox for a reason that is logged;
- returned: said of a finished file that was moved back into the inbox and has not changed since.

`scanner` works in rounds: in each it looks with `files`, claims stable files with `claims`, and collects the files of
tickets with `tickets`. `pipeline.watch.service` makes the scanner, and `pipeline.watch.scan_thread` runs it.
"""
