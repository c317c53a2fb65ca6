"""The command line: one file or folder for each command.

A command parses its options, calls one function of another package, prints the result, and maps it to an exit code.
`main` has the commands by name, `options` the options that several commands share, and `setup` the steps that they
share. No command imports torch, numpy, cv2 or PIL before it runs, so that `impasto --help` answers at once.

Results go to stdout; progress, logs and errors go to stderr.
"""
