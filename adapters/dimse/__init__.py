"""DICOM archives over the network: C-FIND, C-GET and C-ECHO. The way in is `adapter`."""
