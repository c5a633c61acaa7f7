"""What the database program is made of: the server, dumps, restored databases, the switch between two."""
