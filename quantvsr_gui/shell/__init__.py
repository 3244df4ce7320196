"""The window around the pages: rail, actions, palette, shortcuts, theme, log, settings, tour."""
