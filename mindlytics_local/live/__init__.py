"""Who watches at the moment, and what they are still to be sent."""
