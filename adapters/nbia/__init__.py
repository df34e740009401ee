"""NBIA archives, such as The Cancer Imaging Archive. The way in is `adapter`."""
