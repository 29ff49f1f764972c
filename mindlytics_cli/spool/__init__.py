"""The command `mindlytics spool`: what processes have left on disk."""
