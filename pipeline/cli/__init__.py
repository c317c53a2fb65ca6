"""What each command does: parse, call one function, map the outcome to an exit code."""
