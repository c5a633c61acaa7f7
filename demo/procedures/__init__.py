"""The programs behind the shipped procedures: what a rollback runs, and an example for your own scripts.

Each is a command line of verbs (`demo/bin/NAME VERB …`) that runs without a shell and ends with 0 (done,
or yes), 1 (it could not be done, or no; one line on standard error says why) or 2 (asked wrongly).
"""
