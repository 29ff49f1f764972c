"""The command `mindlytics doctor`: what is wrong between an app and the service, and what to do."""
