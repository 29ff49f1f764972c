"""Questions to the stored collections: JSON filters and orders, turned into SQL."""
