"""The status page as files: HTML, Statuspage's JSON and Atom, on disk and by Django."""
