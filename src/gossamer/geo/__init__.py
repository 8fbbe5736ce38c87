"""Large pictures and maps: windows that cover a picture, boxes merged across them, regions, and rasters (no torch)."""
