"""The commands `doctor`, `tail` and `import` of the command line; each is a module, and there is no other doorway."""
