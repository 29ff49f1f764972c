"""The SQLite file: events, the records kept of them, figures by the hour and an index of words."""
