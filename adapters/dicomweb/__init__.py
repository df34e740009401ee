"""DICOMweb archives: QIDO-RS to ask, WADO-RS to retrieve. The way in is `adapter`."""
