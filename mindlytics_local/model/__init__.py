"""What events mean: records of sessions, conversations and users, and how events change them. No SQL, no HTTP."""
