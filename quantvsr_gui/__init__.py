"""QuantVSR Studio's desktop app (PySide6). Imports no torch and no diffusers, not even indirectly."""
