"""dotcount: learn to count and locate objects in images from one dot per object."""
