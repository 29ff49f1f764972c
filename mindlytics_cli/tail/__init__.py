"""The command `mindlytics tail`: what the service hears, as it hears it."""
