"""Small widgets that several pages use. They hold no behaviour beyond their own."""
