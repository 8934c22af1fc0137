"""CEN on NYUDv2: RGB and depth segmentation with RefineNet (section 4.1, Tables 1 and 2)."""
