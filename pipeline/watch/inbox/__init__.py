"""The inbox: the folder that people drop photographs and tickets into, and how files get from there into the spool.

- photo: a picture that is painted in the style that its folder is named after, or in the default style;
- ticket: a manifest at the top of the inbox; it waits until all files and styles that it names are there;
- style picture: `<folder>/_style.jpg`, a painting for the photographs of that folder alone; it stays in the inbox;
- look: reading a file's status; only looks count, events just say where to look;
- stable: a file whose writer has finished, as far as can be told; see `pipeline.watch.inbox.stability`;
- left: a file that stays in the inbox for a reason that is told to the user.

`scanner` goes round: it looks by way of `files`, lets `claims` take what is stable, and lets `tickets` gather their
files. `pipeline.watch.scan_thread` runs the scanner in a thread of its own, and `pipeline.watch.service` makes it.
"""
