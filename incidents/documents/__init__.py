"""Reports as files: Markdown in, HTML and PDF out."""
